package operate

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"

	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/rest"
	"fhirhook/fhir/store"
	"fhirhook/fhir/tape"
	"fhirhook/subscription"
)

// mostLooked is how many Subscriptions one request for their standing looks at.
const mostLooked = 2000

// standing is a Subscription and how its lane fares.
type standing struct {
	sub  *fhir.Resource
	lane store.LaneRecord
	next store.Notification // the first that waits for a retry; Number 0: none does
}

// status tells how Subscriptions fare: the operation of the Subscriptions R5 Backport, with the backlog and the
// endpoint's health beside the parts that it names.
func (d *Desk) status(ctx context.Context, r rest.OperationRequest) (rest.OperationAnswer, error) {
	if r.ID != "" {
		if _, err := read(r); err != nil {
			return rest.OperationAnswer{}, err
		}
		found, _, err := d.read(ctx, r.Key())
		switch {
		case err != nil:
			return rest.OperationAnswer{}, err
		case found.Deleted:
			return rest.OperationAnswer{}, fhir.Errorf(fhir.Gone, "", "%s was deleted: what it was owed can still be read by GET %s/$deliveries", r.Key(), r.Key())
		}
		d.CatchUp(ctx, laneOf(r.Key()))
		all, err := d.stand(ctx, []*fhir.Resource{found})
		if err != nil {
			return rest.OperationAnswer{}, err
		}
		return rest.OperationAnswer{Status: http.StatusOK, Body: d.standings(ctx, r, all, "")}, nil
	}
	in, err := read(r, "id", "status", "_count", "_cursor")
	if err != nil {
		return rest.OperationAnswer{}, err
	}
	want, err := in.standing()
	if err != nil {
		return rest.OperationAnswer{}, err
	}
	if a := r.Who.Access(); !a.Unlimited() {
		want.allowed = func(s *fhir.Resource) bool { return a.Allows(auth.Search, s, d.o.Env) }
	}
	found, next, err := d.looked(ctx, r.Tenant, want)
	if err != nil {
		return rest.OperationAnswer{}, err
	}
	d.CatchUp(ctx, store.Lane{Tenant: r.Tenant})
	all, err := d.stand(ctx, found)
	if err != nil {
		return rest.OperationAnswer{}, err
	}
	return rest.OperationAnswer{Status: http.StatusOK, Body: d.standings(ctx, r, all, next)}, nil
}

// looking says which Subscriptions are asked for.
type looking struct {
	ids      []string // sorted; none: any
	statuses []string // none: any
	count    int
	after    string                    // the id behind which to go on
	allowed  func(*fhir.Resource) bool // what the caller may find; nil: all
}

func (in inputs) standing() (l looking, err error) {
	for _, v := range in.all("id") {
		if !fhir.ValidID(v.text) {
			return l, v.refuse(fhir.Value, "%.80q is no id", v.text)
		}
		l.ids = append(l.ids, v.text)
	}
	slices.Sort(l.ids)
	l.ids = slices.Compact(l.ids)
	for _, v := range in.all("status") {
		switch subscription.Status(v.text) {
		case subscription.Active, subscription.Erroneous, subscription.Off:
			l.statuses = append(l.statuses, v.text)
		default:
			return l, v.refuse(fhir.Value, "%.60q is not a status that a stored Subscription has: active, error or off", v.text)
		}
	}
	p := &page{count: usualCount}
	if v, ok, err := in.one("_count"); err != nil {
		return l, err
	} else if ok {
		if err := (inputs{v}).paging(p); err != nil {
			return l, err
		}
	}
	l.count = p.count
	v, ok, err := in.one("_cursor")
	if err == nil && ok {
		id, wrong := base64.RawURLEncoding.DecodeString(v.text)
		if l.after = string(id); wrong != nil || !fhir.ValidID(l.after) {
			return l, v.refuse(fhir.Value, "take it from a next link as it is")
		}
	}
	return l, err
}

func (l looking) wants(r *fhir.Resource) bool {
	if l.allowed != nil && !l.allowed(r) {
		return false
	}
	if len(l.ids) > 0 {
		if _, ok := slices.BinarySearch(l.ids, r.Key.ID); !ok {
			return false
		}
	}
	return len(l.statuses) == 0 || slices.Contains(l.statuses, r.Doc().Root().Get("status").Text())
}

