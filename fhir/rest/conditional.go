package rest

import (
	"context"
	"errors"
	"slices"
	"strings"

	"fhirhook/criteria"
	"fhirhook/fhir"
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
		saved, err := store.Create(tx, key, w.in, s.admit(tx, key))
		return s.saved(w.call, saved), err
	}
	a := s.saved(w.call, store.Saved{Resource: match})
	a.located = true // the client looks there for what it wanted to create
	return a, nil
}

// existing is what a conditional create finds, nil if it has to create.
func (s *Server) existing(ctx context.Context, r store.Reader, w write) (*fhir.Resource, error) {
	query := strings.TrimPrefix(w.cond.ifNoneExist, string(w.target.typ)+"?")
	pairs, err := criteria.ParsePairs(strings.TrimPrefix(query, "?"))
	if err != nil {
		return nil, err
	}
	return s.one(ctx, r, w.call, w.target.typ, "http.If-None-Exist", pairs)
}

// removeConditional is a conditional delete (R4 http.html#3.1.0.7.1): one match or none.
func (s *Server) removeConditional(ctx context.Context, tx store.Writer, w write) (answer, error) {
	match, err := s.one(ctx, tx, w.call, w.target.typ, "", w.target.query)
	switch {
	case err != nil:
		return answer{}, err
	case match == nil:
		return s.deleted(w.call, nil), nil
	default:
		saved, err := store.Delete(tx, match.Key, w.cond.ifMatch)
		return s.deleted(w.call, saved.Resource), err
	}
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
	there, err := current(tx, key)
	if err == nil && there != nil {
		err = fhir.Errorf(fhir.Conflict, string(w.in.Type)+".id", "the search finds nothing, but %s exists: update it by PUT to %s", key, key)
	}
	return key, err
}

// one finds the single match of a condition, nil for none. A condition that says nothing would match
// everything, so it is refused, as is one that can't be evaluated.
func (s *Server) one(ctx context.Context, r store.Reader, c *call, t fhir.Type, where string, pairs []Pair) (*fhir.Resource, error) {
	if !slices.ContainsFunc(pairs, func(p Pair) bool { return p.Value != "" }) {
		return nil, fhir.Errorf(fhir.Required, where, "the condition is empty and would select every %s: name at least one parameter with a value", t)
	}
	found, err := s.Search.Find(ctx, r, search.Request{Tenant: c.tenant, Type: t, Params: pairs, Strict: true, Bases: []string{c.base}}, 2)
	switch {
	case err != nil:
		return nil, err
	case len(found) > 1:
		return nil, fhir.Errorf(fhir.MultipleMatches, where, "%s?%s selects more than one resource (%s, %s and maybe more): make it narrower",
			t, encodeQuery(pairs), found[0].Key, found[1].Key)
	case len(found) == 1:
		return found[0], nil
	default:
		return nil, nil
	}
}

// current is the version of key that is there now, nil if there is none or it is deleted.
func current(r store.Reader, key fhir.Key) (*fhir.Resource, error) {
	found, err := r.Read(key, r.Last())
	if errors.Is(err, store.ErrNotFound) || err == nil && found.Deleted {
		return nil, nil
	}
	return found, err
}
