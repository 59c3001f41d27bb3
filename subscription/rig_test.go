package subscription

// The deliverer tests stand on this.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"fhirhook/channel"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/storetest"
	"fhirhook/fhir/tape"
)

// sent is one request that an endpoint saw.
type sent struct {
	at time.Time
	m  channel.Message
}

// endpoints is a channel whose endpoints are functions.
type endpoints struct {
	mu     sync.Mutex
	answer map[string]func(context.Context, channel.Message) error // by endpoint
	log    []sent
	now    map[string]int // requests under way, by endpoint
	most   map[string]int
}

func (e *endpoints) Send(ctx context.Context, m channel.Message) (channel.Reply, error) {
	at := m.Target.Endpoint
	e.mu.Lock()
	e.log = append(e.log, sent{time.Now(), m})
	e.now[at]++
	e.most[at] = max(e.most[at], e.now[at])
	answer := e.answer[at]
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		e.now[at]--
		e.mu.Unlock()
	}()
	if answer == nil {
		return channel.Reply{Status: 200}, nil
	}
	if err := answer(ctx, m); err != nil {
		return channel.Reply{Status: 500}, err
	}
	return channel.Reply{Status: 200}, nil
}

func (e *endpoints) set(endpoint string, answer func(context.Context, channel.Message) error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answer[endpoint] = answer
}

func (e *endpoints) sent() []sent {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.log)
}

func (e *endpoints) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.log = nil
}

func failing(class string) func(context.Context, channel.Message) error {
	return func(context.Context, channel.Message) error { return &channel.SendError{Class: class} }
}

// rig is a store, endpoints, and at times a running Deliverer.
type rig struct {
	t         testing.TB
	model     store.DB
	db        *mortal
	channel   *endpoints
	options   DelivererOptions
	configure map[string]func(*Subscription) // by id
	cached    int                            // Subscriptions that are kept compiled; 0: some

	d    *Deliverer
	stop context.CancelFunc
	done chan error
}

func newRig(t testing.TB) *rig {
	r := &rig{
		t: t, model: storetest.Rerun(storetest.NewModel()), configure: map[string]func(*Subscription){},
		channel: &endpoints{answer: map[string]func(context.Context, channel.Message) error{}, now: map[string]int{}, most: map[string]int{}},
	}
	r.db = &mortal{DB: r.model}
	r.options = DelivererOptions{Random: func() float64 { return 0.5 }}
	return r
}

// bulk gives the rig a quick queue.
func (r *rig) bulk() *bulkQueue {
	b := newBulk(storetest.NewModel())
	r.model, r.db = b, &mortal{DB: b}
	return b.q
}

// start runs a new Deliverer, as after a start of the server.
func (r *rig) start() {
	o := r.options
	o.DB, o.Channel = r.db, r.channel
	o.ID = func(epoch string, n store.Notification) string {
		return fmt.Sprintf("%s-%s-%d", epoch[:4], n.Lane.Subscription, n.Number)
	}
	o.WithStatus = WithStatus
	o.Redact = func(*fhir.Resource) []byte { return []byte(`"redacted"`) }
	o.Subscription = NewCurrents(r.db, r.parse, max(r.cached, 100)).Current
	r.d = NewDeliverer(o)
	ctx, stop := context.WithCancel(context.Background())
	r.stop, r.done = stop, make(chan error, 1)
	d, done := r.d, r.done
	go func() { done <- d.Run(ctx) }()
}

// halt stops it and waits.
func (r *rig) halt() {
	r.t.Helper()
	r.stop()
	if err := <-r.done; err != nil {
		r.t.Errorf("Run: %v", err)
	}
}

// crash abandons the Deliverer: its store takes nothing more, and attempts under way come to nothing.
func (r *rig) crash() {
	r.db.fail(store.ErrClosed)
	r.db = &mortal{DB: r.model}
	r.stop()
	<-r.done
}

