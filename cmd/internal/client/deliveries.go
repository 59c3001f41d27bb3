package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// DeliveriesOptions says which notifications are listed.
type DeliveriesOptions struct {
	Subscription string // its id; "": all
	Resource     string // a reference, also to a version
	Status       []string
	Since, Until string // as the command line has them
	Sequence     string
	Delivery     []string
	Limit        int  // of the newest; 0: all
	Attempts     bool // each attempt, too
	Follow       bool // go on until ctx ends
}

// Delivery is a line of `fhirhook deliveries --json`: a notification, and all that was tried.
type Delivery struct {
	ID           string    `json:"id"`
	Subscription string    `json:"subscription"`
	Sequence     uint64    `json:"sequence,omitempty"` // none: a test
	Resource     string    `json:"resource,omitempty"`
	Interaction  string    `json:"interaction,omitempty"`
	Cause        string    `json:"cause,omitempty"`
	State        string    `json:"state"`
	NextTry      string    `json:"nextTry,omitempty"`
	Attempts     []Attempt `json:"attempts"`
}

// Attempt is one request and what came of it; without a try, it is a change of state without a request.
type Attempt struct {
	Try        uint64 `json:"try,omitempty"`
	Time       string `json:"time"`
	Status     uint64 `json:"status,omitempty"`
	DurationMS uint64 `json:"durationMs"`
	ErrorClass string `json:"errorClass,omitempty"`
	Hint       string `json:"hint,omitempty"`
	Reply      string `json:"reply,omitempty"`
	State      string `json:"state"`
	NextTry    string `json:"nextTry,omitempty"`
}

var states = []string{"owed", "delivered", "failed", "withheld", "cancelled", "skipped"}

// Deliveries lists notifications, the newest first.
func (c *Client) Deliveries(ctx context.Context, o DeliveriesOptions) error {
	path, pairs, err := c.deliveriesQuery(o)
	if err != nil {
		return err
	}
	list := c.listDeliveries(o)
	if o.Follow {
		return c.follow(ctx, o, path, pairs, list)
	}
	more, err := c.eachDelivery(ctx, path, pairs, o.Limit, list.takeAll)
	if err != nil {
		return err
	}
	return list.end(more)
}

// deliveriesQuery turns options into a request, or names everything that is wrong with them.
func (c *Client) deliveriesQuery(o DeliveriesOptions) (path string, pairs []string, err error) {
	var wrong []error
	path = "/Subscription"
	if o.Subscription != "" {
		_, path, err = subscriptionPath(o.Subscription)
		wrong = append(wrong, err)
	}
	for _, s := range o.Status {
		if !slices.Contains(states, s) {
			wrong = append(wrong, usagef("--status %s is none that a notification has: %s", printable(s, 40), strings.Join(states, ", ")))
		}
		pairs = append(pairs, "status", s)
	}
	for _, bound := range [][2]string{{"since", o.Since}, {"until", o.Until}} {
		t, err := c.instant(bound[0], bound[1])
		wrong = append(wrong, err)
		if !t.IsZero() {
			pairs = append(pairs, bound[0], wire(t))
		}
	}
	for _, one := range [][2]string{{"resource", o.Resource}, {"sequence", o.Sequence}} {
		if one[1] != "" {
			pairs = append(pairs, one[0], one[1])
		}
	}
	for _, id := range o.Delivery {
		pairs = append(pairs, "delivery", id)
	}
	if o.Limit < 0 {
		wrong = append(wrong, usagef("--limit %d must be a number of notifications, or 0 for all", o.Limit))
	}
	if o.Follow && (o.Subscription == "" || o.Until != "" || o.Sequence != "" || len(o.Delivery) > 0) {
		wrong = append(wrong, usagef("--follow needs a SUBSCRIPTION, and goes with neither --until nor --sequence nor --delivery"))
	}
	return path + "/$deliveries", pairs, errors.Join(wrong...)
}

// mostAsked is how many notifications are asked for at a time.
const mostAsked = 200

// eachDelivery hands on what is listed, a page at a time, and tells whether there is more behind a limit (0: none).
func (c *Client) eachDelivery(ctx context.Context, path string, pairs []string, limit int, take func([]Delivery) error) (more bool, err error) {
	size, taken := mostAsked, 0
	if limit > 0 {
		size = min(size, limit)
	}
	next, going := query(append([]string{"_count", fmt.Sprint(size)}, pairs...)...), true
	for going {
		var page bundle[parameters]
		if _, err := c.do(ctx, request{method: http.MethodGet, path: path, query: next}, &page); err != nil {
			return false, err
		}
		next, going = page.next()
		var all []Delivery
		for _, e := range page.Entry {
			all = append(all, delivery(e.Resource.Parameter))
		}
		if limit > 0 && taken+len(all) >= limit {
			more = going || taken+len(all) > limit
			all, going = all[:limit-taken], false
		}
		taken += len(all)
		if err := take(all); err != nil {
			return false, err
		}
	}
	return more, nil
}

