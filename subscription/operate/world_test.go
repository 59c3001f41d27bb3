package operate

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fhirhook/channel"
	"fhirhook/channel/resthook"
	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/rest"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/storetest"
	"fhirhook/subscription"
)

// endpoint is a channel with one endpoint, which a test makes answer as it wants.
type endpoint struct {
	mu     sync.Mutex
	answer func(channel.Message) error
	log    []arrival
}

type arrival struct {
	at time.Time
	m  channel.Message
}

func (e *endpoint) Send(_ context.Context, m channel.Message) (channel.Reply, error) {
	e.mu.Lock()
	e.log = append(e.log, arrival{time.Now(), m})
	answer := e.answer
	e.mu.Unlock()
	if answer != nil {
		if err := answer(m); err != nil {
			return channel.Reply{Status: 500, Body: []byte("no")}, err
		}
	}
	r := channel.Reply{Status: 200, Duration: time.Millisecond, Body: []byte("yes")}
	if m.Test {
		r.Signed = []channel.Header{{Name: "webhook-id", Value: m.ID}}
	}
	return r, nil
}

func (e *endpoint) set(answer func(channel.Message) error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answer = answer
}

// take returns what has come since the last time.
func (e *endpoint) take() []arrival {
	e.mu.Lock()
	defer e.mu.Unlock()
	log := e.log
	e.log = nil
	return log
}

// numbers are the sequence numbers of what has come since the last time, sorted.
func (e *endpoint) numbers() []uint64 {
	var all []uint64
	for _, a := range e.take() {
		all = append(all, a.m.Sequence)
	}
	slices.Sort(all)
	return all
}

func refuse(channel.Message) error {
	return &channel.SendError{Class: "status-5xx", Hint: "it is down"}
}

// gate is the Gate without definitions of a tenant's own.
type gate struct{ *subscription.Gate }

func (g gate) Admission(store.Reader, string, *auth.Principal) store.Admit { return g.Admit }

// recent is what both halves know.
type recent struct {
	*subscription.Matcher
	*subscription.Deliverer
}

// world is a whole server without sockets.
type world struct {
	t        testing.TB
	db       store.DB // what the server sees
	model    store.DB
	endpoint *endpoint
	health   subscription.HealthPolicy
	server   *rest.Server
	desk     *Desk
	stop     context.CancelFunc
	parts    sync.WaitGroup
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, model: storetest.Rerun(storetest.NewModel()), endpoint: &endpoint{}}
	w.db = w.model
	return w
}

func (w *world) start() {
	w.t.Helper()
	table, err := subscription.NewDialectTable("kit", resthook.Dialects()...)
	if err != nil {
		w.t.Fatal(err)
	}
	definitions := criteria.R4()
	parsing := subscription.Options{Definitions: definitions, Dialects: table}
	sub := subscription.NewGate(parsing)
	engine := search.New(w.db, definitions, search.Options{})
	currents := subscription.NewCurrents(w.db, func(r *fhir.Resource) (*subscription.Subscription, error) {
		return subscription.Parse(r.Key, r.Version, r.Doc(), parsing)
	}, 100)
	deliverer := subscription.NewDeliverer(subscription.DelivererOptions{
		DB: w.db, Channel: w.endpoint, Subscription: currents.Current, ID: subscription.ID, WithStatus: subscription.WithStatus,
		Redact: sub.Redact, Random: func() float64 { return 0.5 }, Health: w.health,
	})
	matcher := subscription.NewMatcher(w.db, subscription.MatcherOptions{Parse: parsing, Notify: deliverer, Resolve: engine.Resolver})
	defs := func(context.Context, string) (*criteria.Definitions, error) { return definitions, nil }
	w.desk = New(Options{
		DB: w.db, Channel: w.endpoint, Parse: parsing, Definitions: defs, Resolve: engine.Resolver,
		Place: matcher.Place, Refresh: deliverer.Refresh, Recent: recent{matcher, deliverer},
	})
	w.server, err = rest.New(rest.Options{
		DB: w.db, Search: engine, Gate: gate{sub}, Definitions: defs, BaseURL: "https://fhir.example/fhir/R4", Operations: w.desk.Operations(),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	for _, run := range []func(context.Context) error{matcher.Run, deliverer.Run, w.desk.Run} {
		w.parts.Go(func() { // until stop
			if err := run(ctx); err != nil && !errors.Is(err, errDead) {
				w.t.Error(err)
			}
		})
	}
}

func (w *world) halt() {
	w.stop()
	w.parts.Wait()
}

// restart stops everything, lets something be changed, and starts again.
func (w *world) restart(change func()) {
	w.halt()
	change()
	w.start()
}

// crash lets the store take nothing more, and starts again on what it has taken.
func (w *world) crash() {
	if m, ok := w.db.(*mortal); ok {
		m.die()
	}
	w.halt()
	w.db = w.model
	w.start()
}

var errDead = errors.New("the store is dead")

// mortal is a store that dies at an update of the queue of its lease.
type mortal struct {
	store.DB
	mu   sync.Mutex
	left int
}

func (m *mortal) die() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left = 0
}

// spend takes an update of the operations, or refuses any update.
func (m *mortal) spend(lease string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left == 0 {
		return errDead
	}
	if lease == leaseName {
		m.left--
	}
	return nil
}

func (m *mortal) Queue() store.Queue { return mortalQueue{m.DB.Queue(), m} }

type mortalQueue struct {
	store.Queue
	m *mortal
}

func (q mortalQueue) Update(ctx context.Context, l store.Lease, fn func(store.QueueWriter) error) error {
	if err := q.m.spend(l.Name); err != nil {
		return err
	}
	return q.Queue.Update(ctx, l, fn)
}

// reply is an answer.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (w *world) do(method, path, body string) reply {
	w.t.Helper()
	r := httptest.NewRequest(method, "https://fhir.example/fhir/R4/"+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/fhir+json")
	}
	rec := httptest.NewRecorder()
	w.server.ServeHTTP(rec, r)
	return reply{rec.Code, rec.Header(), rec.Body.Bytes()}
}

