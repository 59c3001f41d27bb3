package search

import (
	"time"

	"fhirhook/criteria"
	"fhirhook/fhir"
)

// Request is a search. The zero value searches nothing: Tenant is required.
type Request struct {
	Tenant      string
	Type        fhir.Type       // "" searches all types (R4 http.html#search, [base]?_type=…)
	Params      []criteria.Pair // decoded, in order; filters and result parameters
	Compartment Compartment     // zero: everything
	Strict      bool            // Prefer: handling=strict: an unknown parameter is an error
	Bases       []string        // own base URLs: absolute references under them are local
	Now         time.Time       // for ap on dates; zero: the clock
	Zone        *time.Location  // of dates that name none; nil: UTC
	Sees        Sight           // what may be found; nil: everything
}

// Page is a page of what a search found.
type Page struct {
	Total      int // exact, of all pages
	TotalKnown bool
	Matches    []*fhir.Resource // in order; cut down to what _elements or _summary left, so never to be stored
	Included   []*fhir.Resource // of this page, each once, in order of type and id
	Self       []criteria.Pair  // the parameters that were used (R4 search.html#conformance)
	Next       []criteria.Pair  // the next page's; nil on the last
	Plan       []string         // how it was found, if _explain asked for it: a sentence for each step
	Issues     []*fhir.Error    // what the client should know, as parameters that were left out; none is fatal
}

// Names of result parameters (R4 search.html#return).
const (
	paramCount         = "_count"
	paramTotal         = "_total"
	paramSort          = "_sort"
	paramSummary       = "_summary"
	paramElements      = "_elements"
	paramInclude       = "_include"
	paramRevinclude    = "_revinclude"
	paramContained     = "_contained"
	paramContainedType = "_containedType"
	paramFormat        = "_format"
	paramPretty        = "_pretty"
	paramExplain       = "_explain"
	paramPage          = "-page" // our own: where a page begins (R4 search.html#all: own names begin with -)
)

// The counts of matches on a page.
const (
	defaultCount = 50
	maxCount     = 1000
)
