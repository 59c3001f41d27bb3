package criteria

import "fhirhook/fhir"

// Named is a resource that a reference names, in whatever version.
type Named struct {
	Type fhir.Type
	ID   string
}

// Named tells which resources the term is about, where every value of it names one of the server's own by type
// and id: a subject that refers to none of them, by whatever version of theirs, can't match. False if the term
// says something else.
func (t *Term) Named(env Env) ([]Named, bool) {
	if t.linked != nil || t.Kind != Reference || t.Modifier != "" && !fhir.Type(t.Modifier).Known() {
		return nil, false
	}
	own := NewSubject(&fhir.Resource{}, env)
	var all []Named
	for _, value := range t.Values {
		v, ok := value.(*referenceValue)
		if !ok || !v.rest || !own.own(v.base) {
			return nil, false
		}
		all = append(all, Named{v.kind, v.id})
	}
	return all, true
}
