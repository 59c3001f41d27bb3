package subscription

import (
	"strings"

	"fhirhook/fhir/tape"
)

// Mask stands in the place of a secret wherever a Subscription is shown (invariant 8).
const Mask = "********"

// spot is one secret in a Subscription's JSON: the value of a secret extension, or a line of channel.header.
type spot struct {
	node     tape.Node // the value
	path     string    // FHIRPath of the value
	line     bool      // of channel.header; else an HMAC key
	header   string    // a line's header name, as written
	previous bool      // the key before the last rotation
	inner    bool      // not where this Subscription's own secrets stand, but inside something that it contains
}

// masked tells whether the mask stands there.
func (s spot) masked() bool {
	if !s.line {
		return s.node.Is(Mask)
	}
	_, value, _ := strings.Cut(s.node.Text(), ":")
	return strings.TrimSpace(value) == Mask
}

// mask is what is shown in the spot's place.
func (s spot) mask() []byte {
	if s.header == "" { // a key, or a line without a colon, all of which may be secret
		return tape.Quote(Mask)
	}
	return tape.Quote(s.header + ": " + Mask)
}

// spots finds all secrets of a Subscription, in the order of the document. It looks everywhere, into
// contained resources and extensions of extensions too, for what is shown there is shown.
func spots(doc *tape.Doc) []spot {
	var found []spot
	walk(doc.Root(), "Subscription", false, func(s spot) { found = append(found, s) })
	return found
}

func walk(n tape.Node, path string, inner bool, found func(spot)) {
	switch n.Kind() {
	case tape.Array:
		i := 0
		for v := range n.Elements() {
			walk(v, indexed(path, i), inner, found)
			i++
		}
	case tape.Object:
		extension := extensionName(n.Get("url").Text())
		secret := secretNames[extension]
		subscription := n.Get("resourceType").Is("Subscription")
		for name, v := range n.Members() {
			at := path + "." + name
			switch {
			case secret && strings.HasPrefix(name, "value"):
				found(spot{node: v, path: at, previous: extension == previousSecret, inner: inner || !own(path)})
			case subscription && name == "channel":
				headers(v.Get("header"), at+".header", inner || path != "Subscription", found)
				walk(v, at, inner, found)
			default:
				walk(v, at, inner, found)
			}
		}
	}
}

// own tells whether an extension at path is one that Parse reads.
func own(path string) bool {
	rest, ok := strings.CutPrefix(path, "Subscription.channel.extension[")
	if !ok {
		rest, ok = strings.CutPrefix(path, "Subscription.extension[")
	}
	return ok && strings.IndexByte(rest, ']') == len(rest)-1
}

func headers(list tape.Node, path string, inner bool, found func(spot)) {
	i := 0
	for v := range list.Elements() {
		name, _, ok := strings.Cut(v.Text(), ":")
		if !ok {
			name = ""
		}
		found(spot{node: v, path: indexed(path, i), line: true, header: strings.TrimSpace(name), inner: inner})
		i++
	}
}

// redact masks every secret of a Subscription but those for which show is true.
func redact(doc *tape.Doc, show func(spot) bool) []byte {
	var edits []tape.Edit
	for _, s := range spots(doc) {
		if show == nil || !show(s) {
			start, end := s.node.Span()
			edits = append(edits, tape.Edit{Start: start, End: end, With: s.mask()})
		}
	}
	if edits == nil {
		return doc.Bytes()
	}
	return doc.Splice(edits...)
}

// unmask puts the stored values of prev (nil: there is none) where a client sent masks back. Why a mask had
// to stay where it is is told by its path.
func unmask(doc, prev *tape.Doc) (restored *tape.Doc, why map[string]string) {
	why = map[string]string{}
	sent, stored := byName(spots(doc)), byName(spots(prev))
	var edits []tape.Edit
	for name, s := range sent {
		masks := maskedOnly(s)
		if len(masks) == 0 {
			continue
		}
		values, reason := keep(s, masks, stored[name], prev != nil, sameOrigin(doc, prev))
		for i, m := range masks {
			if reason != "" || m.inner {
				why[m.path] = reason
				continue
			}
			start, end := m.node.Span()
			edits = append(edits, tape.Edit{Start: start, End: end, With: renamed(values[i], m.header)})
		}
	}
	if len(edits) == 0 {
		return doc, why
	}
	return reparsed(doc.Splice(edits...)), why
}

// keep pairs masks with stored spots of the same name. A reader sees the same mask for all of them, so that
// the pairing must follow from the order alone; where it doesn't, a guess could send the wrong value.
func keep(sent, masks, stored []spot, update, same bool) (values []spot, reason string) {
	switch {
	case !update:
		return nil, Mask + " stands for a stored value, and nothing is stored yet: send the value itself"
	case !same:
		return nil, "the endpoint has moved to another scheme, host or port, where the stored value doesn't follow: send the value itself"
	case len(stored) == 0:
		return nil, Mask + " stands for a stored value, and there is none: send the value itself"
	case !masks[0].line:
		// All keys of a stored Subscription that go by one name are the same (put).
		for range masks {
			values = append(values, stored[0])
		}
		return values, ""
	case len(masks) == len(stored):
		return stored, ""
	case len(sent) == len(stored):
		for i, s := range sent {
			if s.masked() {
				values = append(values, stored[i])
			}
		}
		return values, ""
	default:
		return nil, "it isn't clear which of the stored values with this name is meant: send the values themselves"
	}
}

// renamed is the stored value as JSON, byte for byte, but for the header's name if the client wrote that
// in another case.
func renamed(stored spot, header string) []byte {
	if stored.header == header {
		return stored.node.Raw()
	}
	_, value, _ := strings.Cut(stored.node.Text(), ":")
	return tape.Quote(header + ":" + value)
}

// byName groups spots by header name, which ignores case, and HMAC keys apart.
func byName(all []spot) map[string][]spot {
	m := map[string][]spot{}
	for _, s := range all {
		name := strings.ToLower(s.header)
		if !s.line {
			name = "an HMAC key" // no header name holds a space
		}
		if s.previous {
			name = "a previous HMAC key"
		}
		if s.inner {
			name = "inner " + name
		}
		m[name] = append(m[name], s)
	}
	return m
}

func maskedOnly(all []spot) []spot {
	var masks []spot
	for _, s := range all {
		if s.masked() {
			masks = append(masks, s)
		}
	}
	return masks
}

// sameOrigin tells whether two Subscriptions' endpoints have scheme, host and port in common.
func sameOrigin(a, b *tape.Doc) bool {
	x, ok := origin(a)
	y, okay := origin(b)
	return ok && okay && x == y
}

func origin(doc *tape.Doc) (string, bool) {
	return originOf(doc.Root().Path("channel", "endpoint").Text())
}
