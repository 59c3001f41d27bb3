package criteria

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"

	"fhirhook/fhir"
)

// Fingerprint tells parameters apart by everything that decides which values they have: an index that was
// made with one fingerprint is right for no other. It does not know of changes of this package; an index
// keeps a version of its own for those.
func (p *Param) Fingerprint() string {
	h := sha256.New()
	p.tell(h)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func (p *Param) tell(w io.Writer) {
	fmt.Fprintf(w, "%q %q %v %q %q %q %q\n", p.URL, p.Code, p.Kind, p.Type, p.Expression, p.Usage, p.Targets)
	for i := range p.Components {
		fmt.Fprintf(w, "%q ", p.Components[i].Expression)
		p.Components[i].Param.tell(w)
	}
}

// sameMeaning tells whether two parameters of a type differ in nothing but the url of their definition.
func (p *Param) sameMeaning(q *Param) bool {
	return p.Kind == q.Kind && p.Expression == q.Expression && p.Code == q.Code &&
		slices.Equal(slices.Sorted(slices.Values(p.Targets)), slices.Sorted(slices.Values(q.Targets))) &&
		slices.EqualFunc(p.Components, q.Components, func(a, b Component) bool {
			return a.Expression == b.Expression && a.Param.sameMeaning(b.Param)
		})
}

// Difference is a search parameter that two tables do not have in common.
type Difference struct {
	Type fhir.Type
	Code string
}

// Differences lists what changed from one table to another: parameters that came, went or have another
// Fingerprint, in order of type and code.
func (d *Definitions) Differences(to *Definitions) []Difference {
	if d == to {
		return nil
	}
	var all []Difference
	for _, t := range fhir.Types() {
		a, b := d.params[t], to.params[t]
		for code, p := range a {
			if q := b[code]; q != p && (q == nil || p.Fingerprint() != q.Fingerprint()) {
				all = append(all, Difference{t, code})
			}
		}
		for code := range b {
			if a[code] == nil {
				all = append(all, Difference{t, code})
			}
		}
	}
	slices.SortFunc(all, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Code, b.Code))
	})
	return all
}
