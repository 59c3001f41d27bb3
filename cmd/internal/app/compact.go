package app

import (
	"context"

	"fhirhook/fhir/store/bolt"
)

// Compact writes the files of a data folder that no server is using anew, as small as they can be. It needs no key.
func Compact(ctx context.Context, data string, report func(bolt.Compaction)) error {
	return bolt.Compact(ctx, data, bolt.Options{}, report)
}
