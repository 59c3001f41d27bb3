package criteria

import (
	"errors"
	"slices"
	"strings"

	"fhirhook/fhir"
)

// Parameters with rules of their own.
const (
	parameterType    = "_type" // at system level it names types
	parameterQuery   = "_query"
	parameterHas     = "_has"
	parameterList    = "_list"
	parameterFilter  = "_filter"
	parameterText    = "_text"
	parameterContent = "_content"
)

// errUnknown is the cause of errors about names that no table has: what a lenient search may leave out.
var errUnknown = errors.New("unknown search parameter")

// refused refuses the parameters that R4 defines and that have no meaning where they stand. They are refused
// even by lenient searches: unlike an unknown name, they say something.
func refused(fullName string) *fhir.Error {
	switch parameterName(fullName) {
	case parameterType:
		return fhir.Errorf(fhir.NotSupported, "", "_type is for searches over all types, at [base]?_type=…; here the type is named already")
	case parameterQuery:
		return fhir.Errorf(fhir.NotSupported, "", "_query: there are no named queries here")
	}
	return nil
}

// resultParameters shape an answer and filter nothing.
var resultParameters = []string{
	"_sort", "_count", "_include", "_revinclude", "_summary", "_elements", "_total", "_contained",
	"_containedType", "_score", "_offset", "_cursor", "_page", "_explain", "_format", "_pretty",
}

func (b *builder) unknown(code string) *fhir.Error {
	if b.results && slices.Contains(resultParameters, code) {
		return fhir.Errorf(fhir.NotSupported, "", "%s shapes the answer of a search and filters nothing: leave it out of the criteria", code)
	}
	about, known := "resources of every type", b.codes()
	if len(b.types) > 0 {
		about = typesText(b.types)
	}
	e := fhir.Errorf(fhir.NotSupported, "", "%q is not a search parameter of %s%s", clip(code), about, suggestion(code, known))
	e.Err = errUnknown
	return e
}

// codes lists the parameters that could have been meant.
func (b *builder) codes() []string {
	t := fhir.Types()[0]
	if len(b.types) > 0 {
		t = b.types[0]
	}
	var codes []string
	for p := range b.table.Params(t) {
		if refused(p.Code) != nil {
			continue
		}
		if _, err := b.param(p.Code); len(b.types) == 1 || err == nil {
			codes = append(codes, p.Code)
		}
	}
	return codes
}

// suggestion ends an error about a name with the known ones nearest to it, or with all if they are few.
func suggestion(name string, known []string) string {
	best, most := []string(nil), 2
	for _, k := range known {
		d := distance(strings.ToLower(clip(name)), strings.ToLower(k))
		if d < most {
			best, most = nil, d
		}
		if d == most && 2*d < len(k)+1 {
			best = append(best, k)
		}
	}
	if len(best) > 0 {
		return "; did you mean " + strings.Join(best, " or ") + "?"
	}
	if len(known) > 60 {
		return ""
	}
	return "; it has " + strings.Join(known, ", ")
}

// distance counts the characters to insert, delete or replace to turn a into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
