package subscription

import (
	"bytes"

	"fhirhook/fhir"
)

// strayMark stands in every resource that may hold a secret of a Subscription: most need no closer look.
var strayMark = []byte("ubscription")

// Stray refuses resources of other types that hold what a Subscription keeps secret: in a Bundle, Parameters or contained, a
// Subscription is a copy that nobody acts on, and whoever reads the resource would read its secrets; nor would they be
// encrypted. Masks may stand there.
func Stray(in fhir.Incoming) error {
	if in.Type == fhir.Subscription || !bytes.Contains(in.Doc.Bytes(), strayMark) {
		return nil
	}
	var problems []*fhir.Error
	walk(in.Doc.Root(), string(in.Type), true, func(s spot) {
		if s.masked() {
			return
		}
		problems = append(problems, fhir.Errorf(fhir.BusinessRule, s.path,
			"a secret of a Subscription is only kept in a Subscription of its own, where it is encrypted and never shown: leave it out here, or write %s in its place", Mask))
	})
	return fhir.Join(problems)
}
