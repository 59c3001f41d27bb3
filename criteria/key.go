package criteria

import (
	"slices"

	"fhirhook/fhir"
)

// Keys are what an inverted index finds candidates by. A value of an equality has one, an element has
// several, and this holds: if a value matches a subject, then its key is among the subject's keys of that
// parameter. The reverse need not hold; candidates are verified.

// Keys returns the keys of a term's alternatives for a type, sorted; false if the term is no equality.
func (t *Term) Keys(of fhir.Type) ([]string, bool) {
	p, ok := t.Param(of)
	if !ok || !t.equality() {
		return nil, false
	}
	return t.keys(p), true
}

func (t *Term) keys(p *Param) []string {
	keys := make([]string, len(t.Values))
	for i, v := range t.Values {
		keys[i] = key(p, v)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// AppendKeys adds the keys of all elements that a parameter selects in the subject; there may be repetitions.
func (s *Subject) AppendKeys(out []string, p *Param) []string {
	return s.values(p).appendKeys(out, s)
}

// equality tells whether all of a term's values have keys.
func (t *Term) equality() bool {
	if t.linked != nil {
		return false
	}
	switch t.Kind {
	case Token, URI:
		return t.Modifier == ""
	case Reference:
		return t.Modifier == "" || fhir.Type(t.Modifier).Known()
	case String: // _text and _content take no modifier
		return t.Modifier == modifierExact
	default:
		return false
	}
}

// key is an equality value's key for a parameter.
func key(p *Param, v Value) string {
	switch v := v.(type) {
	case *tokenValue:
		return v.key(p)
	case *referenceValue:
		return v.key()
	case *uriValue:
		return v.url
	case *stringValue:
		return v.text
	default:
		return ""
	}
}

// appendKeys adds the keys of all elements.
func (x *values) appendKeys(out []string, s *Subject) []string {
	for i := range x.codes {
		out = x.codes[i].appendKeys(out, x.param)
	}
	for i := range x.targets {
		out = x.targets[i].appendKeys(out, s)
	}
	for i := range x.addresses {
		a := &x.addresses[i]
		out = appendURLKeys(out, a.whole)
		if local := s.localForm(a.url); local != "" {
			out = append(out, local)
		}
	}
	for i := range x.phrases {
		out = append(out, x.phrases[i].raw)
	}
	return out
}

// appendURLKeys adds a URL, whole and cut at each |, since any of them may begin a version.
func appendURLKeys(out []string, whole string) []string {
	for i := range len(whole) {
		if whole[i] == '|' {
			out = append(out, whole[:i])
		}
	}
	return append(out, whole)
}

// tokenForms says what codes of a parameter may look like, which decides what its keys can distinguish.
func (p *Param) tokenForms() (unknownSystems, loose bool) {
	for i := range p.paths {
		switch p.paths[i].typ {
		case "code":
			unknownSystems = unknownSystems || p.paths[i].system == ""
		case "ContactPoint", "string", "markdown":
			loose = true
		}
	}
	return unknownSystems, loose
}

func (v *tokenValue) key(p *Param) string {
	unknownSystems, loose := p.tokenForms()
	code := v.code
	if loose {
		code = looseContact("phone", code)
	}
	switch {
	case v.code == "":
		return v.system + "|"
	case v.system == "" || unknownSystems:
		return code
	default:
		return v.system + "|" + code
	}
}

func (c *coded) appendKeys(out []string, p *Param) []string {
	_, loose := p.tokenForms()
	code := c.code
	if loose {
		code = looseContact("phone", code)
	}
	if c.rule == byTruth {
		for _, system := range specialValues {
			out = append(out, system+"|", system+"|"+code)
		}
	} else if c.system != "" {
		out = append(out, c.system+"|", c.system+"|"+code)
	}
	return append(out, code)
}

func (v *referenceValue) key() string {
	switch {
	case v.version != "" || !v.rest:
		return v.url
	default:
		return v.target.place()
	}
}

// place is where the target is, without its version: Type/id, or base/Type/id.
func (t *target) place() string {
	local := string(t.kind) + "/" + t.id
	if t.base == "" {
		return local
	}
	return t.base + "/" + local
}

func (t *target) appendKeys(out []string, s *Subject) []string {
	out = appendURLKeys(out, t.whole)
	if !t.rest {
		return out
	}
	place := t.url // as most references are written
	if t.base != "" || t.history != "" {
		place = t.place()
		out = append(out, place)
	} else if t.version != "" {
		out = append(out, place)
	}
	if s.own(t.base) {
		local := place
		if t.base != "" {
			local = string(t.kind) + "/" + t.id
			out = append(out, local)
		}
		out = append(out, t.id)
		for _, base := range s.ownBases() {
			out = append(out, base+"/"+local)
		}
	}
	return out
}
