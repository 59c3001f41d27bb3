package criteria

import (
	"strings"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// listParam stands for _list, which HL7 does not define as a SearchParameter.
var listParam = &Param{Code: parameterList, Kind: Special}

// listValue is a value of _list: the id of a List. Its members are what its entries refer to, but for those
// that are marked as deleted. A List that isn't there has none.
type listValue struct{ id string }

func parseList(modifier, value string) (*Term, *fhir.Error) {
	switch {
	case modifier != "":
		return nil, fhir.Errorf(fhir.NotSupported, "", "_list takes no modifier, and :%s is one", clip(modifier))
	case checkEscapes(value) != nil:
		return nil, checkEscapes(value)
	}
	t := &Term{Name: parameterList, Kind: Special, param: listParam}
	for _, s := range split(value, ',') {
		id := strings.TrimPrefix(unescape(s), "List/")
		switch {
		case s == "":
			continue
		case strings.HasPrefix(id, "$"):
			return nil, fhir.Errorf(fhir.NotSupported, "", "%s: functional lists are not offered here; write the id of a List", clip(id))
		case !fhir.ValidID(id):
			return nil, fhir.Errorf(fhir.Value, "", "%q is not the id of a List", clip(id))
		}
		t.Values = append(t.Values, listValue{id})
	}
	if t.Values == nil {
		return nil, nil
	}
	return t, nil
}

func (v listValue) String() string { return v.id }

func (v listValue) check(*Subject) {}

func (v listValue) matches(s *Subject, _ *values) bool {
	if s.embedded {
		return false
	}
	_, in := s.look().members(s, v.id)[Link{Type: s.resource.Key.Type, ID: s.resource.Key.ID}]
	return in
}

// members are the resources of this server that a List has.
func (l *Lookup) members(s *Subject, id string) map[Link]struct{} {
	if m, ok := l.lists[id]; ok {
		l.may()
		return m
	}
	list := l.current(s.env, s.resource.Key.Tenant, "List", id)
	if l.err != nil {
		return nil
	}
	m := map[Link]struct{}{}
	if list != nil {
		for entry := range list.root.Get("entry").Elements() {
			t := targetOf(text(entry.Path("item", "reference")))
			if t.rest && s.own(t.base) && !(entry.Get("deleted").Kind() == tape.Bool && entry.Get("deleted").Bool()) {
				m[Link{Type: t.kind, ID: t.id}] = struct{}{}
			}
		}
	}
	if l.lists == nil || len(l.lists) >= mostRemembered {
		l.lists = map[string]map[Link]struct{}{}
	}
	l.lists[id] = m
	return m
}
