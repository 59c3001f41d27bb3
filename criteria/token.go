package criteria

import (
	"strings"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// coded is an item that a token parameter selects: a coding, an identifier, a code.
type coded struct {
	system string
	code   string
	rule   codedRule
}

// codedRule says how an item is compared.
//
// R4 leaves case open and leans to ignoring it "when in doubt" (search.html#token). Codes, identifiers and
// ids are compared as they are: most code systems that matter are case-sensitive (UCUM, LOINC, all of
// FHIR's own), and in a Subscription a match too many discloses. Texts and contact points ignore case.
type codedRule uint8

const (
	byCode    codedRule = iota // Coding, Identifier: with its system; id, uri: without
	byBinding                  // code: the system is implied by the element; "" if it is not known here
	byTruth                    // boolean
	byText                     // string
	byContact                  // ContactPoint; system is its kind
)

// specialValues is the implied system of booleans, in both spellings.
var specialValues = [...]string{"http://terminology.hl7.org/CodeSystem/special-values", "http://hl7.org/fhir/special-values"}

func (c *coded) hasSystem(system string) bool {
	switch c.rule {
	case byBinding:
		return c.system == "" || c.system == system
	case byTruth:
		return system == specialValues[0] || system == specialValues[1]
	default:
		return c.system == system
	}
}

func (c *coded) hasCode(code string) bool {
	switch c.rule {
	case byText:
		return fold(c.code) == fold(code)
	case byContact:
		return looseContact(c.system, c.code) == looseContact(c.system, code)
	default:
		return c.code == code
	}
}

// looseContact leaves out what people write differently in one number or address (R4 search.html#token:
// matching ContactPoints SHOULD ignore punctuation).
func looseContact(system, s string) string {
	s = fold(s)
	switch system {
	case "phone", "fax", "sms", "pager":
		return strings.Map(func(r rune) rune {
			if strings.ContainsRune(" -+().,/", r) {
				return -1
			}
			return r
		}, s)
	default:
		return s
	}
}

// tokenValue is code, system|code, |code (the item has no system) or system|.
type tokenValue struct {
	system, code string
	bar          bool // a | was written, so the system counts
}

func parseToken(s string) (*tokenValue, *fhir.Error) {
	parts := split(s, '|')
	switch {
	case len(parts) > 2:
		return nil, fhir.Errorf(fhir.Value, "", `%q has more than one |: write code, system|code, |code or system|, and \| for a | within`, clip(s))
	case len(parts) == 1:
		return &tokenValue{code: unescape(s)}, nil
	case parts[0] == "" && parts[1] == "":
		return nil, fhir.Errorf(fhir.Value, "", "a single | names neither a system nor a code: write code, system|code, |code or system|")
	default:
		return &tokenValue{system: unescape(parts[0]), code: unescape(parts[1]), bar: true}, nil
	}
}

func (v *tokenValue) String() string {
	if !v.bar {
		return escape(v.code)
	}
	return escape(v.system) + "|" + escape(v.code)
}

func (v *tokenValue) matches(_ *Subject, x *values) bool { return v.in(x.codes) }

func (v *tokenValue) in(items []coded) bool {
	for i := range items {
		if v.is(&items[i]) {
			return true
		}
	}
	return false
}

func (v *tokenValue) is(c *coded) bool {
	switch {
	case !v.bar:
		return c.hasCode(v.code)
	case v.system == "": // an implied system is none that the item has
		return (c.system == "" || c.rule != byCode) && c.hasCode(v.code)
	case v.code == "":
		return c.hasSystem(v.system) && (c.rule != byBinding || c.system != "")
	default:
		return c.hasSystem(v.system) && c.hasCode(v.code)
	}
}

// codesOf adds the items of an element that a token parameter selects.
func codesOf(out []coded, l Leaf) []coded {
	n := l.Node
	switch l.Type {
	case "CodeableConcept":
		for coding := range n.Get("coding").Elements() {
			out = addCoding(out, coding)
		}
		return out
	case "Coding":
		return addCoding(out, n)
	case "Identifier":
		return addItem(out, text(n.Get("system")), text(n.Get("value")), byCode)
	case "ContactPoint":
		if value := text(n.Get("value")); value != "" {
			out = append(out, coded{text(n.Get("system")), value, byContact})
		}
		return out
	case "boolean":
		switch {
		case l.Computed != "":
			return append(out, coded{"", l.Computed, byTruth})
		case n.Kind() == tape.Bool:
			return append(out, coded{"", n.Text(), byTruth})
		}
		return out
	case "code":
		if code := text(n); code != "" {
			out = append(out, coded{l.System, code, byBinding})
		}
		return out
	case "string", "markdown":
		return addItem(out, "", text(n), byText)
	default:
		return addItem(out, "", text(n), byCode)
	}
}

func addCoding(out []coded, n tape.Node) []coded {
	return addItem(out, text(n.Get("system")), text(n.Get("code")), byCode)
}

func addItem(out []coded, system, code string, rule codedRule) []coded {
	if system == "" && code == "" {
		return out
	}
	return append(out, coded{system, code, rule})
}
