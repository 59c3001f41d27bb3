package criteria

import "slices"

// A composite has the keys of one of its components, the first that is an equality in all alternatives: what is
// in one element together is in one of its elements.

// keyPart is that component, from 1; 0 if there is none, and of all other terms.
func (t *Term) keyPart() int {
	if t.Kind != Composite || t.Modifier != "" {
		return 0
	}
	first, ok := t.Values[0].(*compositeValue)
	if !ok {
		return 0
	}
	for i := range first.parts {
		if !slices.ContainsFunc(t.Values, func(v Value) bool { return !v.(*compositeValue).parted(i) }) {
			return i + 1
		}
	}
	return 0
}

// parted tells whether a part is an equality.
func (v *compositeValue) parted(i int) bool {
	switch v.parts[i].(type) {
	case *tokenValue, *referenceValue, *uriValue:
		return true
	default:
		return false
	}
}

// partKeys are the keys of a term for a parameter, of a composite those of a part of it.
func (t *Term) partKeys(p *Param, part int) []string {
	if part == 0 {
		return t.keys(p)
	}
	keys := make([]string, len(t.Values))
	governing := p.Components[part-1].Param
	for i, v := range t.Values {
		v := v.(*compositeValue).parts[part-1]
		keys[i] = key(governing, v)
		if token, ok := v.(*tokenValue); ok && token.code != "" {
			// Without its system, for what governs a part may select elements of other types.
			_, loose := governing.tokenForms()
			keys[i] = looseCode(token.code, loose)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// appendPartKeys is AppendKeys for a composite's part, too.
func (s *Subject) appendPartKeys(out []string, p *Param, part int) []string {
	if part == 0 {
		return s.AppendKeys(out, p)
	}
	for _, tuple := range s.values(p).tuples {
		out = tuple[part-1].appendKeys(out, s)
	}
	return out
}
