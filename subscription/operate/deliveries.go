package operate

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/rest"
	"fhirhook/fhir/store"
)

// Bounds of one page of $deliveries.
const (
	usualCount  = 50
	mostCount   = 500
	mostScanned = 20_000 // rows that one request looks at; the next link goes on behind them
	mostLanes   = 500    // lanes that one request looks at, when it is about all of them
)

// deliveries lists what became of notifications, of a Subscription, of all, or of a resource: the newest first.
func (d *Desk) deliveries(ctx context.Context, r rest.OperationRequest) (rest.OperationAnswer, error) {
	in, err := read(r, "delivery", "resource", "sequence", "status", "since", "until", "_count", "_cursor")
	if err != nil {
		return rest.OperationAnswer{}, err
	}
	want, err := in.filter(r)
	if err != nil {
		return rest.OperationAnswer{}, err
	}
	page := &page{count: usualCount, want: want, shows: d.shows(ctx, r)}
	if err := in.paging(page); err != nil {
		return rest.OperationAnswer{}, err
	}
	lane := store.Lane{Tenant: r.Tenant, Subscription: r.ID} // of all Subscriptions if there is no id
	if r.ID != "" {
		if _, _, err := d.read(ctx, r.Key()); err != nil {
			return rest.OperationAnswer{}, err
		}
	}
	if r.ID != "" && r.Type != fhir.Subscription {
		want.focus = r.Key()
		lane.Subscription = ""
	}
	d.CatchUp(ctx, lane)
	switch {
	case want.focus.ID != "":
		err = d.ofFocus(ctx, lane, page)
	case r.ID != "":
		err = d.ofLane(ctx, lane, page)
	default:
		err = d.ofLanes(ctx, r.Tenant, page)
	}
	if err == nil {
		err = d.name(ctx, page.found)
	}
	if err != nil {
		return rest.OperationAnswer{}, err
	}
	return rest.OperationAnswer{Status: http.StatusOK, Body: page.bundle(r)}, nil
}

// ofLane fills a page from one lane.
func (d *Desk) ofLane(ctx context.Context, lane store.Lane, p *page) error {
	more, err := d.scan(ctx, lane, p, p.from.Below)
	if err == nil && more {
		p.done()
	}
	return err
}

// scan goes down a lane, below a number (0: from the newest). It returns false if the page needs no more.
func (d *Desk) scan(ctx context.Context, lane store.Lane, p *page, below uint64) (more bool, err error) {
	w := walk{lane: lane, below: below, down: true, size: firstSize}
	if len(p.want.ids) == 0 {
		w.from = 1
	}
	first := true
	for first || !w.over() {
		var some []delivery
		err := d.o.DB.Queue().View(ctx, func(q store.QueueReader) error {
			if first && below == 0 {
				record, err := q.Lane(lane)
				if err != nil {
					return err
				}
				w.below = record.Next
			}
			if p.want.numbers.To > 0 {
				w.from, w.below = max(w.from, p.want.numbers.From), min(w.below, p.want.numbers.To+1)
			}
			first = false
			var err error
			var rows int
			some, rows, err = w.next(q, d.o.DB.Epoch())
			p.scanned += rows
			return err
		})
		if err != nil {
			return false, err
		}
		for _, one := range tests(some) {
			if one.number == 0 { // tests that were asked for by their ids are few, and all on one page
				if p.want.has(one) {
					p.found, p.total = append(p.found, one), p.total+1
				}
				continue
			}
			if !p.take(one, place{Lane: lane.Subscription, Below: one.number}) {
				return false, nil
			}
		}
		if !w.over() && !p.more(place{Lane: lane.Subscription, Below: w.below}) {
			return false, nil
		}
	}
	return true, nil
}

// tests takes the tests of a lane apart: they share the number 0.
func tests(some []delivery) []delivery {
	if len(some) == 0 || some[len(some)-1].number > 0 {
		return some
	}
	all := some[len(some)-1]
	some = some[:len(some)-1]
	for _, a := range slices.Backward(all.attempts) {
		one := all
		one.id, one.state, one.changed, one.attempts = a.ID, a.State, a.Time, []store.Attempt{a}
		some = append(some, one)
	}
	return some
}

