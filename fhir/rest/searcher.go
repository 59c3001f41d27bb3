package rest

import (
	"context"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
)

// Pair is a parameter's name and its value, decoded.
type Pair = criteria.Pair

// Searcher answers searches; search.Engine is one.
type Searcher interface {
	// Search answers from the newest state.
	Search(ctx context.Context, q search.Request) (search.Page, error)
	// Find returns at most the given number of matches in the state that r reads, which may be a transaction's
	// own. Its parameters are filters, and strict: whatever it can't evaluate is an error.
	Find(ctx context.Context, r store.Reader, q search.Request, most int) ([]*fhir.Resource, error)
}
