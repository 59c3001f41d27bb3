package subscription

import (
	"fmt"

	"fhirhook/channel"
	"fhirhook/channel/resthook"
	"fhirhook/fhir"
)

// Rules is what a dialect says about the Subscriptions that use it.
type Rules struct {
	Interactions Interactions // that notify if the Subscription names none
	Deletes      bool         // it has a message for deletions
	LastOnDelete bool         // which carries the version that was ended
	Names        *Names       // of changes
	Ladder       Ladder
	Orders       []Order // that may be asked for; the first is the default
	// Header reads a line of channel.header, or says what is wrong with it without giving away its value. All
	// else of the target is known by then.
	Header func(line string, t channel.Target) (channel.Header, error)
}

// RulesOf reads the rules out of a dialect's data. An error is a mistake in that data.
func RulesOf(d resthook.Dialect) (Rules, error) {
	r := Rules{
		Deletes:      d.CanDelete(),
		LastOnDelete: d.DeleteCarriesVersion(),
		Header: func(line string, t channel.Target) (channel.Header, error) {
			return resthook.ParseHeader(line, d.For(t))
		},
	}
	for _, code := range d.Interactions {
		switch code {
		case fhir.Create.String():
			r.Interactions.Create = true
		case fhir.Update.String():
			r.Interactions.Update = true
		case fhir.Delete.String():
			r.Interactions.Delete = true
		default:
			return Rules{}, fmt.Errorf("dialect %s: %q is no interaction: create, update or delete", d.Name, code)
		}
	}
	for _, code := range d.Orders {
		order, ok := orders[code]
		if !ok {
			return Rules{}, fmt.Errorf("dialect %s: %q is no order: none, resource or subscription", d.Name, code)
		}
		r.Orders = append(r.Orders, order)
	}
	if len(r.Orders) == 0 {
		return Rules{}, fmt.Errorf("dialect %s names no order", d.Name)
	}
	var err error
	if r.Names, err = newNames(d); err != nil {
		return Rules{}, err
	}
	if r.Ladder, err = ParseLadder(d.Ladder); err != nil {
		return Rules{}, fmt.Errorf("dialect %s: ladder: %w", d.Name, err)
	}
	r.Ladder.Most = d.Requests
	return r, nil
}

// orders are the codes of subscription-order. It is read-only.
var orders = map[string]Order{"none": Unordered, "resource": ByResource, "subscription": BySubscription}

// DialectTable are dialects with their rules.
type DialectTable struct {
	standard string
	rules    map[string]Rules
}

// NewDialectTable reads the rules of dialects, of which one is the server's default. An error names a mistake
// in a dialect, or a default that isn't among them.
func NewDialectTable(standard string, dialects ...resthook.Dialect) (*DialectTable, error) {
	t := &DialectTable{standard: standard, rules: map[string]Rules{}}
	for _, d := range dialects {
		r, err := RulesOf(d)
		if err != nil {
			return nil, err
		}
		t.rules[d.Name] = r
	}
	if _, ok := t.rules[standard]; !ok {
		return nil, fmt.Errorf("there is no dialect %q", standard)
	}
	return t, nil
}

// Standard is the name of the server's default.
func (t *DialectTable) Standard() string { return t.standard }

// Rules finds a dialect's rules by its name; "" is the default.
func (t *DialectTable) Rules(name string) (Rules, bool) {
	if name == "" {
		name = t.standard
	}
	r, ok := t.rules[name]
	return r, ok
}
