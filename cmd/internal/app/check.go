package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"fhirhook/fhir/audit"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store/bolt"
)

// Check proves the integrity of a data folder that no server is using, reporting progress in rows. The error
// names what is wrong; nothing is changed. The index can be checked only with the folder of search parameters that the
// server had ("" for none): indexed tells whether it was.
func Check(ctx context.Context, data, searchParameters string, keys Keys, progress func(done, total uint64)) (indexed bool, err error) {
	var wrong problems
	definitions := loadDefinitions(searchParameters, &wrong, slog.New(slog.DiscardHandler))
	if err := wrong.err(); err != nil {
		return false, err
	}
	if entries, err := filepath.Glob(filepath.Join(data, "*.db")); err != nil || len(entries) == 0 {
		return false, fmt.Errorf("%s holds no store: %w", data, os.ErrNotExist)
	}
	sealing, err := keys.reading(data)
	if err != nil {
		return false, err
	}
	db, err := bolt.Open(data, bolt.Options{Sealing: sealing})
	if err != nil {
		return false, err
	}
	err = db.Check(ctx, progress)
	index := search.CheckIndex(ctx, db, definitions, progress)
	if indexed = !errors.Is(index, search.ErrOtherMeaning); !indexed {
		index = nil
	}
	return indexed, errors.Join(err, index, audit.Check(filepath.Join(data, auditFolder), sealing.Ring), db.Close())
}