// looked finds Subscriptions in order of id. next is the id behind which there may be more; "": there are none.
func (d *Desk) looked(ctx context.Context, tenant string, l looking) (found []*fhir.Resource, next string, err error) {
	err = d.o.DB.View(ctx, func(r store.Reader) error {
		found, next = found[:0], ""
		seen, last := 0, l.after
		for s, err := range r.Type(tenant, fhir.Subscription, l.after, r.Last()) {
			switch {
			case err != nil:
				return err
			case len(l.ids) > 0 && s.Key.ID > l.ids[len(l.ids)-1]:
				return nil
			case len(found) == l.count || seen == mostLooked:
				next = last
				return nil
			}
			seen, last = seen+1, s.Key.ID
			if l.wants(s) {
				found = append(found, s)
			}
		}
		return nil
	})
	return found, next, err
}

// stand reads how the lanes of Subscriptions fare.
func (d *Desk) stand(ctx context.Context, found []*fhir.Resource) (all []standing, err error) {
	err = d.o.DB.Queue().View(ctx, func(q store.QueueReader) error {
		all = make([]standing, 0, len(found))
		for _, sub := range found {
			one := standing{sub: sub}
			if one.lane, err = q.Lane(laneOf(sub.Key)); err != nil {
				return err
			}
			for n, err := range q.Waiting(one.lane.Lane) {
				if err != nil {
					return err
				}
				one.next = n
				break
			}
			all = append(all, one)
		}
		return nil
	})
	return all, err
}

// standings writes a page of them.
func (d *Desk) standings(ctx context.Context, r rest.OperationRequest, all []standing, next string) []byte {
	where := r.Base + "/Subscription"
	if r.ID != "" {
		where += "/" + r.ID
	}
	where += "/$status"
	b := []byte(`{"resourceType":"Bundle","type":"searchset","link":[{"relation":"self","url":`)
	b = append(append(b, tape.Quote(where+query(r, ""))...), '}')
	if next != "" {
		cursor := base64.RawURLEncoding.EncodeToString([]byte(next))
		b = append(append(append(b, `,{"relation":"next","url":`...), tape.Quote(where+query(r, cursor))...), '}')
	}
	b = append(b, ']')
	for i, one := range all {
		opening := `,"entry":[`
		if i > 0 {
			opening = ","
		}
		b = append(b, opening+`{"fullUrl":`...)
		b = append(b, tape.Quote(r.Base+"/"+one.sub.Key.String()+"/$status")...)
		b = append(append(append(b, `,"resource":`...), d.standing(ctx, one)...), `,"search":{"mode":"match"}}`...)
	}
	if len(all) > 0 {
		b = append(b, ']')
	}
	return append(b, '}')
}

// standing is one of them as Parameters.
func (d *Desk) standing(ctx context.Context, one standing) []byte {
	var o output
	root := one.sub.Doc().Root()
	o.reference("subscription", one.sub.Key.String())
	o.code("status", root.Get("status").Text())
	o.code("type", "query-status")
	o.text("events-since-subscription-start", "valueString", strconv.FormatUint(one.lane.Next-1, 10))
	if text := root.Get("error").Text(); text != "" {
		o.raw("error", "valueCodeableConcept", append(append([]byte(`{"text":`), tape.Quote(text)...), '}'))
	}
	o.number("owed", one.lane.Owed)
	if one.lane.Failures > 0 {
		o.number("failures", uint64(one.lane.Failures))
		o.instant("failing-since", one.lane.FailingSince)
	}
	if one.lane.BreakerOpen {
		o.instant("next-probe", one.lane.ProbeAt)
	}
	o.instant("next-try", one.next.Next)
	if held := d.o.Held(one.lane.Lane); held != subscription.NoWait {
		o.code("waits-for", held.String())
	}
	if s, err := d.compile(ctx, one.sub); err == nil { // what can't be compiled says so in its status
		o.code("dialect", d.dialect(s))
		o.string("note", s.Blind())
	}
	return o.parameters("")
}

// dialect is the name of the dialect that a Subscription uses; "" if it is a default that has no name.
func (d *Desk) dialect(s *subscription.Subscription) string {
	if s.Target.Dialect != "" {
		return s.Target.Dialect
	}
	if table, ok := d.o.Parse.Dialects.(interface{ Standard() string }); ok {
		return table.Standard()
	}
	return ""
}
