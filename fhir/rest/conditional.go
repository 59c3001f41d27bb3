package rest

import (
	"context"
	"errors"
	"slices"

	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
)

// createOnce is a conditional create (R4 http.html#ccreate). The search runs in the transaction that writes, so
// that of two equal requests at the same moment one creates and the other finds.
func (s *Server) createOnce(ctx context.Context, tx store.Writer, w write) (answer, error) {
	match, err := s.existing(ctx, tx, w)
	if err != nil {
		return answer{}, err
	}
	if match == nil {
		key := w.key()
		key.ID = w.fresh
		return s.make(tx, w, key, w.in)
	}
	a := s.saved(w.call, store.Saved{Resource: match})
	a.located = true // the client looks there for what it wanted to create
	return a, nil
}

// existing is what a conditional create finds, nil if it has to create.
func (s *Server) existing(ctx context.Context, r store.Reader, w write) (*fhir.Resource, error) {
	if err := w.permit(auth.Create, w.target.typ); err != nil {
		return nil, err
	}
	pairs, err := w.noneExist()
	if err != nil {
		return nil, err
	}
	return s.one(ctx, r, w.call, w.target.typ, "http.If-None-Exist", pairs)
}

// maxDeleted bounds how much one conditional delete may take away.
const maxDeleted = 1000

// selected is what a conditional delete is about (R4 http.html#3.1.0.7.1): one match or none, or, where
// Options.DeleteMultiple allows it, all.
func (s *Server) selected(ctx context.Context, tx store.Writer, w write) ([]fhir.Key, error) {
	if err := w.permit(auth.Delete, w.target.typ); err != nil {
		return nil, err
	}
	most := 2
	if s.DeleteMultiple {
		most = maxDeleted + 1
	}
	matches, err := s.matches(ctx, tx, w.call, w.target.typ, "", w.target.query, most)
	switch {
	case err != nil:
		return nil, err
	case len(matches) > 1 && !s.DeleteMultiple:
		return nil, tooMany(w.target.typ, "", w.target.query, matches)
	case len(matches) > maxDeleted:
		return nil, fhir.Errorf(fhir.TooCostly, "", "the condition selects more than %d resources, which is the most that one request deletes: make it narrower", maxDeleted)
	case len(matches) > 1 && w.cond.ifMatch != "":
		return nil, fhir.Errorf(fhir.PreconditionFailed, "http.If-Match", "If-Match names one version, and the condition selects %d resources", len(matches))
	}
	keys := make([]fhir.Key, len(matches))
	for i, m := range matches {
		keys[i] = m.Key
	}
	return keys, nil
}

// removeAll deletes what a delete is about.
func (s *Server) removeAll(tx store.Writer, w write, keys []fhir.Key) (answer, error) {
	var last store.Saved
	for _, key := range keys {
		if err := s.permitDelete(tx, w.call, key); err != nil {
			return answer{}, err
		}
		err := s.writable(key)
		if err != nil {
			return answer{}, err
		}
		if last, err = store.Delete(tx, key, w.cond.ifMatch); err != nil {
			return answer{}, err
		}
		if last.Resource != nil && !last.Changed {
			ok, err := s.allows(tx, w.call, auth.Delete|auth.Read|auth.Search, last.Resource)
			if err != nil {
				return answer{}, err
			}
			if !ok {
				last.Resource = nil // that it was there once isn't told
			}
		}
	}
	a := s.deleted(w.call, last.Resource)
	if len(keys) > 1 {
		a = s.deleted(w.call, nil) // the answer is about none of them in particular
		a.also = keys
	}
	return a, nil
}

// conditionalKey is the resource that a conditional update or patch is about (R4 http.html#cond-update).
func (s *Server) conditionalKey(ctx context.Context, tx store.Writer, w write) (fhir.Key, error) {
	match, err := s.one(ctx, tx, w.call, w.target.typ, "", w.target.query)
	key := w.key()
	switch {
	case err != nil:
		return key, err
	case match != nil && w.code == update && w.in.ID != "" && w.in.ID != match.Key.ID:
		return key, fhir.Errorf(fhir.Invalid, string(w.in.Type)+".id", "the resource has id %q, and the search finds %s: leave the id out, or send the one that is found", w.in.ID, match.Key)
	case match != nil:
		return match.Key, nil
	case w.code == patchOne:
		return key, fhir.Errorf(fhir.NotFound, "", "%s?%s finds nothing to patch", w.target.typ, encodeQuery(w.target.query))
	case w.in.ID == "":
		key.ID = w.fresh
		return key, nil
	}
	key.ID = w.in.ID
	if _, err := s.prior(tx, w.call, key); err != nil {
		return key, err
	}
	there, err := current(tx, key)
	if err == nil && there != nil {
		err = fhir.Errorf(fhir.Conflict, string(w.in.Type)+".id", "the search finds nothing, but %s exists: update it by PUT to %s", key, key)
	}
	return key, err
}

// one finds the single match of a condition, nil for none. A condition that says nothing would match
// everything, so it is refused, as is one that can't be evaluated.
func (s *Server) one(ctx context.Context, r store.Reader, c *call, t fhir.Type, where string, pairs []Pair) (*fhir.Resource, error) {
	found, err := s.matches(ctx, r, c, t, where, pairs, 2)
	switch {
	case err != nil:
		return nil, err
	case len(found) > 1:
		return nil, tooMany(t, where, pairs, found)
	case len(found) == 1:
		return found[0], nil
	default:
		return nil, nil
	}
}

func tooMany(t fhir.Type, where string, pairs []Pair, found []*fhir.Resource) error {
	return fhir.Errorf(fhir.MultipleMatches, where, "%s?%s selects more than one resource (%s, %s and maybe more): make it narrower",
		t, encodeQuery(pairs), found[0].Key, found[1].Key)
}

// matches finds at most so many matches of a condition.
//
// Whoever may not search would find nothing, and then a conditional create or delete would do something else than
// it was asked to.
func (s *Server) matches(ctx context.Context, r store.Reader, c *call, t fhir.Type, where string, pairs []Pair, most int) ([]*fhir.Resource, error) {
	if err := c.permit(auth.Search, t); err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(pairs, func(p Pair) bool { return p.Value != "" }) {
		return nil, fhir.Errorf(fhir.Required, where, "the condition is empty and would select every %s: name at least one parameter with a value", t)
	}
	var found []*fhir.Resource
	err := c.spent.search(ctx, func(ctx context.Context) (err error) {
		found, err = s.Search.Find(ctx, r, search.Request{Tenant: c.tenant, Type: t, Params: pairs, Strict: true, Bases: []string{c.base}, Sees: c.sight(t)}, most)
		return err
	})
	return found, err
}

// current is the version of key that is there now, nil if there is none or it is deleted.
func current(r store.Reader, key fhir.Key) (*fhir.Resource, error) {
	found, err := r.Read(key, r.Last())
	if errors.Is(err, store.ErrNotFound) || err == nil && found.Deleted {
		return nil, nil
	}
	return found, err
}
