package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"fhirhook/criteria"
	"fhirhook/fhir/audit"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store/bolt"
)

// Check proves the integrity of a data folder that no server is using, reporting progress in rows. The error
// names what is wrong; nothing is changed.
func Check(ctx context.Context, data string, keys Keys, progress func(done, total uint64)) error {
	if entries, err := filepath.Glob(filepath.Join(data, "*.db")); err != nil || len(entries) == 0 {
		return fmt.Errorf("%s holds no store: %w", data, os.ErrNotExist)
	}
	sealing, err := keys.reading(data)
	if err != nil {
		return err
	}
	db, err := bolt.Open(data, bolt.Options{Sealing: sealing})
	if err != nil {
		return err
	}
	return errors.Join(db.Check(ctx, progress), search.CheckIndex(ctx, db, criteria.R4(), progress), audit.Check(filepath.Join(data, auditFolder), sealing.Ring), db.Close())
}