// mortal is a store that takes nothing more once fail has been called with an error.
type mortal struct {
	store.DB
	mu      sync.Mutex
	err     error
	damaged fhir.Key // its versions can't be read
	views   int      // of the queue
}

func (m *mortal) damage(key fhir.Key) { m.damaged = key }

func (m *mortal) View(ctx context.Context, fn func(store.Reader) error) error {
	return m.DB.View(ctx, func(r store.Reader) error { return fn(damagedReader{r, m.damaged}) })
}

type damagedReader struct {
	store.Reader
	key fhir.Key
}

func (r damagedReader) Version(key fhir.Key, version uint64) (*fhir.Resource, error) {
	if key == r.key {
		return nil, errors.New("the value is malformed")
	}
	return r.Reader.Version(key, version)
}

func (m *mortal) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

func (m *mortal) failure() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

func (m *mortal) Update(ctx context.Context, o store.Origin, fn func(store.Writer) error) (store.Commit, error) {
	if err := m.failure(); err != nil {
		return store.Commit{}, err
	}
	return m.DB.Update(ctx, o, fn)
}

func (m *mortal) Queue() store.Queue { return &mortalQueue{m.DB.Queue(), m} }

type mortalQueue struct {
	store.Queue
	m *mortal
}

func (q *mortalQueue) View(ctx context.Context, fn func(store.QueueReader) error) error {
	q.m.mu.Lock()
	q.m.views++
	q.m.mu.Unlock()
	return q.Queue.View(ctx, fn)
}

func (q *mortalQueue) Update(ctx context.Context, l store.Lease, fn func(store.QueueWriter) error) error {
	if err := q.m.failure(); err != nil {
		return err
	}
	return q.Queue.Update(ctx, l, fn)
}

func (r *rig) parse(v *fhir.Resource) (*Subscription, error) {
	s := &Subscription{
		Key: v.Key, Version: v.Version, Status: statusOf(v), Ladder: kitLadder,
		Target: channel.Target{Endpoint: v.Doc().Root().Path("channel", "endpoint").Text()},
	}
	if v.Doc().Root().Get("broken").Exists() {
		return nil, errors.New("broken")
	}
	if configure := r.configure[v.Key.ID]; configure != nil {
		configure(s)
	}
	return s, nil
}

