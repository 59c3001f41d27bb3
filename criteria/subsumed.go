package criteria

import "fhirhook/fhir"

// subsumedValue is :below and :above on codes: system|code and its kinds, or what it is a kind of, by the
// hierarchy in the stored CodeSystem (R4 search.html#modifiers). The code itself is among both.
type subsumedValue struct {
	*tokenValue
	below bool
}

// parseSubsumed takes a code without a system where all elements of the parameter are of one system.
func parseSubsumed(p *Param, s, modifier string) (Value, *fhir.Error) {
	token, err := parseToken(s)
	if err != nil {
		return nil, err
	}
	v := &subsumedValue{token, modifier == modifierBelow}
	if !token.bar {
		for i := range p.paths {
			if x := &p.paths[i]; x.system == "" || i > 0 && x.system != p.paths[0].system {
				return nil, fhir.Errorf(fhir.Value, "", "%q names no code system, and :%s goes by that: write system|code", clip(token.code), modifier)
			}
		}
		v.tokenValue = &tokenValue{system: p.paths[0].system, code: token.code, bar: true}
	}
	if v.system == "" || v.code == "" {
		return nil, fhir.Errorf(fhir.Value, "", "%q is not complete: with :%s write system|code", clip(s), modifier)
	}
	return v, nil
}

func (v *subsumedValue) check(s *Subject) { v.in(s) }

// in is the code system that decides, nil if it can't.
func (v *subsumedValue) in(s *Subject) *codeSystem {
	c := s.look().codeSystem(s, systemName{url: v.system})
	if c == nil {
		return nil
	}
	if err := c.ordered(v.code); err != nil {
		s.look().fail(err)
		return nil
	}
	return c
}

func (v *subsumedValue) matches(s *Subject, x *values) bool {
	system := v.in(s)
	if system == nil {
		return false
	}
	for i := range x.codes {
		c := &x.codes[i]
		if c.code == "" || (c.rule != byCode && c.rule != byBinding) || !c.hasSystem(v.system) {
			continue
		}
		lower, upper := c.code, v.code
		if !v.below {
			lower, upper = upper, lower
		}
		if system.below(lower, upper) {
			return true
		}
	}
	return false
}
