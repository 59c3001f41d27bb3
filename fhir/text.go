package fhir

import "strings"

// Text makes of a text that may come from outside, as a receiver's answer does, what a string of a resource may hold: R4 allows
// none of the control characters but tab and line breaks, and no string that is blank (datatypes.html#string). It may be empty,
// in which case its element has to be left out.
func Text(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' {
			return '\uFFFD'
		}
		return r
	}, s))
}
