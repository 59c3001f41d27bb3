package rest

import (
	"strings"

	"fhirhook/fhir"
)

// prefer is what a client asks of the form of the answer (RFC 7240, R4 http.html#ops).
type prefer struct {
	ret    string // return=: minimal, representation or OperationOutcome; "" if it named none
	strict bool   // handling=strict
	named  bool   // handling was named at all
}

// The values of return=.
const (
	minimal        = "minimal"
	representation = "representation"
	asOutcome      = "OperationOutcome"
)

// parsePrefer reads the lines of a Prefer header. Preferences that this server does not know are left
// unanswered, which RFC 7240 section 2 asks for; Preference-Applied tells which were honoured. A wrong value
// of one that it knows is refused.
func parsePrefer(lines []string) (prefer, error) {
	var p prefer
	for _, line := range lines {
		for part := range strings.FieldsFuncSeq(line, func(r rune) bool { return r == ',' || r == ';' }) {
			name, value, _ := strings.Cut(part, "=")
			value = strings.Trim(strings.TrimSpace(value), `"`)
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "return":
				ret, err := parseReturn(value)
				if err != nil {
					return prefer{}, err
				}
				if p.ret != "" && p.ret != ret {
					return prefer{}, fhir.Errorf(fhir.Invalid, "http.Prefer", "Prefer asks for return=%s and for return=%s: name one", p.ret, ret)
				}
				p.ret = ret
			case "handling":
				if value != "strict" && value != "lenient" {
					return prefer{}, fhir.Errorf(fhir.Value, "http.Prefer", "Prefer: handling=%s is not known: name strict or lenient", value)
				}
				p.strict, p.named = value == "strict", true
			}
		}
	}
	return p, nil
}

func parseReturn(value string) (string, error) {
	if strings.EqualFold(value, "presentation") {
		return representation, nil // as fhirclient writes it in each of its patches
	}
	for _, known := range []string{minimal, representation, asOutcome} {
		if strings.EqualFold(value, known) {
			return known, nil
		}
	}
	return "", fhir.Errorf(fhir.Value, "http.Prefer", "Prefer: return=%s is not known: name minimal, representation or OperationOutcome", value)
}

// applied is the Preference-Applied header, "" for none.
func (p prefer) applied(wrote bool) string {
	var parts []string
	if p.ret != "" && wrote {
		parts = append(parts, "return="+p.ret)
	}
	if p.named {
		handling := "handling=lenient"
		if p.strict {
			handling = "handling=strict"
		}
		parts = append(parts, handling)
	}
	return strings.Join(parts, ", ")
}
