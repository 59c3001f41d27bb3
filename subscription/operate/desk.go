package operate

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"fhirhook/channel"
	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/rest"
	"fhirhook/fhir/store"
	"fhirhook/subscription"
)

// leaseName is the lease under which jobs and operations write to the queue.
const leaseName = "operations"

// Options is what a Desk works with. What is not marked optional must be set.
type Options struct {
	DB      store.DB
	Channel channel.Channel
	// Parse compiles a stored version of a Subscription; its Definitions are set for each.
	Parse subscription.Options
	// Definitions are the search parameters of a tenant as they are now.
	Definitions func(ctx context.Context, tenant string) (*criteria.Definitions, error)
	// Env is as in the Matcher; Now and Lookup are set for each evaluation.
	Env criteria.Env
	// Resolve looks at a tenant's other resources at a place, as in the Matcher; optional: what looks at them can't
	// be decided.
	Resolve func(ctx context.Context, tenant string, at store.Seq, env criteria.Env) criteria.Resolver
	// Place is how far the Matcher has come.
	Place func() store.Seq
	// Refresh tells the Deliverer that what a lane owes was changed.
	Refresh func(store.Lane)
	// Recent lets answers tell what has just happened; optional: they tell what stands in the queue.
	Recent Recent
	// Held tells what a lane waits for that could send; optional.
	Held func(store.Lane) subscription.Wait
	Keep time.Duration // how long attempts are kept; optional: DefaultKeep
	Log  *slog.Logger  // optional: silent
}

// Desk carries out the operations, and runs the jobs while Run does. It is safe for concurrent use.
type Desk struct {
	o Options

	mu      sync.Mutex // guards what follows
	begin   func(jobKey)
	running map[jobKey]chan struct{} // capacity 1: something to look at
}

// New returns a Desk.
func New(o Options) *Desk {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Keep == 0 {
		o.Keep = DefaultKeep
	}
	if o.Held == nil {
		o.Held = func(store.Lane) subscription.Wait { return subscription.NoWait }
	}
	return &Desk{o: o, running: map[jobKey]chan struct{}{}}
}

// Operations lists what the Desk offers.
func (d *Desk) Operations() []rest.Operation {
	own := []fhir.Type{fhir.Subscription}
	get, post := []string{http.MethodGet}, []string{http.MethodPost}
	return []rest.Operation{
		{Name: "ping", Level: rest.OnInstance, Types: own, Methods: post, Needs: auth.Update, Handle: d.ping},
		{Name: "deliveries", Level: rest.OnType, Types: own, Methods: get, Needs: auth.Search, Handle: d.deliveries},
		{Name: "deliveries", Level: rest.OnInstance, Methods: get, Needs: auth.Read, Handle: d.deliveries},
		{Name: "redeliver", Level: rest.OnInstance, Types: own, Methods: post, Needs: auth.Update, Handle: d.redeliver},
		{Name: "backfill", Level: rest.OnInstance, Types: own, Methods: post, Needs: auth.Update, Handle: d.backfill},
		{Name: "job", Level: rest.OnInstance, Types: own, Methods: []string{http.MethodGet, http.MethodDelete}, Needs: auth.Update, Handle: d.job},
		{Name: "rotate-secret", Level: rest.OnInstance, Types: own, Methods: post, Needs: auth.Update, Handle: d.rotateSecret},
		{Name: "explain", Level: rest.OnInstance, Types: own, Methods: post, Needs: auth.Read, Handle: d.explain},
		{Name: "status", Level: rest.OnType, Types: own, Methods: get, Needs: auth.Search, Handle: d.status},
		{Name: "status", Level: rest.OnInstance, Types: own, Methods: get, Needs: auth.Read, Handle: d.status},
		{Name: "plan", Level: rest.OnType, Types: own, Methods: get, Needs: auth.Search, Handle: d.plan},
		{Name: "plan", Level: rest.OnInstance, Types: own, Methods: get, Needs: auth.Read, Handle: d.plan},
		{Name: "take-over", Level: rest.OnInstance, Types: own, Methods: post, Needs: auth.Update, Handle: d.takeOver},
		{Name: "revoke-grant", Level: rest.OnInstance, Types: own, Methods: post, Admin: true, Handle: d.revokeGrant},
		{Name: "resend", Level: rest.OnInstance, Methods: post, Admin: true, Handle: d.resend},
	}
}