func (r *rig) put(key fhir.Key, body map[string]any) *fhir.Resource {
	r.t.Helper()
	body["resourceType"] = string(key.Type)
	b, err := json.Marshal(body)
	if err != nil {
		r.t.Fatal(err)
	}
	doc, err := tape.Parse(b, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.write(key, doc)
}

// write appends a version; a nil doc is a deletion.
func (r *rig) write(key fhir.Key, doc *tape.Doc) *fhir.Resource {
	r.t.Helper()
	var v *fhir.Resource
	_, err := r.db.Update(context.Background(), store.Origin{}, func(w store.Writer) error {
		v = &fhir.Resource{Key: key, Version: 1, Updated: w.Now()}
		i := fhir.Create
		if prev, err := w.Read(key, w.Last()); err == nil {
			v.Version = prev.Version + 1
			if !prev.Deleted {
				i = fhir.Update
			}
		}
		if doc == nil {
			v.Deleted, i = true, fhir.Delete
		} else {
			v.JSON = fhir.Stamp(doc, key.ID, v.Version, v.Updated)
		}
		return w.Append(v, i)
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

func subKey(id string) fhir.Key {
	return fhir.Key{Tenant: fhir.DefaultTenant, Type: fhir.Subscription, ID: id}
}

func laneOf(id string) store.Lane { return store.Lane{Tenant: fhir.DefaultTenant, Subscription: id} }

// subscribe writes a version of a Subscription as a client does.
func (r *rig) subscribe(id, endpoint string, status Status) {
	r.t.Helper()
	r.put(subKey(id), map[string]any{"status": string(status), "channel": map[string]any{"endpoint": endpoint}})
	if r.d != nil {
		r.d.Wake(laneOf(id))
	}
}

func (r *rig) unsubscribe(id string) {
	r.t.Helper()
	r.write(subKey(id), nil)
	r.updateQueue(func(w store.QueueWriter) error {
		rec, err := w.Lane(laneOf(id))
		rec.Cancelling = true
		return errors.Join(err, w.PutLane(rec))
	})
	r.d.Wake(laneOf(id))
}

func (r *rig) updateQueue(fn func(store.QueueWriter) error) {
	r.t.Helper()
	lease, err := r.db.Lease(context.Background(), "test")
	if err == nil {
		err = r.db.Queue().Update(context.Background(), lease, fn)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// owe does what the matcher does with verdicts: one notification per focus id, of a deletion, which needs no body.
func (r *rig) owe(id string, focus ...string) {
	r.t.Helper()
	if news := r.decide(id, focus...); r.d != nil {
		r.d.Notify(news)
	}
}

// decide is owe without a word to the Deliverer.
func (r *rig) decide(id string, focus ...string) []*News {
	r.t.Helper()
	at := fhir.Millis(time.Now())
	var news []*News
	r.updateQueue(func(w store.QueueWriter) error {
		l := newLedger(w)
		for _, f := range focus {
			lane, err := l.lane(laneOf(id))
			if err != nil {
				return err
			}
			if err := l.owe(store.Notification{
				Lane: lane.Lane, Version: lane.Record.Next, Interaction: fhir.Delete, Updated: at,
				Focus: fhir.Key{Tenant: fhir.DefaultTenant, Type: "Observation", ID: f},
			}); err != nil {
				return err
			}
		}
		var err error
		news, err = l.close()
		return err
	})
	return news
}

func numbered(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("o%d", i)
	}
	return ids
}

func (r *rig) record(id string) store.LaneRecord {
	r.t.Helper()
	var rec store.LaneRecord
	err := r.db.Queue().View(context.Background(), func(q store.QueueReader) error {
		var err error
		rec, err = q.Lane(laneOf(id))
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return rec
}

func (r *rig) owed(id string) []store.Notification {
	r.t.Helper()
	var owed []store.Notification
	_ = r.db.Queue().View(context.Background(), func(q store.QueueReader) error {
		for n, err := range q.Owed(laneOf(id), 0) {
			if err != nil {
				r.t.Error(err)
			}
			owed = append(owed, n)
		}
		return nil
	})
	return owed
}

func (r *rig) attempts(id string) []store.Attempt {
	r.t.Helper()
	var all []store.Attempt
	_ = r.db.Queue().View(context.Background(), func(q store.QueueReader) error {
		for a, err := range q.Attempts(store.AttemptScope{Lane: laneOf(id)}) {
			if err != nil {
				r.t.Error(err)
			}
			all = append(all, a)
		}
		return nil
	})
	return all
}

// ends is the final state of each notification of a lane, by number.
func (r *rig) ends(id string) map[uint64]store.State {
	ends := map[uint64]store.State{}
	for _, a := range r.attempts(id) {
		if a.State != store.Owed {
			ends[a.Number] = a.State
		}
	}
	return ends
}

// standing is the status and error text of a Subscription.
func (r *rig) standing(id string) (Status, string) {
	r.t.Helper()
	var status Status
	var text string
	err := r.db.View(context.Background(), func(s store.Reader) error {
		v, err := s.Read(subKey(id), s.Last())
		if err != nil {
			return err
		}
		status, text = statusOf(v), v.Doc().Root().Get("error").Text()
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return status, text
}

func (r *rig) versions(id string) uint64 {
	var n uint64
	_ = r.db.View(context.Background(), func(s store.Reader) error {
		v, err := s.Read(subKey(id), s.Last())
		if err == nil {
			n = v.Version
		}
		return err
	})
	return n
}

// inMemory looks at the lanes in memory, and counts them.
func (r *rig) inMemory(look func(*lane)) int {
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	for _, l := range r.d.lanes {
		if look != nil {
			look(l)
		}
	}
	return len(r.d.lanes)
}
