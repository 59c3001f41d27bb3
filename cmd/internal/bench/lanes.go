package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"fhirhook/channel/resthook"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/bolt"
	"fhirhook/fhir/tape"
	"fhirhook/subscription"
)

// Lanes is a Deliverer over the embedded engine, as the server wires it, without the server.
type Lanes struct {
	db        store.DB
	hook      *resthook.Channel
	log       *os.File
	ids       []string
	focus     []fhir.Key
	updated   time.Time
	owing     store.Lease
	deliverer *subscription.Deliverer
	stop      context.CancelFunc
	ended     chan error

	mu   sync.Mutex // guards what follows
	left int
	done chan struct{} // closed when left gets 0
}

// laneFocuses is how many resources there are for notifications to be about.
const laneFocuses = 4096

// OpenLanes makes, in a folder, so many Subscriptions of an order (`none`, `resource`, `subscription`) to an endpoint,
// and resources for them to be about. A Deliverer runs until Close.
func OpenLanes(ctx context.Context, dir, endpoint string, count int, order string, body []byte) (_ *Lanes, err error) {
	l := &Lanes{}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	if l.db, err = bolt.Open(dir, bolt.Options{}); err != nil {
		return nil, err
	}
	if l.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		return nil, err
	}
	table, err := subscription.NewDialectTable("kit", resthook.Dialects()...)
	if err != nil {
		return nil, err
	}
	l.hook = resthook.New(resthook.Options{Policy: resthook.Policy{Dev: true}})
	const cached = 10_000 // as many as the server keeps
	currents := subscription.NewCurrents(l.db, func(r *fhir.Resource) (*subscription.Subscription, error) {
		return subscription.Parse(r.Key, r.Version, r.Doc(), subscription.Options{Dialects: table})
	}, cached)
	l.deliverer = subscription.NewDeliverer(subscription.DelivererOptions{
		DB: l.db, Channel: l.hook, Subscription: currents.Current, ID: subscription.ID, WithStatus: subscription.WithStatus,
		Redact:  func(r *fhir.Resource) []byte { return r.JSON },
		Log:     slog.New(slog.NewTextHandler(l.log, nil)),
		Observe: l.observe,
	})
	for i := range count {
		l.ids = append(l.ids, fmt.Sprintf("lane%d", i))
		if _, err := l.write(ctx, fhir.Subscription, l.ids[i], fmt.Appendf(nil, `{"resourceType":"Subscription","status":"active","reason":"benchmark","criteria":"DiagnosticReport",`+
			`"channel":{"type":"rest-hook","endpoint":%q,"payload":"application/fhir+json"},"extension":[`+
			`{"url":"https://www.medplum.com/fhir/StructureDefinition/subscription-secret","valueString":"a-long-enough-secret"},`+
			`{"url":"https://fhirhook.dev/StructureDefinition/subscription-order","valueCode":%q}]}`, endpoint, order)); err != nil {
			return nil, err
		}
	}
	for i := range laneFocuses {
		key, err := l.write(ctx, "DiagnosticReport", fmt.Sprintf("report%d", i), body)
		if err != nil {
			return nil, err
		}
		l.focus = append(l.focus, key)
	}
	if l.owing, err = l.db.Lease(ctx, "benchmark"); err != nil {
		return nil, err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop, l.ended = stop, make(chan error, 1)
	go func() { l.ended <- l.deliverer.Run(running) }() // until Close
	return l, nil
}

// Close ends the Deliverer and gives up the store.
func (l *Lanes) Close() error {
	var errs []error
	if l.stop != nil {
		l.stop()
		errs = append(errs, <-l.ended)
	}
	if l.hook != nil {
		l.hook.Close()
	}
	if l.db != nil {
		errs = append(errs, l.db.Close())
	}
	if l.log != nil {
		l.log.Close()
	}
	return errors.Join(errs...)
}

func (l *Lanes) write(ctx context.Context, typ fhir.Type, id string, body []byte) (fhir.Key, error) {
	key := fhir.Key{Tenant: fhir.DefaultTenant, Type: typ, ID: id}
	doc, err := tape.Parse(body, 0)
	if err != nil {
		return key, err
	}
	_, err = l.db.Update(ctx, store.Origin{}, func(w store.Writer) error {
		l.updated = w.Now()
		return w.Append(&fhir.Resource{Key: key, Version: 1, Updated: w.Now(), JSON: fhir.Stamp(doc, id, 1, w.Now())}, fhir.Create)
	})
	return key, err
}

func (l *Lanes) observe(o subscription.Observation) {
	if o.Kind != subscription.ResultsStored {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left -= o.Count; l.left == 0 {
		close(l.done)
	}
}

// Owe owes so many notifications, in turn to all lanes, as the matcher does. It returns how many those are, a
// multiple of the lanes.
func (l *Lanes) Owe(ctx context.Context, times int) (int, error) {
	each := times / len(l.ids)
	l.mu.Lock()
	l.left, l.done = each*len(l.ids), make(chan struct{})
	l.mu.Unlock()
	for _, id := range l.ids {
		err := l.db.Queue().Update(ctx, l.owing, func(w store.QueueWriter) error {
			rec, err := w.Lane(store.Lane{Tenant: fhir.DefaultTenant, Subscription: id})
			if err != nil {
				return err
			}
			for range each {
				n := store.Notification{
					Lane: rec.Lane, Number: rec.Next, Version: 1, Interaction: fhir.Create,
					Focus: l.focus[rec.Next%uint64(len(l.focus))], Updated: l.updated,
				}
				rec.Next++
				if err := w.Owe(n); err != nil {
					return err
				}
			}
			return w.PutLane(rec)
		})
		if err != nil {
			return 0, err
		}
	}
	return each * len(l.ids), nil
}

// Deliver lets the lanes go and returns when the result of every notification is durable.
func (l *Lanes) Deliver(ctx context.Context) error {
	for _, id := range l.ids {
		l.deliverer.Wake(store.Lane{Tenant: fhir.DefaultTenant, Subscription: id})
	}
	select {
	case <-l.done:
		return nil
	case err := <-l.ended:
		l.ended <- nil
		return errors.Join(errors.New("the Deliverer has stopped"), err)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
