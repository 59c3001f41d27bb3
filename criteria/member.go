package criteria

import (
	"strings"

	"fhirhook/fhir"
)

// memberValue is :in and :not-in: the address or canonical URL of a ValueSet (R4 search.html#modifiers).
type memberValue struct{ target }

func parseMember(s string) (Value, *fhir.Error) {
	parts := split(s, '|')
	if len(parts) > 2 {
		return nil, fhir.Errorf(fhir.Value, "", `%q has more than one |: write url or url|version, and \| for a | within`, clip(s))
	}
	v := &memberValue{targetOf(unescape(parts[0]))}
	if len(parts) == 2 && parts[1] != "" {
		v.version = unescape(parts[1])
		v.whole += "|" + v.version
	}
	switch {
	case v.rest && v.kind != fhir.ValueSet && v.base == "", v.history != "":
		return nil, fhir.Errorf(fhir.Value, "", "%q is not the address of a ValueSet: write ValueSet/id, url or url|version", clip(v.whole))
	case !v.rest && !strings.Contains(v.url, ":"):
		return nil, fhir.Errorf(fhir.Value, "", "%q is no address: write ValueSet/id, url or url|version", clip(v.whole))
	}
	return v, nil
}

func (v *memberValue) String() string {
	if v.version == "" {
		return escape(v.url)
	}
	return escape(v.url) + "|" + escape(v.version)
}

func (v *memberValue) check(s *Subject) { s.look().valueSet(s, v.target) }

func (v *memberValue) matches(s *Subject, x *values) bool {
	set := s.look().valueSet(s, v.target)
	if set == nil {
		return false
	}
	for i := range x.codes {
		if set.holds(s, &x.codes[i]) {
			return true
		}
	}
	return false
}
