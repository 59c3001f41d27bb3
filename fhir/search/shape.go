package search

import (
	"fhirhook/criteria"
	"fhirhook/fhir"
)

// Shape takes _summary and _elements out of the parameters of a read, which know them as a search does (R4
// search.html#summary), and returns what cuts a resource of the type ("": of any) down to what they ask for.
func Shape(t fhir.Type, params []criteria.Pair) (show func(*fhir.Resource) *fhir.Resource, left []criteria.Pair, err error) {
	var shaping []criteria.Pair
	for _, p := range params {
		if p.Name == paramSummary || p.Name == paramElements {
			shaping = append(shaping, p)
		} else {
			left = append(left, p)
		}
	}
	r, err := parseResults(shaping)
	if err != nil {
		return nil, nil, err
	}
	if r.summary == summaryCount {
		return nil, nil, fhir.Errorf(fhir.Invalid, "http."+paramSummary, "_summary=count counts what a search finds, and this is none")
	}
	types := []fhir.Type{t}
	if t == "" {
		types = fhir.Types()
	}
	if err := (&Engine{}).checkResults(r, &plan{types: types}); err != nil {
		return nil, nil, err
	}
	return func(found *fhir.Resource) *fhir.Resource {
		one := []*fhir.Resource{found}
		r.show(one)
		return one[0]
	}, left, nil
}
