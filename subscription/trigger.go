package subscription

import (
	"fhirhook/fhir"
	"fhirhook/subscription/expression"
)

// Trigger says what about a change notifies. A resource that doesn't exist matches no criteria.
type Trigger uint8

// The triggers.
const (
	Matches Trigger = iota // the criteria find the version that was written, or that a delete ended (R4)
	Enters                 // they find the version that was written, and did not find the one before
	Leaves                 // they found the version before, and do not find what is there now
	Changes                // they find both, and a search parameter that is followed has other values
)

// triggers are the codes of subscription-trigger. It is read-only.
var triggers = map[string]Trigger{"matches": Matches, "enters": Enters, "leaves": Leaves, "changes": Changes}

// trigger reads subscription-trigger.
func (r *reading) trigger(e extension) {
	if s, ok := r.code(e, "matches", "enters", "leaves", "changes"); ok {
		put(r, &r.set.trigger, e, triggers[s])
	}
}

func (r *reading) triggerParameter(e extension) {
	if s, ok := r.text(e, "valueString"); ok {
		r.set.followed = append(r.set.followed, setting[string]{s, e.at()})
	}
}

// expression reads Medplum's FHIRPath criteria.
func (r *reading) expression(e extension) {
	s, ok := r.text(e, "valueString")
	if !ok {
		return
	}
	if _, err := expression.Compile(s); err != nil {
		r.refuse(fhir.BusinessRule, e.at(), "%s", err)
		return
	}
	put(r, &r.set.expression, e, s)
}

// triggers checks what the trigger needs, when the criteria are known.
func (r *reading) triggers() {
	set, s := &r.set, r.s
	s.Expression = set.expression.value
	switch {
	case s.Trigger == Changes && len(set.followed) == 0:
		r.refuse(fhir.BusinessRule, set.trigger.path, "the trigger changes needs to know what is followed: name a search parameter, such as status, in the extension %ssubscription-trigger-parameter", "https://"+ours)
	case s.Trigger != Changes:
		for _, p := range set.followed {
			r.refuse(fhir.BusinessRule, p.path, "a parameter is followed by the trigger changes alone: set %ssubscription-trigger to changes, or leave the parameter out", "https://"+ours)
		}
		set.followed = nil
	}
	at := set.named
	if at == "" && s.Events != nil {
		at = set.events[0].path
	}
	switch i := s.Interactions; {
	case at == "", i == Interactions{}:
	case s.Trigger == Enters && !i.Create && !i.Update:
		r.refuse(fhir.BusinessRule, at, "the trigger enters never notifies of a delete: ask for create, update or both")
	case s.Trigger == Changes && !i.Update:
		r.refuse(fhir.BusinessRule, at, "the trigger changes notifies of nothing but updates: ask for update")
	}
	if s.Query == nil {
		return
	}
	seen := map[string]bool{}
	for _, p := range set.followed {
		if r.follows(p) && !seen[p.value] {
			seen[p.value] = true
			s.Parameters = append(s.Parameters, p.value)
		}
	}
}

// follows tells whether a parameter can be followed in all types that the criteria are about.
func (r *reading) follows(p setting[string]) bool {
	types := r.s.Query.Types()
	if len(types) == 0 {
		types = fhir.Types()
	}
	for _, t := range types {
		switch param, ok := r.o.Definitions.Param(t, p.value); {
		case !ok:
			r.refuse(fhir.BusinessRule, p.path, "%.60q is not a search parameter of %s: name one that every type of the criteria has, such as _tag", p.value, t)
			return false
		case param.Expression == "":
			r.refuse(fhir.BusinessRule, p.path, "%s is about no element, so it can't be followed: name a search parameter with values, such as _tag", p.value)
			return false
		}
	}
	return true
}
