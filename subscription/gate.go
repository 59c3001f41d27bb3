package subscription

import (
	"slices"
	"strings"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/tape"
)

// Gate stands between clients and stored Subscriptions: it decides what of a write is stored, and what of
// the stored bytes is shown. Resources of other types pass unchanged; what they must not hold, Stray tells. Safe for
// concurrent use.
type Gate struct{ o Options }

// NewGate returns a Gate.
func NewGate(o Options) *Gate { return &Gate{o: o} }

// Admit is a store.Admit for Subscriptions: it refuses what can't be done, naming every problem, restores
// secrets that came back masked, and sets what the server owns (status, error, the grant). prev is the version that
// the write replaces, nil if there is none or it is deleted.
func (g *Gate) Admit(in fhir.Incoming, prev *fhir.Resource, now time.Time) (fhir.Incoming, error) {
	if in.Type != fhir.Subscription {
		return in, nil
	}
	var before *tape.Doc
	if prev != nil && !prev.Deleted {
		before = prev.Doc()
	}
	doc, why := unmask(in.Doc, before)
	doc, problems := ungranted(doc, before)
	granted := doc
	if problems == nil {
		granted = WithGrant(doc, succeed(grantOf(before), before != nil, g.o.Author, now))
	}
	s, more := parse(fhir.Key{Type: in.Type, ID: in.ID}, 0, granted, g.o, why)
	problems = append(problems, more...)
	status, problem := admitStatus(s.Status, before != nil, s.Ended(now))
	if problem != nil {
		problems = append([]*fhir.Error{problem}, problems...)
	}
	if err := fhir.Join(problems); err != nil {
		return fhir.Incoming{}, err
	}
	text := ""
	if status == Off && before.Root().Get("status").Is(string(Off)) {
		text = before.Root().Get("error").Text() // why the server switched it off is still why it is
	}
	in.Doc = reparsed(WithStatus(granted, status, text))
	if before == nil || granted == doc || grantOf(before).By(g.o.Author) {
		return in, nil
	}
	// What changes nothing else doesn't change the grant: nothing of it is another's.
	if same := reparsed(WithStatus(doc, status, text)); fhir.SameContent(before, same) {
		in.Doc = same
	}
	return in, nil
}

// grantOf is GrantOf for a version that may not be there.
func grantOf(before *tape.Doc) *auth.Grant {
	if before == nil {
		return nil
	}
	return GrantOf(before)
}

// Redact returns the JSON of a version as anyone may see it: secrets masked. It is what every read, history,
// search, bundle and notification carries.
func (g *Gate) Redact(r *fhir.Resource) []byte {
	if r.Key.Type != fhir.Subscription || len(r.JSON) == 0 {
		return r.JSON
	}
	return redact(r.Doc(), nil)
}

// Echo is Redact for the answer to the create that made r: the secrets that its sender just sent are shown.
func (g *Gate) Echo(r *fhir.Resource, sent fhir.Incoming) []byte {
	if r.Key.Type != fhir.Subscription || len(r.JSON) == 0 {
		return r.JSON
	}
	known := spots(sent.Doc)
	return redact(r.Doc(), func(s spot) bool {
		return slices.ContainsFunc(known, func(k spot) bool {
			return strings.EqualFold(k.header, s.header) && string(k.node.Raw()) == string(s.node.Raw())
		})
	})
}
