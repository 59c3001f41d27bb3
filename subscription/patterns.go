package subscription

import (
	"errors"
	"slices"
	"strings"

	"fhirhook/channel/resthook"
	"fhirhook/criteria"
	"fhirhook/fhir"
)

// Bounds of event patterns and names.
const (
	mostPatterns = 256
	mostPattern  = 128 // bytes
)

// event reads subscription-event.
func (r *reading) event(e extension) {
	s, ok := r.text(e, "valueString")
	if !ok {
		return
	}
	r.set.events = append(r.set.events, setting[string]{s, e.at()})
	if len(r.set.events) == mostPatterns+1 {
		r.refuse(fhir.BusinessRule, e.at(), "more than %d event patterns: use one that stands for several, such as patient.* or *", mostPatterns)
	}
}

// eventName reads subscription-event-name, which goes into a header.
func (r *reading) eventName(e extension) {
	s, ok := r.text(e, "valueString")
	if !ok {
		return
	}
	if err := checkEventName(s); err != nil {
		r.refuse(fhir.BusinessRule, e.at(), "%s", err)
		return
	}
	put(r, &r.set.eventName, e, s)
}

func checkEventName(s string) error {
	switch {
	case len(s) > mostPattern:
		return errors.New("an event name has at most 128 characters")
	case strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' }):
		return errors.New("an event name stands in a header, so it may hold nothing but printable ASCII characters")
	case strings.TrimSpace(s) != s:
		return errors.New("an event name must not begin or end with a blank: it would be lost in a header")
	default:
		return nil
	}
}

// events compiles the event patterns when the criteria are known, narrows the criteria to the types that remain,
// and lets the patterns decide the interactions (DESIGN §4.2).
func (r *reading) events(rules Rules) {
	set, s := &r.set, r.s
	s.EventName = set.eventName.value
	if len(set.events) == 0 || len(set.events) > mostPatterns || r.o.Definitions == nil || s.Names == nil {
		return
	}
	about := func(t fhir.Type) bool { return s.Query == nil || s.Query.About(t) }
	wild := s.Query != nil && len(s.Query.Types()) == 0
	var texts []string
	var found []named
	for _, p := range set.events {
		f, ok := r.pattern(p, rules, wild, about)
		if !ok {
			continue
		}
		texts, found = append(texts, p.value), append(found, f)
	}
	if len(found) < len(set.events) || s.Query == nil {
		return
	}
	s.Events = newEvents(s.Names, texts, found, wild, rules.Deletes, about)
	r.decide()
	r.narrow()
}

// pattern looks a pattern up and refuses it if no change can be both what it and what the criteria are about.
func (r *reading) pattern(p setting[string], rules Rules, wild bool, about func(fhir.Type) bool) (f named, ok bool) {
	x, d := r.s.Names.index, r.s.Names.dialect
	if len(p.value) > mostPattern {
		r.refuse(fhir.BusinessRule, p.path, "an event pattern has at most %d characters", mostPattern)
		return f, false
	}
	f, ok = x.find(p.value)
	switch {
	case !ok && strings.Contains(strings.TrimSuffix(strings.TrimPrefix(p.value, "*."), ".*"), "*"):
		r.refuse(fhir.BusinessRule, p.path, "in %q, * stands for part of a name: it can stand for a whole type or for what happened, as in patient.*, *.created or *", p.value)
		return f, false
	case !ok:
		r.refuse(fhir.BusinessRule, p.path, "no event is called %q in the dialect %s: write a resource type and what happened to it, as in patient.created or patient.*, or * for every change%s", p.value, d.Name, ownWords(d))
		return f, false
	}
	anywhere := func(fhir.Type) bool { return true }
	switch wide := f.wide; {
	case wide.Create || wide.Update || len(f.covered(wild, rules.Deletes, about)) > 0:
		return f, true
	case wide.Delete && rules.Deletes:
		return f, true
	case len(f.callings) == 0 && !wide.Delete:
		return f, true // a test, or a name that the operator declares
	case len(f.covered(false, rules.Deletes, anywhere)) == 0:
		r.refuse(fhir.BusinessRule, p.path, "%q is about deletions: R4 sends nothing on a delete, and the dialect %s keeps to that. Name another dialect, or leave the pattern out", p.value, d.Name)
	case f.anyType && wild:
		r.refuse(fhir.BusinessRule, p.path, "%q is about %s, which the criteria [*] leave out unless a pattern names the type or the event in full", p.value, f.about())
	default:
		r.refuse(fhir.BusinessRule, p.path, "%q is about %s, and the criteria are %s: no change can be both", p.value, f.about(), r.s.Criteria)
	}
	return f, false
}

// ownWords adds the dialect's own words to a refusal.
func ownWords(d resthook.Dialect) string {
	all := ownFamilies(d)
	if len(all) == 0 {
		return ""
	}
	return ". This dialect also speaks of " + strings.Join(all, ", ")
}

// about lists the types that a pattern is about.
func (f named) about() string {
	var types []string
	for _, o := range f.callings {
		if !slices.Contains(types, string(o.of)) {
			types = append(types, string(o.of))
		}
	}
	const few = 5
	if len(types) > few {
		types = append(types[:few], "…")
	}
	return strings.Join(types, ", ")
}

// decide lets the patterns decide the interactions. What else asks for interactions has to allow them, too.
func (r *reading) decide() {
	set, s := &r.set, r.s
	covered := s.Events.interactions()
	switch {
	case s.Events.silent():
		s.Interactions = Interactions{}
		return
	case set.sendDelete.value && !covered.Delete:
		r.refuse(fhir.BusinessRule, set.sendDelete.path, "asks for deletes, and the event patterns (%s) leave them out: add a pattern such as *.deleted, or leave this extension out", s.Events)
	}
	if set.named == "" {
		s.Interactions = covered
		return
	}
	if s.Interactions = s.Interactions.and(covered); s.Interactions == (Interactions{}) {
		r.refuse(fhir.BusinessRule, set.events[0].path, "the event patterns (%s) and the interactions asked for at %s have nothing in common, so that nothing would notify", s.Events, set.named)
	}
}

// narrow makes the criteria those of the types that the patterns leave, so that changes of other types don't even
// try them.
func (r *reading) narrow() {
	s := r.s
	left := slices.DeleteFunc(s.Events.types(), func(t fhir.Type) bool { return !s.Query.About(t) })
	if len(left) == 0 || len(left) == len(s.Query.Types()) {
		return
	}
	names := make([]string, len(left))
	for i, t := range left {
		names[i] = string(t)
	}
	text := "[" + strings.Join(names, ",") + "]"
	if _, rest, ok := strings.Cut(s.Criteria, "?"); ok {
		text += "?" + rest
	}
	if q, err := criteria.Parse(text, r.o.Definitions); err == nil { // what all types understand, each does
		s.Query = q
	}
}
