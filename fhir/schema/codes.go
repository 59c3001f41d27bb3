package schema

import (
	_ "embed" // for codes.tsv
	"iter"
	"maps"
	"strings"
	"sync"
)

//go:embed codes.tsv
var codesText string

// CodeSet is the content of a value set that a required binding names.
type CodeSet struct {
	systems map[string]map[string]struct{} // code system → codes
	any     map[string]struct{}            // the codes of all of them
}

// Codes finds a value set by its canonical, without a version (Element.ValueSet). Only sets that required
// bindings name are known, and only those that R4 lists in full: not the languages of the IETF, the media
// types, the currencies of ISO and the units of UCUM.
func Codes(valueSet string) (*CodeSet, bool) {
	set, ok := codeSets()[valueSet]
	return set, ok
}

// Has tells whether a code is in the set, of whatever system: what a code element needs, which names none.
func (s *CodeSet) Has(code []byte) bool {
	_, ok := s.any[string(code)]
	return ok
}

// HasIn tells whether a system's code is in the set.
func (s *CodeSet) HasIn(system, code string) bool {
	_, ok := s.systems[system][code]
	return ok
}

// All yields the codes, each once, in no order.
func (s *CodeSet) All() iter.Seq[string] { return maps.Keys(s.any) }

// Len is the number of different codes.
func (s *CodeSet) Len() int { return len(s.any) }

// codeSets reads the table; its columns are told at the top of codes.tsv.
var codeSets = sync.OnceValue(func() map[string]*CodeSet {
	sets := make(map[string]*CodeSet, 256)
	for line := range strings.Lines(codesText) {
		if strings.HasPrefix(line, "# ") {
			continue
		}
		columns := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		url := valueSet(columns[0])
		set, ok := sets[url]
		if !ok {
			set = &CodeSet{systems: map[string]map[string]struct{}{}, any: map[string]struct{}{}}
			sets[url] = set
		}
		codes := make(map[string]struct{}, len(columns)-2)
		for _, code := range columns[2:] {
			codes[code], set.any[code] = struct{}{}, struct{}{}
		}
		set.systems[columns[1]] = codes
	}
	return sets
})
