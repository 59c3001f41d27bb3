package subscription

import (
	"time"

	"fhirhook/channel"
	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// A rotated key goes on for a while beside the new one (DESIGN 4.4). Both stand in the resource, so that what
// is signed follows from the version alone: the key before in previousSecret, which is as secret as the key,
// and the end of the overlap in previousUntil, which anyone may see. Once that has come, neither has an effect.
const (
	previousSecret = ours + "subscription-previous-secret"
	previousUntil  = ours + "subscription-previous-secret-until"
)

func (r *reading) previousSecret(e extension) { r.key(e, &r.set.previous) }

func (r *reading) previousUntil(e extension) {
	s, ok := r.text(e, "valueInstant")
	if !ok {
		return
	}
	t, err := fhir.ParseInstant(s)
	if err != nil {
		r.refuse(fhir.Value, e.at(), "%q is not an instant: date, time with seconds and zone, as in 2030-12-31T23:59:59Z", s)
		return
	}
	put(r, &r.set.previousUntil, e, t)
}

// rotation checks that what belongs together is together.
func (r *reading) rotation() {
	previous, until := r.set.previous, r.set.previousUntil
	switch {
	case previous.path != "" && until.path == "":
		r.refuse(fhir.BusinessRule, previous.path, "say in the extension https://%s how long the key before goes on", previousUntil)
	case until.path != "" && previous.path == "":
		r.refuse(fhir.BusinessRule, until.path, "there is no key before that could go on: give the extension https://%s, too, or leave this one out", previousSecret)
	case previous.path != "" && r.set.secret.path == "":
		r.refuse(fhir.BusinessRule, previous.path, "there is a key before, and no key: give a subscription-secret, or leave this extension out")
	default:
		r.s.Previous, r.s.PreviousUntil = previous.value, until.value
	}
}

// Rotating tells whether the key before goes on at a time.
func (s *Subscription) Rotating(now time.Time) bool {
	return s.Previous != "" && now.Before(s.PreviousUntil)
}

// TargetAt is where and how to send at a time.
func (s *Subscription) TargetAt(now time.Time) channel.Target {
	t := s.Target
	if s.Rotating(now) {
		t.Secrets = append(append([]string(nil), t.Secrets...), s.Previous)
	}
	return t
}

// Rotated returns the bytes of a Subscription with another HMAC key. The one that it had goes on until a time.
// All other bytes stay as they are (invariant 1).
func Rotated(doc *tape.Doc, key string, until time.Time) []byte {
	var edits []tape.Edit
	replace := func(n tape.Node, with []byte) {
		start, end := n.Span()
		edits = append(edits, tape.Edit{Start: start, End: end, With: with})
	}
	old, before := "", false
	for _, s := range spots(doc) {
		switch {
		case s.line || s.inner:
		case s.previous:
			before = true
		default:
			old = s.node.Text()
			replace(s.node, tape.Quote(key))
		}
	}
	var more []byte
	add := func(name, member string, value []byte) {
		if more != nil {
			more = append(more, ',')
		}
		more = append(append(append(more, `{"url":"https://`+name+`","`+member+`":`...), value...), '}')
	}
	switch {
	case old == "":
		add(ours+"subscription-secret", "valueString", tape.Quote(key))
	case before:
		eachOwn(doc, func(name string, value tape.Node) {
			switch name {
			case previousSecret:
				replace(value, tape.Quote(old))
			case previousUntil:
				replace(value, tape.Quote(instant(until)))
			}
		})
	default:
		add(previousSecret, "valueString", tape.Quote(old))
		add(previousUntil, "valueInstant", tape.Quote(instant(until)))
	}
	if more != nil {
		edits = append(edits, appendExtensions(doc.Root(), more))
	}
	return doc.Splice(edits...)
}

// eachOwn calls fn with the value of each extension of a Subscription and of its channel.
func eachOwn(doc *tape.Doc, fn func(name string, value tape.Node)) {
	root := doc.Root()
	for _, holder := range []tape.Node{root, root.Get("channel")} {
		for e := range holder.Get("extension").Elements() {
			for member, v := range e.Members() {
				if len(member) > 5 && member[:5] == "value" {
					fn(extensionName(e.Get("url").Text()), v)
				}
			}
		}
	}
}

// appendExtensions puts extensions behind those that a resource has.
func appendExtensions(root tape.Node, more []byte) tape.Edit {
	if list := root.Get("extension"); list.Exists() {
		_, end := list.Span()
		if list.Len() > 0 {
			more = append([]byte{','}, more...)
		}
		return tape.Edit{Start: end - 1, End: end - 1, With: more}
	}
	_, behind, _ := root.MemberSpan("resourceType")
	more = append(append([]byte(`,"extension":[`), more...), ']')
	return tape.Edit{Start: behind, End: behind, With: more}
}
