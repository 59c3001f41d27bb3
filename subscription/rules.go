package subscription

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

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

// RulesOf reads the rules out of a dialect's data. An error names every mistake in that data.
func RulesOf(d resthook.Dialect) (Rules, error) {
	r := Rules{
		Deletes:      d.CanDelete(),
		LastOnDelete: d.DeleteCarriesVersion(),
		Interactions: Interactions{
			Create: slices.Contains(d.Interactions, fhir.Create.String()),
			Update: slices.Contains(d.Interactions, fhir.Update.String()),
			Delete: slices.Contains(d.Interactions, fhir.Delete.String()),
		},
		Header: func(line string, t channel.Target) (channel.Header, error) {
			return resthook.ParseHeader(line, d.For(t))
		},
	}
	for _, code := range d.Orders {
		r.Orders = append(r.Orders, orders[code]) // Check has refused other codes
	}
	wrong := []error{d.Check()}
	var err error
	if r.Names, err = newNames(d); err != nil {
		wrong = append(wrong, err)
	}
	if r.Ladder, err = ParseLadder(d.Ladder); err != nil && d.Ladder != "" {
		wrong = append(wrong, fmt.Errorf("dialect %s: retry: %w", d.Name, err))
	}
	if d.Requests > mostAttempts {
		wrong = append(wrong, fmt.Errorf("dialect %s: %d requests are too many: at most %d", d.Name, d.Requests, mostAttempts))
	}
	r.Ladder.Most = d.Requests
	if err := errors.Join(wrong...); err != nil {
		return Rules{}, err
	}
	return r, nil
}

// orders are the codes of subscription-order. It is read-only.
var orders = map[string]Order{"none": Unordered, "resource": ByResource, "subscription": BySubscription}

// DialectTable are dialects with their rules.
type DialectTable struct {
	standard string
	rules    map[string]Rules
}

// NewDialectTable reads the rules of dialects, of which one is the server's default. An error names every mistake
// in every dialect, and a default that isn't among them.
func NewDialectTable(standard string, dialects ...resthook.Dialect) (*DialectTable, error) {
	t := &DialectTable{standard: standard, rules: map[string]Rules{}}
	var wrong []error
	for _, d := range dialects {
		r, err := RulesOf(d)
		if err != nil {
			wrong = append(wrong, err)
		}
		if _, taken := t.rules[d.Name]; taken {
			wrong = append(wrong, fmt.Errorf("dialect %s: there is one of this name already; choose another", d.Name))
			continue
		}
		t.rules[d.Name] = r
	}
	if _, ok := t.rules[standard]; !ok {
		names := strings.Join(slices.Sorted(maps.Keys(t.rules)), ", ")
		wrong = append(wrong, fmt.Errorf("there is no dialect %q to be the default: one of %s", standard, names))
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
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
