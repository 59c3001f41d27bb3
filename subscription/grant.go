package subscription

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/tape"
)

// A Subscription says by whose leave it sees what it sees: the grant of its author stands in the resource, in an
// extension that the server alone writes (ADR 7). It goes with the version, so that at each place in the log
// there is one answer to what the Subscription saw there; it holds no token, and outlives the one that it came from.
//
// No write makes a grant wider, but of its own author: what another changes is seen by neither alone. Taking over
// (operate) is how somebody gives their own instead.
const grantName = ours + "subscription-grant"

// grant reads the grant that is in force.
func (r *reading) grant(e extension) {
	switch text, ok := r.text(e, "valueString"); {
	case !ok:
	case !strings.HasPrefix(e.path, "Subscription.extension["):
		r.refuse(fhir.BusinessRule, e.path, "the server alone writes this extension, on the Subscription and not on its channel: leave it out")
	case r.s.Grant != nil:
		r.refuse(fhir.BusinessRule, e.path, "the extension %s stands there twice: the server writes it once", e.url)
	default:
		g := &auth.Grant{}
		if json.Unmarshal([]byte(text), g) != nil {
			r.refuse(fhir.BusinessRule, e.at(), "this is no grant: the server alone writes this extension")
			return
		}
		r.s.Grant = g
	}
}

// ownGrants yields the grants that stand where the server writes them, with their paths.
func ownGrants(doc *tape.Doc, yield func(element tape.Node, path string)) {
	i := 0
	for e := range doc.Root().Get("extension").Elements() {
		if extensionName(e.Get("url").Text()) == grantName {
			yield(e, indexed("Subscription.extension", i))
		}
		i++
	}
}

// grantIn finds the element of a Subscription's grant.
func grantIn(doc *tape.Doc) (element tape.Node, text string) {
	ownGrants(doc, func(e tape.Node, _ string) { element, text = e, e.Get("valueString").Text() })
	return element, text
}

// GrantOf is the grant in a stored Subscription; nil if there is none.
func GrantOf(doc *tape.Doc) *auth.Grant {
	_, text := grantIn(doc)
	g := &auth.Grant{}
	if text == "" || json.Unmarshal([]byte(text), g) != nil {
		return nil
	}
	return g
}

// WithGrant returns a Subscription with another grant, or without one (nil). All other bytes stay as they are.
func WithGrant(doc *tape.Doc, g *auth.Grant) *tape.Doc {
	if g == nil {
		return withGrant(doc, "")
	}
	text, err := json.Marshal(g)
	if err != nil {
		panic("subscription: a grant has no JSON: " + err.Error()) // it holds texts and times
	}
	return withGrant(doc, string(text))
}

func withGrant(doc *tape.Doc, text string) *tape.Doc {
	element, had := grantIn(doc)
	list := doc.Root().Get("extension")
	switch {
	case text == had, list.Exists() && list.Kind() != tape.Array: // that is refused
		return doc
	case text == "":
		return withoutElement(doc, element)
	case !element.Exists():
		more := append([]byte(`{"url":"https://`+grantName+`","valueString":`), tape.Quote(text)...)
		return reparsed(doc.Splice(appendExtensions(doc.Root(), append(more, '}'))))
	default:
		start, end := element.Get("valueString").Span()
		return reparsed(doc.Splice(tape.Edit{Start: start, End: end, With: tape.Quote(text)}))
	}
}

// withoutElement takes an extension out. R4 has no empty arrays, so the last one takes the array along.
func withoutElement(doc *tape.Doc, element tape.Node) *tape.Doc {
	start, end := element.Span()
	switch b := doc.Bytes(); {
	case b[end] == ',':
		end++
	case b[start-1] == ',':
		start--
	default:
		return without(doc, "extension")
	}
	return reparsed(doc.Splice(tape.Edit{Start: start, End: end}))
}

// ungranted puts the stored grant (of before; nil: there is no such version) into what a client sent: a client leaves it
// as it was read, or out. What else one writes there is refused.
func ungranted(doc, before *tape.Doc) (*tape.Doc, []*fhir.Error) {
	stored := ""
	if before != nil {
		_, stored = grantIn(before)
	}
	var wrong []*fhir.Error
	seen := false
	ownGrants(doc, func(e tape.Node, path string) {
		v := e.Get("valueString")
		switch {
		case v.Kind() != tape.String || e.Len() != 2, v.Text() != stored, stored == "":
			text := "the server alone writes this extension, which says what the Subscription may see: leave it out"
			if stored != "" {
				text += ", or as you read it"
			}
			wrong = append(wrong, fhir.Errorf(fhir.BusinessRule, path, "%s", text))
		case seen:
			wrong = append(wrong, fhir.Errorf(fhir.BusinessRule, path, "this extension stands there twice: the server writes it once"))
		}
		seen = true
	})
	if len(wrong) > 0 || seen {
		return doc, wrong
	}
	return withGrant(doc, stored), nil
}

// succeed is the grant behind a write by author (nil, or Open: nobody knows by whom) over a version with the grant own.
func succeed(own *auth.Grant, update bool, author *auth.Principal, now time.Time) *auth.Grant {
	fresh := auth.GrantOf(author, now)
	switch {
	case !update:
		return fresh
	case own == nil, fresh == nil:
		return nil
	case own.By(author) && len(own.NarrowedBy) == 0 && own.Revoked.IsZero():
		if own.Same(fresh) {
			return own
		}
		return fresh
	default:
		return own.Intersect(fresh)
	}
}

// Blind says, in words, why a Subscription sees nothing at all; "" if it may see something.
func (s *Subscription) Blind() string {
	if !s.View.Limited() || s.Query == nil {
		return ""
	}
	types := s.Query.Types()
	if len(types) == 0 {
		types = fhir.Types()
	}
	if slices.ContainsFunc(types, s.View.May) {
		return ""
	}
	return "it sees nothing of " + s.Criteria + ", for " + s.Uncovered()
}

// Uncovered says, in words, why a Subscription does not see something.
func (s *Subscription) Uncovered() string {
	switch g := s.Grant; {
	case g == nil:
		return "nobody's grant covers it: this Subscription was last written while nobody had to authenticate, and sees nothing until somebody takes it over (POST " +
			s.Key.String() + "/$take-over)"
	case !g.Revoked.IsZero():
		return fmt.Sprintf("the grant of %s was revoked on %s: nothing is seen until somebody takes the Subscription over (POST %s/$take-over)", g.Subject, instant(g.Revoked), s.Key)
	case len(g.NarrowedBy) > 0:
		return fmt.Sprintf("the grant of %s, narrowed by others who changed the Subscription, does not cover it", g.Subject)
	default:
		return fmt.Sprintf("the grant of %s does not cover it", g.Subject)
	}
}
