package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	followEvery = time.Second
	// followed is how many of the newest notifications are watched: what is older and unfinished is not shown again.
	followed = 500
)

// follow prints what is listed, the oldest first, and then each notification when it comes and whenever something
// becomes of it, until ctx ends, which is no error.
func (c *Client) follow(ctx context.Context, o DeliveriesOptions, path string, pairs []string, list *deliveryList) error {
	last, err := c.lastNumber(ctx, o.Subscription)
	if err != nil {
		return err
	}
	var first []Delivery
	limit := min(max(o.Limit, 0), followed)
	if limit == 0 {
		limit = followed
	}
	if _, err := c.eachDelivery(ctx, path, pairs, limit, func(page []Delivery) error {
		first = append(first, page...)
		return nil
	}); err != nil {
		return ended(err)
	}
	slices.Reverse(first)
	w := watch{next: last + 1, known: map[uint64]string{}}
	for _, d := range first {
		w.changed(d)
	}
	if err := list.takeAll(first); err != nil {
		return err
	}
	for {
		timer := time.NewTimer(followEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		if err := c.look(ctx, o, path, &w, list); err != nil {
			return ended(err)
		}
	}
}

// ended takes the end of ctx for an ordinary one.
func ended(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// lastNumber is the last number that a Subscription gave.
func (c *Client) lastNumber(ctx context.Context, name string) (uint64, error) {
	_, path, err := subscriptionPath(name)
	if err != nil {
		return 0, err
	}
	var page bundle[parameters]
	if _, err := c.do(ctx, request{method: http.MethodGet, path: path + "/$status"}, &page); err != nil {
		return 0, err
	}
	if len(page.Entry) != 1 {
		return 0, fmt.Errorf("%s does not tell how Subscription/%s fares", c.base, name)
	}
	return strconv.ParseUint(page.Entry[0].Resource.Parameter.text("events-since-subscription-start"), 10, 64)
}

// watch is what is known of the newest notifications.
type watch struct {
	next  uint64            // the first number that was never seen
	known map[uint64]string // unfinished ones, and what was shown of them
}

// changed takes a notification in, and tells whether there is something new about it.
func (w *watch) changed(d Delivery) bool {
	seen := fmt.Sprint(d.State, len(d.Attempts))
	before, known := w.known[d.Sequence]
	fresh := d.Sequence >= w.next
	if w.next = max(w.next, d.Sequence+1); d.State == "owed" {
		w.known[d.Sequence] = seen
	} else {
		delete(w.known, d.Sequence)
	}
	return fresh || known && before != seen
}

// from is the first number to look at.
func (w *watch) from() uint64 {
	low := w.next
	for n := range w.known {
		if n+followed < w.next {
			delete(w.known, n)
			continue
		}
		low = min(low, n)
	}
	return low
}

// look asks for what is new, in ascending pieces, so that none is passed over.
func (c *Client) look(ctx context.Context, o DeliveriesOptions, path string, w *watch, list *deliveryList) error {
	for from := w.from(); ; from += followed {
		to := from + followed - 1
		var all []Delivery
		pairs := []string{"sequence", fmt.Sprintf("%d-%d", from, to)}
		if _, err := c.eachDelivery(ctx, path, pairs, 0, func(page []Delivery) error {
			all = append(all, page...)
			return nil
		}); err != nil {
			return err
		}
		slices.Reverse(all)
		show := slices.DeleteFunc(slices.Clone(all), func(d Delivery) bool { return !w.changed(d) || !o.wants(d) })
		if err := list.takeAll(show); err != nil {
			return err
		}
		if len(all) == 0 || all[len(all)-1].Sequence < to {
			return nil
		}
	}
}

// wants tells whether a notification is among those asked for, of one Subscription and without bounds.
func (o DeliveriesOptions) wants(d Delivery) bool {
	if len(o.Status) > 0 && !slices.Contains(o.Status, d.State) {
		return false
	}
	return o.Resource == "" || d.Resource == o.Resource || strings.HasPrefix(d.Resource, o.Resource+"/_history/")
}