// delivery reads a notification as $deliveries tells it.
func delivery(p parts) Delivery {
	d := Delivery{
		ID: p.text("id"), Subscription: strings.TrimPrefix(p.text("subscription"), "Subscription/"), Sequence: p.number("sequence"),
		Resource: p.text("resource"), Interaction: p.text("interaction"), Cause: p.text("cause"), State: p.text("state"),
		NextTry: p.text("next-try"), Attempts: []Attempt{},
	}
	for _, one := range p {
		if one.Name == "attempt" || one.Name == "note" {
			d.Attempts = append(d.Attempts, attempt(one.Part))
		}
	}
	return d
}

func attempt(p parts) Attempt {
	a := Attempt{
		Try: p.number("try"), Time: p.text("time"), Status: p.number("status"), DurationMS: p.number("duration-ms"),
		ErrorClass: p.text("error-class"), Hint: p.text("hint"), Reply: p.text("reply"), State: p.text("state"), NextTry: p.text("next-try"),
	}
	if a.Hint == "" {
		a.Hint = hint(a.ErrorClass, a.Status)
	}
	return a
}

// deliveryList prints notifications.
type deliveryList struct {
	c       *Client
	table   *table
	several bool // of several Subscriptions
	tries   bool
	limit   int
	total   int
}

func (c *Client) listDeliveries(o DeliveriesOptions) *deliveryList {
	l := &deliveryList{c: c, several: o.Subscription == "", tries: o.Attempts, limit: o.Limit}
	columns := []column{
		{name: "SEQ", right: true},
		{name: "STATE"},
		{name: "WHEN"},
		{name: "TRIES", right: true},
		{name: "ANSWER", most: 40},
		{name: "NEXT TRY"},
		{name: "CHANGE"},
		{name: "RESOURCE"},
		{name: "ID"},
	}
	if l.several {
		columns = slices.Insert(columns, 0, column{name: "SUBSCRIPTION"})
	}
	l.table = newTable(c.Out, columns...)
	return l
}

func (l *deliveryList) takeAll(all []Delivery) error {
	l.total += len(all)
	if l.c.JSON {
		return lines(l.c.Out, all)
	}
	for _, d := range all {
		l.row(d)
	}
	return l.table.flush()
}

func (l *deliveryList) row(d Delivery) {
	when, answer, tries := "", "", uint64(0)
	for _, a := range d.Attempts {
		when, answer = l.c.short(a.Time), a.answer()
		tries = max(tries, a.Try)
	}
	sequence := "test"
	if d.Sequence > 0 {
		sequence = fmt.Sprint(d.Sequence)
	}
	cells := []string{sequence, d.State, when, fmt.Sprint(tries), answer, l.c.short(d.NextTry), d.Interaction, d.Resource, d.ID}
	if l.several {
		cells = slices.Insert(cells, 0, d.Subscription)
	}
	l.table.row(cells...)
	if !l.tries {
		return
	}
	if d.Cause != "" {
		l.table.below("    because of " + printable(d.Cause, 0))
	}
	for _, a := range d.Attempts {
		l.table.below("    " + a.line(l.c))
		if a.Hint != "" && !strings.HasPrefix(a.Reply, a.ErrorClass+": ") { // which says it already
			l.table.below("      " + printable(a.Hint, 0))
		}
	}
}

// answer is what came of an attempt, in a word or two.
func (a Attempt) answer() string {
	switch {
	case a.Status > 0 && a.ErrorClass != "" && !strings.HasPrefix(a.ErrorClass, "status-"):
		return fmt.Sprintf("%d %s", a.Status, a.ErrorClass)
	case a.Status > 0:
		return fmt.Sprint(a.Status)
	case a.ErrorClass != "":
		return a.ErrorClass
	default:
		return a.Reply
	}
}

// took is how long an attempt lasted.
func (a Attempt) took() string {
	switch {
	case a.DurationMS == 0:
		return "<1 ms"
	case a.DurationMS < 10_000:
		return fmt.Sprintf("%d ms", a.DurationMS)
	default:
		return fmt.Sprintf("%.1f s", float64(a.DurationMS)/1000)
	}
}

// line is an attempt on one line.
func (a Attempt) line(c *Client) string {
	if a.Try == 0 {
		return strings.TrimRight(fmt.Sprintf("%s  %s: %s", c.short(a.Time), printable(a.State, 20), printable(a.Reply, 200)), ": ")
	}
	text := fmt.Sprintf("try %d  %s  %s in %s", a.Try, c.short(a.Time), printable(a.answer(), 40), a.took())
	if a.Reply != "" {
		text += "  " + printable(a.Reply, 200)
	}
	return text
}

func (l *deliveryList) end(more bool) error {
	if l.c.JSON {
		return nil
	}
	text := plural(l.total, "notification")
	if l.total > 0 {
		text = "\n" + text
	}
	if more {
		text += ", the newest; --limit 0 shows all"
	}
	_, err := fmt.Fprintln(l.c.Out, text)
	return err
}