// read returns the current version of a resource, maybe a tombstone, and the place of the state it was read in.
func (d *Desk) read(ctx context.Context, key fhir.Key) (found *fhir.Resource, at store.Seq, err error) {
	err = d.o.DB.View(ctx, func(r store.Reader) error {
		at = r.Last()
		found, err = r.Read(key, at)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, 0, fhir.Errorf(fhir.NotFound, "", "%s does not exist", key)
	}
	return found, at, err
}

// subscription returns a Subscription that exists, compiled, with the version it was compiled from.
func (d *Desk) subscription(ctx context.Context, key fhir.Key) (*subscription.Subscription, *fhir.Resource, error) {
	found, _, err := d.read(ctx, key)
	switch {
	case err != nil:
		return nil, nil, err
	case found.Deleted:
		return nil, nil, fhir.Errorf(fhir.Gone, "", "%s was deleted: what it was owed can still be read by GET %s/$deliveries", key, key)
	}
	s, err := d.compile(ctx, found)
	if err != nil && fhir.KindOf(err) == fhir.Internal {
		return nil, nil, err
	}
	if err != nil {
		return nil, nil, fhir.Errorf(fhir.BusinessRule, "", "%s can't be evaluated any more, so this can't be done: write it again. %s", key, err)
	}
	return s, found, nil
}

// sending is a Subscription to which notifications go now.
func (d *Desk) sending(ctx context.Context, key fhir.Key) (*subscription.Subscription, error) {
	s, _, err := d.subscription(ctx, key)
	switch {
	case err != nil:
		return nil, err
	case s.Ended(time.Now()):
		return nil, fhir.Errorf(fhir.BusinessRule, "Subscription.end", "%s has ended, so nothing is sent: give it a later end, or none, first", key)
	case s.Status == subscription.Off:
		return nil, fhir.Errorf(fhir.BusinessRule, "Subscription.status", "%s is off, so nothing is sent: write it with status active first; $ping works now, too", key)
	}
	return s, nil
}

// compile compiles a stored version of a Subscription.
func (d *Desk) compile(ctx context.Context, r *fhir.Resource) (*subscription.Subscription, error) {
	o := d.o.Parse
	o.Policy = nil // what was admitted once stays admitted; the dialer judges each connection
	var err error
	if o.Definitions, err = d.o.Definitions(ctx, r.Key.Tenant); err != nil {
		return nil, err
	}
	return subscription.Parse(r.Key, r.Version, r.Doc(), o)
}

func laneOf(key fhir.Key) store.Lane {
	return store.Lane{Tenant: key.Tenant, Subscription: key.ID}
}

// env is the surroundings of an evaluation at a time and a place, as far as they are in sight of all the views.
func (d *Desk) env(ctx context.Context, tenant string, now time.Time, at store.Seq, views ...subscription.View) (criteria.Env, error) {
	e := d.o.Env
	e.Now = now
	if d.o.Resolve == nil {
		return e, nil
	}
	definitions, err := d.o.Definitions(ctx, tenant)
	if err != nil {
		return e, err
	}
	r := d.o.Resolve(ctx, tenant, at, e)
	for _, v := range views {
		r = v.Resolver(r, now)
	}
	e.Lookup = criteria.NewLookup(r, definitions)
	return e, nil
}

// search reads a search that narrows something down; nil for none.
func (d *Desk) search(ctx context.Context, tenant, text string) (*criteria.Query, error) {
	if text == "" {
		return nil, nil
	}
	definitions, err := d.o.Definitions(ctx, tenant)
	if err != nil {
		return nil, err
	}
	return criteria.Parse(text, definitions)
}

// patience is how long an operation waits for the Matcher to pass a version.
const patience = 10 * time.Second

// passed waits until the Matcher has given all numbers up to a place.
func (d *Desk) passed(ctx context.Context, at store.Seq) error {
	deadline := time.Now().Add(patience)
	for d.o.Place() < at {
		if time.Now().After(deadline) {
			return fhir.Errorf(fhir.Unavailable, "", "matching has not come to the newest changes yet: try again in a while")
		}
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// sleep waits, or fails with what ended ctx.
func sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// update writes to the queue.
func (d *Desk) update(ctx context.Context, fn func(store.QueueWriter) error) error {
	lease, err := d.o.DB.Lease(ctx, leaseName)
	if err != nil {
		return err
	}
	return d.o.DB.Queue().Update(ctx, lease, fn)
}