func (w *world) must(status int, method, path, body string) reply {
	w.t.Helper()
	r := w.do(method, path, body)
	if r.status != status {
		w.t.Fatalf("%s %s: status %d, want %d: %s", method, path, r.status, status, r.body)
	}
	return r
}

func (w *world) put(typ, id, members string) {
	w.t.Helper()
	r := w.do("PUT", typ+"/"+id, `{"resourceType":"`+typ+`","id":"`+id+`"`+members+`}`)
	if r.status >= 300 {
		w.t.Fatalf("PUT %s/%s: %d %s", typ, id, r.status, r.body)
	}
}

const noRetries = `{"url":"https://medplum.com/fhir/StructureDefinition/subscription-max-attempts","valueInteger":1}`

// subscribe makes Subscription/s for Patient, without retries unless more says else.
func (w *world) subscribe(id, criteria string, extensions ...string) {
	w.t.Helper()
	more := ""
	if len(extensions) > 0 {
		more = `,"extension":[` + strings.Join(extensions, ",") + `]`
	}
	w.put("Subscription", id, `,"status":"active","criteria":"`+criteria+`","channel":{"type":"rest-hook","endpoint":"https://hook.example/"}`+more)
}

// parameter is one of Parameters.
type parameter struct {
	Name           string
	ValueString    string
	ValueCode      string
	ValueID        string `json:"valueId"`
	ValueInstant   string
	ValueInteger   *int
	ValueBoolean   *bool
	ValueReference struct{ Reference string }
	Part           []parameter
}

// text is the value as a text.
func (p parameter) text() string {
	switch {
	case p.ValueInteger != nil:
		b, _ := json.Marshal(*p.ValueInteger)
		return string(b)
	case p.ValueBoolean != nil:
		b, _ := json.Marshal(*p.ValueBoolean)
		return string(b)
	}
	return p.ValueString + p.ValueCode + p.ValueID + p.ValueInstant + p.ValueReference.Reference
}

type parameters struct {
	ResourceType string
	ID           string
	Parameter    []parameter
}

func (p parameters) get(name string) string {
	for _, one := range p.Parameter {
		if one.Name == name {
			return one.text()
		}
	}
	return ""
}

func (p parameters) parts(name string) (all []parameters) {
	for _, one := range p.Parameter {
		if one.Name == name {
			all = append(all, parameters{Parameter: one.Part})
		}
	}
	return all
}

func (r reply) parameters(t testing.TB) parameters {
	t.Helper()
	var p parameters
	if err := json.Unmarshal(r.body, &p); err != nil || p.ResourceType != "Parameters" {
		t.Fatalf("no Parameters: %v: %s", err, r.body)
	}
	return p
}

type bundle struct {
	Total *int
	Link  []struct{ Relation, URL string }
	Entry []struct{ Resource parameters }
}

func (r reply) bundle(t testing.TB) bundle {
	t.Helper()
	var b bundle
	if err := json.Unmarshal(r.body, &b); err != nil {
		t.Fatalf("%v: %s", err, r.body)
	}
	return b
}

// list reads all pages of a listing.
func (w *world) list(path string) (all []parameters, pages int) {
	w.t.Helper()
	for path != "" {
		b := w.must(200, "GET", path, "").bundle(w.t)
		pages++
		path = ""
		for _, e := range b.Entry {
			all = append(all, e.Resource)
		}
		for _, l := range b.Link {
			if l.Relation == "next" {
				path = strings.TrimPrefix(l.URL, "https://fhir.example/fhir/R4/")
			}
		}
	}
	return all, pages
}

// status reads a job by its Content-Location.
func (w *world) status(location string) parameters {
	w.t.Helper()
	return w.must(200, "GET", strings.TrimPrefix(location, "https://fhir.example/fhir/R4/"), "").parameters(w.t)
}
