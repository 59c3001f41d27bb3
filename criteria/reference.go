package criteria

import (
	"strings"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// target is what a reference or a search value for one points to.
type target struct {
	whole     string // as it is written
	url       string // without a canonical's |version
	version   string // a canonical's
	canonical bool   // it stands where a canonical does
	rest      bool   // it has the form [base/]Type/id[/_history/v]; the following hold only then
	base      string // as place writes it; "" if relative
	kind      fhir.Type
	id        string
	history   string
}

func targetOf(s string) target {
	t := target{whole: s, url: s}
	t.rest = t.split(s)
	return t
}

// split takes s apart if it is a literal reference in REST form (R4 references.html#literal).
func (t *target) split(s string) bool {
	path, history, versioned := strings.Cut(s, "/_history/")
	if versioned && !fhir.ValidID(history) {
		return false
	}
	slash := strings.LastIndexByte(path, '/')
	if slash < 0 || !fhir.ValidID(path[slash+1:]) {
		return false
	}
	head, id := path[:slash], path[slash+1:]
	base, kind := "", head
	if slash = strings.LastIndexByte(head, '/'); slash >= 0 {
		base, kind = head[:slash], head[slash+1:]
		if !strings.HasPrefix(base, "http://") && !strings.HasPrefix(base, "https://") {
			return false
		}
		base = place(base)
	}
	if !fhir.Type(kind).Known() {
		return false
	}
	t.base, t.kind, t.id, t.history = base, fhir.Type(kind), id, history
	return true
}

// pointsTo splits an element that a reference parameter selects. A reference with nothing but an
// identifier or a display points nowhere that could be compared. One to a contained resource (#x) is found
// as it is written and by no Type/x or id, for it points nowhere outside (R4 references.html#contained).
func pointsTo(l Leaf) (target, bool) {
	n := l.Node
	switch l.Type {
	case "canonical", "uri", "url":
	case "Attachment":
		return target{}, false
	default:
		if kind := text(n.Get("resourceType")); kind != "" { // a whole resource, as in a Bundle
			return targetOf(kind + "/" + text(n.Get("id"))), true
		}
		n = n.Get("reference")
	}
	s := text(n)
	if s == "" {
		return target{}, false
	}
	if l.Type == "Reference" {
		return targetOf(s), true
	}
	return canonicalOf(s), true
}

// canonicalOf splits url|version.
func canonicalOf(s string) target {
	url, version, _ := strings.Cut(s, "|")
	t := targetOf(url)
	t.whole, t.version, t.canonical = s, version, true
	return t
}

// referenceValue is a value of a reference parameter: id, Type/id, Type/id/_history/v, a URL or URN, or a
// canonical url|version.
type referenceValue struct {
	target
	bare bool // an id alone: the type is any that the parameter allows
	only bool // the type came as the modifier :[Type]
}

func parseReference(s, modifier string) (Value, *fhir.Error) {
	if modifier != "" {
		return parseTypedReference(s, fhir.Type(modifier))
	}
	parts := split(s, '|')
	if len(parts) > 2 {
		return nil, fhir.Errorf(fhir.Value, "", `%q has more than one |: write url or url|version, and \| for a | within`, clip(s))
	}
	if parts[0] == "" {
		return nil, fhir.Errorf(fhir.Value, "", "%q has no reference before the |: write an id, Type/id, a URL, or url|version", clip(s))
	}
	v := &referenceValue{target: targetOf(unescape(parts[0]))}
	if len(parts) == 2 && parts[1] != "" {
		v.version = unescape(parts[1])
		v.whole += "|" + v.version
		return v, nil
	}
	v.bare = !v.rest && fhir.ValidID(v.whole)
	return v, nil
}

// parseTypedReference reads the value of :[Type]: an id, for the modifier names the type already.
func parseTypedReference(s string, kind fhir.Type) (Value, *fhir.Error) {
	id := unescape(s)
	if t := targetOf(id); t.rest && t.base == "" && t.kind == kind && t.history == "" {
		id = t.id
	}
	if !fhir.ValidID(id) {
		return nil, fhir.Errorf(fhir.Value, "", "%q is not an id: with the modifier :%s write the id alone", clip(id), kind)
	}
	return &referenceValue{target: targetOf(string(kind) + "/" + id), only: true}, nil
}

func (v *referenceValue) String() string {
	switch {
	case v.only:
		return v.id
	case v.version == "":
		return escape(v.url)
	default:
		return escape(v.url) + "|" + escape(v.version)
	}
}

func (v *referenceValue) matches(s *Subject, x *values) bool {
	for i := range x.targets {
		if v.is(s, x.param, &x.targets[i]) {
			return true
		}
	}
	return false
}

func (v *referenceValue) is(s *Subject, p *Param, t *target) bool {
	switch {
	case v.whole == t.whole, v.url == t.url && (v.version == "" || v.version == t.version):
		return true
	case v.version != "" || !t.rest:
		return false
	case v.bare:
		return t.id == v.whole && s.own(t.base) && p.mayTarget(t.kind)
	default:
		return v.rest && v.id == t.id && v.kind == t.kind &&
			(v.history == "" || v.history == t.history) &&
			(v.base == t.base || s.own(v.base) && s.own(t.base))
	}
}

// identifierValue is :identifier: a token search in the reference's own identifier, never in its target's.
type identifierValue struct{ *tokenValue }

func (v identifierValue) matches(_ *Subject, x *values) bool {
	for _, l := range x.leaves {
		n := l.Node.Get("identifier")
		if l.Type == "Reference" && n.Kind() == tape.Object && v.in(codesOf(nil, Leaf{Node: n, Type: "Identifier"})) {
			return true
		}
	}
	return false
}

// canonicalBelow is :below on canonicals: url is any version of it, url|1 is 1, 1.0, 1.1 …
// (R4 references.html#canonical).
type canonicalBelow struct{ *referenceValue }

func (v canonicalBelow) matches(_ *Subject, x *values) bool {
	for i := range x.targets {
		t := &x.targets[i]
		if t.canonical && t.url == v.url &&
			(v.version == "" || t.version == v.version || strings.HasPrefix(t.version, v.version+".")) {
			return true
		}
	}
	return false
}

func parseCanonicalBelow(s string) (Value, *fhir.Error) {
	v, err := parseReference(s, "")
	if err != nil {
		return nil, err
	}
	r := v.(*referenceValue)
	if !strings.Contains(r.url, ":") {
		return nil, fhir.Errorf(fhir.NotSupported, "", "%q is not a canonical URL, and :below is supported on those only: write url or url|version", clip(r.whole))
	}
	return canonicalBelow{r}, nil
}
