package validate

import (
	"slices"
	"strings"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// missing names the required elements whose bits are set.
func (r *run) missing(s *shape, bits uint64) {
	for i, e := range s.elements {
		if bits&(1<<i) == 0 {
			continue
		}
		name := e.Name
		if e.Choice {
			name += "[x]"
		}
		r.under(e.Name).lack(fhir.Incomplete, "%s needs %s (R4: at least one), and it is missing", s.name, name)
		r.leave()
	}
}

// code says that a code isn't in the set that it is bound to.
func (r *run) code(m *member, v tape.Node) {
	r.lack(fhir.CodeInvalid, "%s is not in the value set %s%s", r.quote(v), m.element.ValueSet, offered(m, v.Text()))
}

// bound checks the Coding, CodeableConcept or Quantity of a required binding: one of its codes must be in the
// value set. Text alone does not do (R4 terminologies.html#required).
func (r *run) bound(m *member, v tape.Node) {
	in := func(coding tape.Node) bool {
		return m.codes.HasIn(coding.Get("system").Text(), coding.Get("code").Text())
	}
	codings, code := v.Get("coding"), ""
	switch m.typ.Name {
	case "CodeableConcept":
		for w := codings.Walk(); w.Next(); {
			if in(w.Value()) {
				return
			}
			code = w.Value().Get("code").Text()
		}
	case "Coding", "Quantity":
		if in(v) {
			return
		}
		code = v.Get("code").Text()
	default:
		return
	}
	r.lack(fhir.CodeInvalid, "none of its codes is in the value set %s%s", m.element.ValueSet, offered(m, code))
}

// offered is the end of a sentence about a wrong code: what was meant, or what there is if that isn't much.
func offered(m *member, code string) string {
	const few = 20
	all := slices.Sorted(m.codes.All())
	if near := nearest(code, all); near != "" {
		return `: did you mean "` + near + `"?`
	}
	if len(all) <= few {
		return ": it holds " + strings.Join(all, ", ")
	}
	return ""
}
