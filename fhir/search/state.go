package search

import (
	"context"
	"errors"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// A batch is what is read in one View.
const (
	batchRows  = 256
	batchBytes = 4 << 20
)

// state reads the store at one place in its log.
type state interface {
	// batch returns the next live resources of a type behind an id, in id order, and whether there may be more.
	batch(ctx context.Context, tenant string, t fhir.Type, after string) (rows []*fhir.Resource, more bool, err error)
	// live returns those of the keys that are not deleted, in their order.
	live(ctx context.Context, keys []fhir.Key) ([]*fhir.Resource, error)
	// version returns a version, nil if it isn't there or is a deletion.
	version(ctx context.Context, key fhir.Key, version uint64) (*fhir.Resource, error)
}

// snapshot is the state at a place, in a View for each call.
type snapshot struct {
	db store.DB
	at store.Seq
}

func (s snapshot) batch(ctx context.Context, tenant string, t fhir.Type, after string) (rows []*fhir.Resource, more bool, err error) {
	err = s.db.View(ctx, func(r store.Reader) error {
		rows, more, err = within{r, s.at}.batch(ctx, tenant, t, after)
		return err
	})
	return rows, more, err
}

func (s snapshot) live(ctx context.Context, keys []fhir.Key) (all []*fhir.Resource, err error) {
	for len(keys) > 0 {
		some := keys[:min(batchRows, len(keys))]
		keys = keys[len(some):]
		err := s.db.View(ctx, func(r store.Reader) error {
			found, err := within{r, s.at}.live(ctx, some)
			all = append(all, found...)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (s snapshot) version(ctx context.Context, key fhir.Key, version uint64) (res *fhir.Resource, err error) {
	err = s.db.View(ctx, func(r store.Reader) error {
		res, err = within{r, s.at}.version(ctx, key, version)
		return err
	})
	return res, err
}

// within is the state at a place as one reader sees it, which may be a transaction's own.
type within struct {
	r  store.Reader
	at store.Seq
}

func (s within) batch(ctx context.Context, tenant string, t fhir.Type, after string) ([]*fhir.Resource, bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	var rows []*fhir.Resource
	size := 0
	for res, err := range s.r.Type(tenant, t, after, s.at) {
		if err != nil {
			return nil, false, err
		}
		rows = append(rows, res)
		if size += len(res.JSON); len(rows) == batchRows || size >= batchBytes {
			return rows, true, nil
		}
	}
	return rows, false, nil
}

func (s within) live(ctx context.Context, keys []fhir.Key) ([]*fhir.Resource, error) {
	var all []*fhir.Resource
	for _, key := range keys {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		res, err := s.r.Read(key, s.at)
		switch {
		case errors.Is(err, store.ErrNotFound) || err == nil && res.Deleted:
		case err != nil:
			return nil, err
		default:
			all = append(all, res)
		}
	}
	return all, nil
}

func (s within) version(ctx context.Context, key fhir.Key, version uint64) (*fhir.Resource, error) {
	res, err := s.r.Version(key, version)
	if errors.Is(err, store.ErrNotFound) || err == nil && res.Deleted {
		return nil, ctx.Err()
	}
	return res, err
}
