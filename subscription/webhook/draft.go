package webhook

import (
	"slices"

	"fhirhook/fhir/tape"
	"fhirhook/subscription"
)

// fresh is a Subscription that is a webhook as far as the form leaves no choice.
const fresh = `{"resourceType":"Subscription","status":"active","criteria":"[*]","channel":{"type":"rest-hook"}}`

// draft writes into a Subscription what a form says otherwise than was, the form of the Subscription as it stands.
// Everything else of it stays as it is, token for token.
func draft(doc *tape.Doc, was, f form) *tape.Doc {
	d := drafting{doc}
	if was.active != f.active {
		status := string(subscription.Off)
		if f.active {
			status = string(subscription.Active)
		}
		d.set("status", tape.Quote(status))
	}
	if was.description != f.description {
		d.set("reason", quoted(f.description))
	}
	if was.url != f.url {
		d.inChannel("endpoint", tape.Quote(f.url))
	}
	if !slices.Equal(was.events, f.events) {
		d.extend(func(url string) bool { return is(url, eventURL) }, extensions("valueString", eventURL, f.events...))
	}
	if was.dialect != f.dialect || was.url == "" {
		d.extend(func(url string) bool { return is(url, dialectURL) }, extensions("valueCode", dialectURL, f.dialect))
	}
	if was.secret != f.secret {
		// What was the key before the last rotation goes with the key that it belonged to.
		d.extend(subscription.SecretExtension, extensions("valueString", secretURL, f.secret))
	}
	if was.organization != f.organization {
		d.extend(func(url string) bool { return is(url, organizationURL) }, extensions("valueString", organizationURL, f.organization))
	}
	return d.doc
}

// extensions makes extensions of texts, none of an empty one.
func extensions(member, url string, texts ...string) [][]byte {
	var all [][]byte
	for _, text := range texts {
		if text == "" {
			continue
		}
		e := append([]byte(`{"url":`), tape.Quote(url)...)
		e = append(append(e, `,"`+member+`":`...), tape.Quote(text)...)
		all = append(all, append(e, '}'))
	}
	return all
}

func quoted(text string) []byte {
	if text == "" {
		return nil
	}
	return tape.Quote(text)
}

// drafting is a Subscription while it is changed.
type drafting struct{ doc *tape.Doc }

// set gives the Subscription a member; nil takes it away.
func (d *drafting) set(name string, value []byte) { d.doc = parsed(with(d.doc.Root(), name, value)) }

func (d *drafting) inChannel(name string, value []byte) {
	d.set("channel", with(d.doc.Root().Get("channel"), name, value))
}

// extend puts extensions in the place of those that match, wherever one is read.
func (d *drafting) extend(match func(url string) bool, more [][]byte) {
	channel := d.doc.Root().Get("channel")
	if kept := without(channel.Get("extension"), match); len(kept) < channel.Get("extension").Len() {
		d.inChannel("extension", array(kept))
	}
	d.set("extension", array(append(without(d.doc.Root().Get("extension"), match), more...)))
}

// without are the extensions that don't match.
func without(list tape.Node, match func(url string) bool) [][]byte {
	var kept [][]byte
	for e := range list.Elements() {
		if !match(e.Get("url").Text()) {
			kept = append(kept, e.Raw())
		}
	}
	return kept
}

// array is nil for none: R4 has no empty arrays.
func array(values [][]byte) []byte {
	if len(values) == 0 {
		return nil
	}
	b := []byte{'['}
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, v...)
	}
	return append(b, ']')
}

// with is an object with a member set, or taken away by nil.
func with(object tape.Node, name string, value []byte) []byte {
	b := []byte{'{'}
	put := func(name string, value []byte) {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(append(append(b, tape.Quote(name)...), ':'), value...)
	}
	there := false
	for member, v := range object.Members() {
		switch {
		case member != name:
			put(member, v.Raw())
		case value != nil:
			put(name, value)
			there = true
		}
	}
	if !there && value != nil {
		put(name, value)
	}
	return append(b, '}')
}

// parsed reads what was put together from JSON values here, which is JSON.
func parsed(b []byte) *tape.Doc {
	doc, err := tape.Parse(b, storedDepth)
	if err != nil {
		panic("webhook: a Subscription that is no JSON: " + err.Error())
	}
	return doc
}