// ofLanes fills a page from all lanes of a tenant, in order of Subscriptions.
func (d *Desk) ofLanes(ctx context.Context, tenant string, p *page) error {
	at := p.from.Lane
	if at != "" {
		lane := store.Lane{Tenant: tenant, Subscription: at}
		shown, err := p.shows(lane) // the cursor may be anybody's
		if err != nil {
			return err
		}
		if shown {
			if more, err := d.scan(ctx, lane, p, p.from.Below); err != nil || !more {
				return err
			}
		}
	}
	for {
		var lanes []store.Lane
		err := d.o.DB.Queue().View(ctx, func(q store.QueueReader) error {
			lanes = lanes[:0]
			for r, err := range q.Lanes(store.Lane{Tenant: tenant, Subscription: at}) {
				switch {
				case err != nil:
					return err
				case r.Lane.Tenant != tenant || len(lanes) == mostLanes:
					return nil
				}
				lanes = append(lanes, r.Lane)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, lane := range lanes {
			at = lane.Subscription
			p.scanned++
			if shown, err := p.shows(lane); err != nil {
				return err
			} else if !shown {
				continue
			}
			more, err := d.scan(ctx, lane, p, 0)
			if err != nil || !more {
				return err
			}
		}
		if len(lanes) < mostLanes {
			p.done()
			return nil
		}
	}
}

// ofFocus fills a page with what a resource's versions notified of, by the numbers that they got. lane is the
// only one that counts, or one without a Subscription.
func (d *Desk) ofFocus(ctx context.Context, lane store.Lane, p *page) error {
	below := p.from.Version
	for {
		rows, err := d.versions(ctx, p.want.focus, p.want.version, below)
		if err != nil {
			return err
		}
		for _, r := range rows {
			p.scanned++
			more, err := d.ofVersion(ctx, lane, r, p)
			if err != nil || !more {
				return err
			}
			if below = r.Version; !p.more(place{Version: below}) {
				return nil
			}
		}
		if len(rows) < mostVersions {
			p.done()
			return nil
		}
	}
}

const mostVersions = 200

// versions reads versions of a resource downwards, from the one below a number (0: from the newest).
func (d *Desk) versions(ctx context.Context, key fhir.Key, only, below uint64) (rows []*fhir.Resource, err error) {
	err = d.o.DB.View(ctx, func(r store.Reader) error {
		rows = rows[:0]
		if only > 0 {
			v, err := outline(r, key, only)
			if errors.Is(err, store.ErrNotFound) || below > 0 && below <= only {
				return nil
			}
			rows = append(rows, v)
			return err
		}
		if below == 0 {
			newest, err := r.Read(key, r.Last())
			if errors.Is(err, store.ErrNotFound) {
				return nil
			} else if err != nil {
				return err
			}
			below = newest.Version + 1
		}
		for below--; below > 0 && len(rows) < mostVersions; below-- {
			v, err := outline(r, key, below)
			if err != nil {
				return err
			}
			rows = append(rows, v)
		}
		return nil
	})
	return rows, err
}

// outline reads a version, of which no more than the name and the time are there if it is purged.
func outline(r store.Reader, key fhir.Key, version uint64) (*fhir.Resource, error) {
	v, err := r.Version(key, version)
	if gone, ok := errors.AsType[*store.PurgedError](err); ok {
		return &fhir.Resource{Key: gone.Key, Version: gone.Version, Updated: gone.Updated}, nil
	}
	return v, err
}

// ofVersion takes in what one version notified of.
func (d *Desk) ofVersion(ctx context.Context, lane store.Lane, v *fhir.Resource, p *page) (more bool, err error) {
	var all []delivery
	err = d.o.DB.Queue().View(ctx, func(q store.QueueReader) error {
		all = all[:0]
		for _, caused := range []time.Time{v.Updated, {}} { // by the version's own change, then by those of links
			for n, err := range q.Numbers(v.Key, v.Version, caused) {
				if err != nil {
					return err
				}
				if lane.Subscription != "" && n.Lane != lane || caused.IsZero() == (n.Cause == "") {
					continue
				}
				one, known, err := single(q, d.o.DB.Epoch(), n.Lane, n.Number)
				if err != nil {
					return err
				}
				p.scanned += 1 + len(one.attempts)
				if known {
					all = append(all, one)
				}
			}
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	skip := 0
	if p.from.Version == v.Version+1 && p.from.Below > 0 {
		skip = int(min(p.from.Below, uint64(len(all)))) // so many of this version were on the page before
	}
	for i, one := range all[skip:] {
		if shown, err := p.shows(one.lane); err != nil {
			return false, err
		} else if !shown {
			continue
		}
		at := place{Version: v.Version + 1, Below: uint64(skip + i + 1)}
		if !p.take(one, at) {
			return false, nil
		}
	}
	return true, nil
}
