package criteria

import (
	"strings"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// phrase is a text that a string parameter selects.
type phrase struct {
	raw   string
	plain plain
	words bool // a part of a person's name: each word may be sought
}

// stringValue is a value of a string parameter: without a modifier the text begins with it, :contains means
// anywhere, :exact the whole text, code point by code point. The phonetic parameters are strings like all
// others here: R4 leaves their algorithm to the server, and how a name begins is the plainest.
type stringValue struct {
	text     string
	modifier string
	plain    plain
}

func parseString(s, modifier string) (Value, *fhir.Error) {
	v := &stringValue{text: unescape(s), modifier: modifier}
	if modifier != modifierExact {
		v.plain = plainOf(v.text)
	}
	return v, nil
}

func (v *stringValue) String() string { return escape(v.text) }

func (v *stringValue) matches(_ *Subject, x *values) bool {
	for i := range x.phrases {
		if v.in(&x.phrases[i]) {
			return true
		}
	}
	return false
}

func (v *stringValue) in(p *phrase) bool {
	switch {
	case v.modifier == modifierExact:
		return p.raw == v.text
	case v.modifier == modifierContains:
		return v.plain.compareIn(p.plain, strings.Contains)
	case p.words:
		return v.plain.compareIn(p.plain, beginsWord)
	default:
		return v.plain.compareIn(p.plain, strings.HasPrefix)
	}
}

// The parts of the complex types that string search looks at; use, type and period are not among them.
var (
	nameParts    = []string{"text", "family", "given", "prefix", "suffix"}
	addressParts = []string{"text", "line", "city", "district", "state", "postalCode", "country"}
)

// phrasesOf adds the texts of an element that a string parameter selects.
//
// Each part of a name or address counts for itself. The words of a person's name can be sought singly, so
// that "Quinones" finds the family name "Carreno Quinones" (R4 datatypes.html#HumanName); other texts are
// found by how they begin, as R4 has it, and by :contains.
func phrasesOf(out []phrase, l Leaf) []phrase {
	switch l.Type {
	case "HumanName":
		return partPhrases(out, l.Node, nameParts, true)
	case "Address":
		return partPhrases(out, l.Node, addressParts, false)
	default:
		return addPhrase(out, l.Node, l.Name == "family" || l.Name == "given")
	}
}

func partPhrases(out []phrase, n tape.Node, parts []string, words bool) []phrase {
	if n.Kind() != tape.Object {
		return out
	}
	for _, part := range parts {
		for e := range n.Get(part).Elements() {
			out = addPhrase(out, e, words)
		}
	}
	return out
}

func addPhrase(out []phrase, n tape.Node, words bool) []phrase {
	s := text(n)
	if s == "" {
		return out
	}
	return append(out, phrase{raw: s, plain: plainOf(s), words: words})
}
