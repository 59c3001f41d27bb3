package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// SubscriptionsOptions says which Subscriptions are listed.
type SubscriptionsOptions struct {
	Status []string // none: any
}

// Subscription is a line of `fhirhook subscriptions --json`.
type Subscription struct {
	ID           string `json:"id"`
	Status       string `json:"status"`
	Criteria     string `json:"criteria"`
	Endpoint     string `json:"endpoint"` // without its query, which may hold a secret
	Dialect      string `json:"dialect,omitempty"`
	Owed         uint64 `json:"owed"`                   // the backlog
	Events       string `json:"events"`                 // the last number that was given
	Failures     uint64 `json:"failures,omitempty"`     // in a row
	FailingSince string `json:"failingSince,omitempty"` // the first of them
	NextProbe    string `json:"nextProbe,omitempty"`    // while the breaker is open
	NextTry      string `json:"nextTry,omitempty"`      // of what waits for a retry
	Error        string `json:"error,omitempty"`        // of the Subscription
	LastUpdated  string `json:"lastUpdated"`
}

// statuses are those that a stored Subscription has.
var statuses = []string{"active", "error", "off"}

// subscriptionsPage is how many Subscriptions are asked for at a time: all that is kept of them.
const subscriptionsPage = 100

// resource is what is needed of a Subscription.
type resource struct {
	ResourceType string
	ID           string
	Meta         struct{ LastUpdated string }
	Status       string
	Criteria     string
	Error        string
	Channel      struct{ Endpoint string }
}

// Subscriptions lists them in order of id, a page at a time.
func (c *Client) Subscriptions(ctx context.Context, o SubscriptionsOptions) error {
	for _, s := range o.Status {
		if !slices.Contains(statuses, s) {
			return usagef("--status %s is none that a Subscription has: %s", printable(s, 40), strings.Join(statuses, ", "))
		}
	}
	pairs := []string{"_count", fmt.Sprint(subscriptionsPage), "_sort", "_id"}
	if len(o.Status) > 0 {
		pairs = append(pairs, "status", strings.Join(o.Status, ","))
	}
	list := c.listSubscriptions()
	next, more := query(pairs...), true
	for more {
		var page bundle[resource]
		if _, err := c.do(ctx, request{method: http.MethodGet, path: "/Subscription", query: next}, &page); err != nil {
			return err
		}
		all, err := c.standings(ctx, page)
		if err != nil {
			return err
		}
		if err := list.take(all); err != nil {
			return err
		}
		next, more = page.next()
	}
	return list.end()
}

// standings asks how the Subscriptions of a page fare.
func (c *Client) standings(ctx context.Context, page bundle[resource]) ([]Subscription, error) {
	ids := []string{"_count", fmt.Sprint(subscriptionsPage)}
	for _, e := range page.Entry {
		if e.Resource.ResourceType == "Subscription" {
			ids = append(ids, "id", e.Resource.ID)
		}
	}
	if len(ids) == 2 {
		return nil, nil
	}
	fares := map[string]parts{}
	for next, more := query(ids...), true; more; {
		var some bundle[parameters]
		if _, err := c.do(ctx, request{method: http.MethodGet, path: "/Subscription/$status", query: next}, &some); err != nil {
			return nil, err
		}
		for _, e := range some.Entry {
			fares[strings.TrimPrefix(e.Resource.Parameter.text("subscription"), "Subscription/")] = e.Resource.Parameter
		}
		next, more = some.next()
	}
	var all []Subscription
	for _, e := range page.Entry {
		p, there := fares[e.Resource.ID] // else it was deleted meanwhile
		if !there {
			continue
		}
		all = append(all, Subscription{
			ID: e.Resource.ID, Status: p.text("status"), Criteria: e.Resource.Criteria, Endpoint: endpoint(e.Resource.Channel.Endpoint),
			Dialect: p.text("dialect"), Owed: p.number("owed"), Events: p.text("events-since-subscription-start"),
			Failures: p.number("failures"), FailingSince: p.text("failing-since"), NextProbe: p.text("next-probe"),
			NextTry: p.text("next-try"), Error: p.text("error"), LastUpdated: e.Resource.Meta.LastUpdated,
		})
	}
	return all, nil
}

// endpoint is a URL without its query.
func endpoint(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		before, _, _ := strings.Cut(text, "?")
		return before
	}
	u.RawQuery, u.Fragment, u.User = "", "", nil
	return u.String()
}

// subscriptionList prints Subscriptions.
type subscriptionList struct {
	c            *Client
	table        *table
	total, wrong int
	owed         uint64
}

func (c *Client) listSubscriptions() *subscriptionList {
	return &subscriptionList{c: c, table: newTable(c.Out,
		column{name: "ID"}, column{name: "STATUS"}, column{name: "OWED", right: true}, column{name: "CRITERIA", most: 60},
		column{name: "ENDPOINT", most: 60}, column{name: "DIALECT"}, column{name: "TROUBLE"})}
}

func (l *subscriptionList) take(all []Subscription) error {
	if l.c.JSON {
		return lines(l.c.Out, all)
	}
	for _, s := range all {
		l.total++
		l.owed += s.Owed
		trouble := l.c.trouble(s)
		if trouble != "" {
			l.wrong++
		}
		l.table.row(s.ID, s.Status, fmt.Sprint(s.Owed), s.Criteria, s.Endpoint, s.Dialect, trouble)
	}
	return l.table.flush()
}

// trouble says in a few words what is wrong with a Subscription; "": nothing.
func (c *Client) trouble(s Subscription) string {
	var all []string
	switch {
	case s.Error != "":
		all = append(all, s.Error) // it tells of failures, too
	case s.Failures > 0:
		all = append(all, plural(s.Failures, "failure")+" since "+c.short(s.FailingSince))
	}
	switch {
	case s.Status == "off":
	case s.NextProbe != "":
		all = append(all, "next try "+c.short(s.NextProbe))
	case s.Failures > 0 && s.NextTry != "":
		all = append(all, "next try "+c.short(s.NextTry))
	}
	return strings.Join(all, "; ")
}

func (l *subscriptionList) end() error {
	if l.c.JSON {
		return nil
	}
	text := plural(uint64(l.total), "Subscription")
	if l.wrong > 0 {
		text += ", " + fmt.Sprint(l.wrong) + " in trouble"
	}
	if l.total > 0 {
		text = "\n" + text
	}
	_, err := fmt.Fprintf(l.c.Out, "%s; %s owed\n", text, plural(l.owed, "notification"))
	return err
}

// plural counts things whose name takes an s.
func plural[N uint64 | int](n N, name string) string {
	if n == 1 {
		return "1 " + name
	}
	return fmt.Sprintf("%d %ss", n, name)
}

// lines prints each value as JSON on a line of its own.
func lines[T any](w io.Writer, values []T) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for _, v := range values {
		if err := e.Encode(v); err != nil {
			return err
		}
	}
	return nil
}
