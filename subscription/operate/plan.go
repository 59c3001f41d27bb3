package operate

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/rest"
	"fhirhook/fhir/store"
	"fhirhook/subscription"
)

// mostPlanned is how many Subscriptions a plan is made of at most, and a View reads viewedPlans of them.
const (
	mostPlanned = 10_000
	viewedPlans = 200
)

// plan says how changes find each Subscription that is on: by which term of its criteria it is filed, so that only
// changes with that value try the rest, or that each change of its types tries it.
func (d *Desk) plan(ctx context.Context, r rest.OperationRequest) (rest.OperationAnswer, error) {
	if _, err := read(r); err != nil {
		return rest.OperationAnswer{}, err
	}
	if r.ID != "" {
		if _, _, err := d.subscription(ctx, r.Key()); err != nil {
			return rest.OperationAnswer{}, err
		}
	}
	on, hidden, err := d.on(ctx, r)
	if err != nil {
		return rest.OperationAnswer{}, err
	}
	var set criteria.Set // in the order of ids, as the Matcher makes its own at a start
	for _, s := range on {
		if !s.TestsOnly() {
			set.Add(s.Key.ID, s.Query)
		}
	}
	var o output
	tried := 0
	for _, s := range on {
		if hidden[s.Key.ID] {
			continue
		}
		term, filed := set.FiledUnder(s.Key.ID)
		if !filed && !s.TestsOnly() {
			tried++
		}
		if r.ID == "" || r.ID == s.Key.ID {
			o.part("subscription", func(p *output) { planned(p, s, term, filed) })
		}
	}
	var all output
	all.number("active", uint64(len(on)-len(hidden)))
	all.number("tried-for-each-change", uint64(tried))
	if len(o.b) > 0 {
		all.b = append(append(all.b, ','), o.b...)
	}
	return rest.OperationAnswer{Status: http.StatusOK, Body: all.parameters("")}, nil
}

func planned(p *output, s *subscription.Subscription, term *criteria.Term, filed bool) {
	p.reference("reference", s.Key.String())
	p.text("criteria", "valueString", s.Criteria)
	if s.Events != nil {
		p.text("events", "valueString", s.Events.String())
	}
	p.flag("filed", filed)
	if s.TestsOnly() {
		p.text("found-by", "valueString", "no change: its event patterns ask for tests only")
		return
	}
	if filed {
		name := term.Name
		if term.Modifier != "" {
			name += ":" + term.Modifier
		}
		p.text("found-by", "valueString", name)
		return
	}
	types := "every type"
	if named := s.Query.Types(); len(named) > 0 {
		types = fmt.Sprint(named)
	}
	p.text("found-by", "valueString", "tried for each change of "+types+": its criteria have no equality that a value could be looked up by")
}

// on lists a tenant's Subscriptions that are on and compile, in order of id, and the ids of those that the caller may not
// see, which count for how the others are filed and for nothing else.
func (d *Desk) on(ctx context.Context, req rest.OperationRequest) (on []*subscription.Subscription, hidden map[string]bool, err error) {
	access := req.Who.Access()
	hidden = map[string]bool{}
	var at store.Seq
	after, more := "", true
	for more {
		var page []*fhir.Resource
		err := d.o.DB.View(ctx, func(r store.Reader) error {
			if at == 0 {
				at = r.Last()
			}
			for found, err := range r.Type(req.Tenant, fhir.Subscription, after, at) {
				if err != nil {
					return err
				}
				if page = append(page, found); len(page) == viewedPlans {
					return nil
				}
			}
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
		more = len(page) == viewedPlans
		for _, found := range page {
			after = found.Key.ID
			s, err := d.compile(ctx, found)
			if _, broken := errors.AsType[*fhir.Error](err); broken {
				continue // it holds its place until it is mended, and its status says so
			}
			if err != nil {
				return nil, nil, err
			}
			if s.Status == subscription.Off {
				continue
			}
			if on = append(on, s); !access.Unlimited() && !access.Sees(found, d.o.Env) {
				hidden[s.Key.ID] = true
			}
		}
		if len(on) > mostPlanned {
			return nil, nil, fhir.Errorf(fhir.TooCostly, "", "more than %d Subscriptions are on: a plan of so many is not made", mostPlanned)
		}
	}
	return on, hidden, nil
}
