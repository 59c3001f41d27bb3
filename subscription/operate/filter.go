package operate

import (
	"slices"

	"fhirhook/fhir"
	"fhirhook/fhir/rest"
	"fhirhook/fhir/store"
)

// filter is what a delivery must be to be listed.
type filter struct {
	ids          []string
	focus        fhir.Key // ID "": any
	version      uint64   // 0: any
	numbers      span     // To 0: any
	states       []store.State
	since, until bound
}

var states = []store.State{store.Owed, store.Delivered, store.Failed, store.Withheld, store.Cancelled, store.Skipped}

// filter reads a filter.
func (in inputs) filter(r rest.OperationRequest) (*filter, error) {
	f := &filter{}
	for _, v := range in.all("delivery") {
		f.ids = append(f.ids, v.text)
	}
	if v, ok, err := in.one("resource"); err != nil {
		return nil, err
	} else if ok {
		if r.ID != "" && r.Type != fhir.Subscription {
			return nil, v.refuse(fhir.Invalid, "the URL names the resource already")
		}
		if f.focus, f.version, err = v.resource(r.Tenant, r.Base); err != nil {
			return nil, err
		}
	}
	var err error
	if f.numbers, _, err = in.sequence(); err != nil {
		return nil, err
	}
	for _, v := range in.all("status") {
		at := slices.IndexFunc(states, func(s store.State) bool { return s.String() == v.text })
		if at < 0 {
			return nil, v.refuse(fhir.Value, "%.60q is not a state: owed, delivered, failed, withheld, cancelled or skipped", v.text)
		}
		f.states = append(f.states, states[at])
	}
	since, until, err := in.bounds()
	f.since, f.until = bound{since}, bound{until}
	return f, err
}

func (f *filter) has(d delivery) bool {
	switch {
	case d.number == 0 && !slices.Contains(f.ids, d.id): // a test is found by its id alone
	case len(f.ids) > 0 && !slices.Contains(f.ids, d.id):
	case f.focus.ID != "" && f.focus != d.focus:
	case f.version > 0 && f.version != d.version:
	case f.numbers.To > 0 && !f.numbers.has(d.number):
	case len(f.states) > 0 && !slices.Contains(f.states, d.state):
	case f.since.set() && d.changed.Before(f.since.Time), f.until.set() && !d.changed.Before(f.until.Time):
	default:
		return true
	}
	return false
}
