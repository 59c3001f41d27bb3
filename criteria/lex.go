package criteria

import (
	"strings"

	"fhirhook/fhir"
)

// The separators of search values; a backslash before one, or before itself, makes it literal
// (R4 search.html#escaping).
const escapable = `,|$\`

// checkEscapes refuses a backslash before anything else.
func checkEscapes(s string) *fhir.Error {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		i++
		if i == len(s) || strings.IndexByte(escapable, s[i]) < 0 {
			return fhir.Errorf(fhir.Value, "", `%q has a backslash that escapes nothing: write \\ for a backslash, and put one only before , | $ or \`, clip(s))
		}
	}
	return nil
}

// split cuts s at each sep that is not escaped. The parts keep their escapes.
func split(s string, sep byte) []string {
	var parts []string
	from := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case sep:
			parts = append(parts, s[from:i])
			from = i + 1
		}
	}
	return append(parts, s[from:])
}

// unescape takes the backslashes away that checkEscapes has accepted.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		out = append(out, s[i])
	}
	return string(out)
}

// escape is the inverse of unescape.
func escape(s string) string {
	if !strings.ContainsAny(s, escapable) {
		return s
	}
	out := make([]byte, 0, len(s)+4)
	for i := range len(s) {
		if strings.IndexByte(escapable, s[i]) >= 0 {
			out = append(out, '\\')
		}
		out = append(out, s[i])
	}
	return string(out)
}
