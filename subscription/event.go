package subscription

import (
	"strings"

	"fhirhook/fhir"
)

// EventName is the generic name of a change: the type in kebab-case and what happened to it, as in
// practitioner-role.created. Update-as-create and the revival of a deleted resource are created.
func EventName(t fhir.Type, i fhir.Interaction) string {
	var b strings.Builder
	for n, c := range string(t) {
		if c >= 'A' && c <= 'Z' {
			if n > 0 {
				b.WriteByte('-')
			}
			c += 'a' - 'A'
		}
		b.WriteRune(c)
	}
	switch i {
	case fhir.Create:
		b.WriteString(".created")
	case fhir.Update:
		b.WriteString(".updated")
	case fhir.Delete:
		b.WriteString(".deleted")
	}
	return b.String()
}
