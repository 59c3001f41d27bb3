package search

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// The shelves beside those of the runs.
const (
	catalogShelf = "catalog" // "state" → catalog
	deathShelf   = "death"   // row → the row that replaced it
)

var catalogKey = []byte("state")

// catalog is what the index says of itself; it is written with every change of the runs.
type catalog struct {
	Meaning string    `json:"meaning"` // what the postings mean: see meaning
	Place   store.Seq `json:"place"`   // rows up to it are in the runs
	Floor   store.Seq `json:"floor"`   // postings of rows that were replaced up to it may be gone
	Next    int       `json:"next"`    // the next run's number
	Runs    []run     `json:"runs"`    // in order, without gaps
}

// run is sorted postings of the rows First to Last, on the shelf named after its number.
type run struct {
	Number   int       `json:"number"`
	First    store.Seq `json:"first"`
	Last     store.Seq `json:"last"`
	Replaced int       `json:"replaced"` // rows of it that were replaced since it was written
}

func (r run) shelf() string { return fmt.Sprintf("run %06d", r.Number) }

func (r run) rows() int { return int(r.Last - r.First + 1) }

// layout is the version of everything in this package that decides what postings look like.
const layout = "1"

// meaning is a number for everything that decides which postings a row has: the layout, and each parameter.
// Where it differs, the index is built anew.
func meaning(defs *criteria.Definitions) string {
	parts := []string{layout}
	for _, t := range fhir.Types() {
		for p := range defs.Params(t) {
			parts = append(parts, p.Fingerprint())
		}
	}
	return fmt.Sprintf("%s-%016x", layout, number(parts...))
}

// readCatalog returns an empty catalog where there is none that this program can use.
func readCatalog(r store.IndexReader, meaning string) (catalog, error) {
	empty := catalog{Meaning: meaning}
	raw, err := r.Get(catalogShelf, catalogKey)
	if errors.Is(err, store.ErrNotFound) {
		return empty, nil
	}
	if err != nil {
		return catalog{}, err
	}
	var c catalog
	if err := json.Unmarshal(raw, &c); err != nil || c.Meaning != meaning {
		return empty, nil //nolint:nilerr // what can't be read is built anew
	}
	return c, nil
}

func (c catalog) write(w store.IndexWriter) error {
	raw, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return w.Put(catalogShelf, catalogKey, raw)
}

func (c catalog) clone() catalog {
	c.Runs = slices.Clone(c.Runs)
	return c
}
