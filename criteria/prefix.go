package criteria

import "fhirhook/fhir"

// Prefix is the comparison of a number, date or quantity (R4 search.html#prefix). The zero value is eq.
type Prefix uint8

// The prefixes.
const (
	EQ Prefix = iota
	NE
	GT
	LT
	GE
	LE
	SA
	EB
	AP
)

var prefixes = [...]string{EQ: "eq", NE: "ne", GT: "gt", LT: "lt", GE: "ge", LE: "le", SA: "sa", EB: "eb", AP: "ap"}

func (p Prefix) String() string { return prefixes[p] }

// text is the prefix as the canonical form has it: eq goes without saying.
func (p Prefix) text() string {
	if p == EQ {
		return ""
	}
	return prefixes[p]
}

// cutPrefix takes the prefix from a value. Two letters in front that are no prefix are an error and not a
// part of the value, for neither numbers nor dates begin with letters.
func cutPrefix(s string) (Prefix, string, *fhir.Error) {
	if len(s) < 2 || !lower(s[0]) || !lower(s[1]) {
		return EQ, s, nil
	}
	for p, name := range prefixes {
		if s[:2] == name {
			return Prefix(p), s[2:], nil
		}
	}
	return EQ, "", fhir.Errorf(fhir.Value, "", "%q begins with %q, which is no prefix: eq, ne, gt, lt, ge, le, sa, eb and ap are", clip(s), s[:2])
}

func lower(c byte) bool { return c >= 'a' && c <= 'z' }
