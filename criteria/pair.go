package criteria

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"fhirhook/fhir"
)

// Pair is a query parameter, decoded: its name with modifier and chain, and its value, still with the
// backslash escapes of R4 search.html#escaping.
type Pair struct{ Name, Value string }

// mostPairs bounds the parameters of one query: each costs a look-up, and some a good deal more.
const mostPairs = 1000

// ParsePairs splits a raw query string in order and decodes percent signs and plus signs. Decoding comes
// first of all (R4 search.html#escaping), so %2C separates alternatives as a comma does.
func ParsePairs(rawQuery string) ([]Pair, error) {
	var pairs []Pair
	for part := range strings.SplitSeq(rawQuery, "&") {
		if part == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(part, "=")
		name, err := decode(rawName)
		if err != nil {
			return nil, err
		}
		value, err := decode(rawValue)
		if err != nil {
			err.Expression = "http." + parameterName(name)
			return nil, err
		}
		if len(pairs) == mostPairs {
			return nil, fhir.Errorf(fhir.TooCostly, "http", "there are more than %d parameters: put alternatives into one, separated by commas", mostPairs)
		}
		pairs = append(pairs, Pair{name, value})
	}
	return pairs, nil
}

func decode(s string) (string, *fhir.Error) {
	out, err := url.QueryUnescape(s)
	if err != nil {
		return "", fhir.Errorf(fhir.Value, "", "%q is not percent-encoded correctly: behind %% stand two hexadecimal digits, and %% itself is written %%25", clip(s))
	}
	if !utf8.ValidString(out) {
		return "", fhir.Errorf(fhir.Value, "", "%q is not UTF-8 once it is percent-decoded", clip(s))
	}
	return out, nil
}

// encode writes s so that decode gives it back, and leaves alone what people read in search expressions.
func encode(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~:/|,$@!'()*;=?\\[]", c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
