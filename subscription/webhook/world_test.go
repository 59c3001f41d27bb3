package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
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
	"fhirhook/fhir/validate"
	"fhirhook/subscription"
	"fhirhook/subscription/operate"
	"fhirhook/subscription/webhook"
)

// receiver is a channel that keeps what it is given. A URL that ends in /down fails.
type receiver struct {
	mu  sync.Mutex
	log []channel.Message
}

func (r *receiver) Send(_ context.Context, m channel.Message) (channel.Reply, error) {
	r.mu.Lock()
	r.log = append(r.log, m)
	r.mu.Unlock()
	if strings.HasSuffix(m.Target.Endpoint, "/down") {
		return channel.Reply{Status: 503, Duration: 2 * time.Millisecond, Body: []byte("later")}, &channel.SendError{Class: "status-5xx", Hint: "it is down"}
	}
	reply := channel.Reply{Status: 200, Duration: time.Millisecond, Body: []byte("yes")}
	if m.Test {
		reply.Signed = []channel.Header{{Name: "webhook-id", Value: m.ID}}
	}
	return reply, nil
}

func (r *receiver) all() []channel.Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]channel.Message(nil), r.log...)
}

type gate struct{ *subscription.Gate }

func (g gate) Admission(store.Reader, string, *auth.Principal) store.Admit { return g.Admit }

// site is where the server is, as its clients know it.
const site = "https://hooks.example"

// world is a whole server without sockets, and everything that left it.
type world struct {
	t        testing.TB
	fhir     *rest.Server
	hooks    http.Handler
	receiver *receiver
	log      *lockedBuffer // of the server, at its most talkative
	seen     *lockedBuffer // every answer: headers and body
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func newWorld(t testing.TB, change ...func(*webhook.Options)) *world {
	t.Helper()
	w := &world{t: t, receiver: &receiver{}, log: &lockedBuffer{}, seen: &lockedBuffer{}}
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	db := storetest.NewModel()
	o := webhook.Options{Dialect: "kit"}
	for _, f := range change {
		f(&o)
	}
	table, err := subscription.NewDialectTable("kit", append(resthook.Dialects(), o.Dialects...)...)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := resthook.NewPolicy(false, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	definitions := criteria.R4()
	parsing := subscription.Options{Definitions: definitions, Dialects: table}
	admission := parsing
	admission.Policy = policy
	admitting := subscription.NewGate(admission)
	engine := search.New(db, definitions, search.Options{})
	currents := subscription.NewCurrents(db, func(r *fhir.Resource) (*subscription.Subscription, error) {
		return subscription.Parse(r.Key, r.Version, r.Doc(), parsing)
	}, 100)
	deliverer := subscription.NewDeliverer(subscription.DelivererOptions{
		DB: db, Channel: w.receiver, Subscription: currents.Current, ID: subscription.ID, WithStatus: subscription.WithStatus,
		Redact: admitting.Redact, Log: log,
	})
	matcher := subscription.NewMatcher(db, subscription.MatcherOptions{Parse: parsing, Notify: deliverer, Resolve: engine.Resolver, Log: log})
	defs := func(context.Context, string) (*criteria.Definitions, error) { return definitions, nil }
	desk := operate.New(operate.Options{
		DB: db, Channel: w.receiver, Parse: parsing, Definitions: defs, Resolve: engine.Resolver, Place: matcher.Place, Refresh: deliverer.Refresh, Log: log,
	})
	w.fhir, err = rest.New(rest.Options{
		DB: db, Search: engine, Gate: gate{admitting}, Definitions: defs, Validator: validate.Structure, Operations: desk.Operations(),
		BaseURL: site, Log: log, Beside: []rest.Fragment{webhook.OpenAPI()},
	})
	if err != nil {
		t.Fatal(err)
	}
	o.FHIR = w.fhir
	w.hooks = webhook.New(o)

	ctx, stop := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	for _, run := range []func(context.Context) error{matcher.Run, deliverer.Run, desk.Run} {
		parts.Go(func() { // until the test ends
			if err := run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() { stop(); parts.Wait() })
	return w
}

// answer is an answer read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// send sends a request to a handler; headers are "Name: value". A body is JSON unless a header says otherwise.
func (w *world) send(to http.Handler, method, path, body string, headers ...string) answer {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
		if value == "" {
			r.Header.Del(name)
		}
	}
	recorded := httptest.NewRecorder()
	to.ServeHTTP(recorded, r)
	a := answer{recorded.Code, recorded.Header(), recorded.Body.Bytes()}
	_ = a.header.Write(w.seen)
	_, _ = w.seen.Write(a.body)
	return a
}

func (w *world) do(method, path, body string, headers ...string) answer {
	return w.send(w.hooks, method, path, body, headers...)
}

func (w *world) must(status int, method, path, body string, headers ...string) answer {
	w.t.Helper()
	a := w.do(method, path, body, headers...)
	if a.status != status {
		w.t.Fatalf("%s %s %s: status %d, want %d\n%s", method, path, body, a.status, status, a.body)
	}
	return a
}

// resource sends a request to the FHIR endpoint.
func (w *world) resource(status int, method, path, body string) answer {
	w.t.Helper()
	a := w.send(w.fhir, method, rest.Prefix+path, body)
	if a.status != status {
		w.t.Fatalf("%s %s: status %d, want %d\n%s", method, path, a.status, status, a.body)
	}
	return a
}

// hook creates a webhook and returns its id.
func (w *world) hook(body string) string {
	w.t.Helper()
	return w.must(http.StatusCreated, http.MethodPost, "/webhooks", body).text(w.t, "id")
}

func (a answer) json(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	d := json.NewDecoder(bytes.NewReader(a.body))
	if err := d.Decode(&v); err != nil {
		t.Fatalf("no JSON object: %v\n%s", err, a.body)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Fatalf("there is more behind the object:\n%s", a.body)
	}
	return v
}

func (a answer) text(t testing.TB, name string) string {
	t.Helper()
	s, _ := a.json(t)[name].(string)
	return s
}
