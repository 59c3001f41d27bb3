//go:build !race

package app

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"fhirhook/channel"
	"fhirhook/channel/resthook"
	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/rest"
	"fhirhook/fhir/store"
	"fhirhook/fhir/tape"
	"fhirhook/subscription"
)

// baselineFile holds what the hot paths allocated when somebody last looked; `make baseline` writes it. The race detector
// allocates, too, so that this file isn't built with it.
const (
	baselineFile     = "testdata/allocations.txt"
	baselineVariable = "FHIRHOOK_BASELINE" // write: the file is written, and nothing compared
)

// cost is what one operation allocates.
type cost struct{ allocations, bytes uint64 }

// TestAllocations_hotPathsStayAsTheyWere compares allocations, which are the same on a busy machine, and never times.
func TestAllocations_hotPathsStayAsTheyWere(t *testing.T) {
	w := newAllocating(t)
	measured := map[string]cost{}
	var names []string
	for _, p := range []struct {
		name    string
		run     func() (operations int)
		prepare func() // isn't counted; nil: nothing
	}{
		{"parse a resource of 1,100 bytes", w.parse, nil},
		{"read a resource", w.read, nil},
		{"search by id", w.searchByID, nil},
		{"search by token", w.searchByToken, nil},
		{"match a resource against 1,000 Subscriptions", w.match, nil},
		{"build and sign a request", w.build, nil},
		{"write a resource", w.write, nil},
		{"index a row", w.index, func() { w.write() }},
		{"owe a notification, deliver it and record the attempt", w.deliver, nil},
	} {
		names = append(names, p.name)
		measured[p.name] = least(p.run, p.prepare)
	}
	if os.Getenv(baselineVariable) == "write" {
		writeBaseline(t, names, measured)
		return
	}
	for name, was := range readBaseline(t) {
		is, ok := measured[name]
		if !ok {
			t.Errorf("%s: is in %s and is not measured: make baseline", name, baselineFile)
			continue
		}
		delete(measured, name)
		if problem := was.compare(is); problem != "" {
			t.Errorf("%s: %s: it was %v and is %v", name, problem, was, is)
		}
	}
	for name := range measured {
		t.Errorf("%s: is not in %s: make baseline", name, baselineFile)
	}
}

func (c cost) String() string { return fmt.Sprintf("%d allocations, %d bytes", c.allocations, c.bytes) }

// compare says what is wrong with a cost now, "" if nothing is. Some more is noise; half of it is an achievement that the
// baseline should keep.
func (c cost) compare(now cost) string {
	switch {
	case now.allocations > c.allocations+max(c.allocations/10, 2), now.bytes > c.bytes+max(c.bytes/5, 256):
		return "more than a tenth more allocations or a fifth more bytes: find out why, or write the new baseline by make baseline"
	case 2*now.allocations < c.allocations, 2*now.bytes < c.bytes:
		return "less than half: keep it so, by make baseline"
	default:
		return ""
	}
}

func TestCost_compare(t *testing.T) {
	was := cost{100, 10_000}
	for now, wrong := range map[cost]bool{
		{100, 10_000}: false, {110, 12_000}: false, {50, 5_000}: false,
		{111, 10_000}: true, {100, 12_001}: true, {49, 10_000}: true, {100, 4_999}: true,
	} {
		if got := was.compare(now); (got != "") != wrong {
			t.Errorf("%v: %q", now, got)
		}
	}
	if got := (cost{1, 16}).compare(cost{3, 200}); got != "" {
		t.Errorf("a few: %q", got)
	}
}

// least is the cost of an operation in the best of several runs: what others do meanwhile can only add to it. Nothing is
// collected during a run, or else pools would be emptied at chance.
func least(run func() int, prepare func()) cost {
	const runs = 6 // the first fills caches and pools
	best := cost{1 << 62, 1 << 62}
	for range runs {
		if prepare != nil {
			prepare()
		}
		runtime.GC()
		percent := debug.SetGCPercent(-1)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		n := uint64(run())
		runtime.ReadMemStats(&after)
		debug.SetGCPercent(percent)
		best.allocations = min(best.allocations, (after.Mallocs-before.Mallocs+n/2)/n)
		best.bytes = min(best.bytes, (after.TotalAlloc-before.TotalAlloc+n/2)/n)
	}
	return best
}

const baselineHead = `# What one operation of the hot paths allocates. A test fails when it gets more by a tenth (allocations) or a fifth
# (bytes), or less than half; make baseline writes this file anew.
`

func writeBaseline(t *testing.T, names []string, measured map[string]cost) {
	t.Helper()
	var b strings.Builder
	b.WriteString(baselineHead)
	for _, name := range names {
		fmt.Fprintf(&b, "%7d allocations %8d bytes  %s\n", measured[name].allocations, measured[name].bytes, name)
	}
	if err := os.WriteFile(baselineFile, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readBaseline(t *testing.T) map[string]cost {
	t.Helper()
	text, err := os.ReadFile(baselineFile)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]cost{}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		figures, name, _ := strings.Cut(strings.TrimSpace(line), "bytes  ")
		var c cost
		if _, err := fmt.Sscanf(figures, "%d allocations %d", &c.allocations, &c.bytes); err != nil {
			t.Fatalf("%s: %q: %v", baselineFile, line, err)
		}
		all[name] = c
	}
	return all
}

// allocating is a server that is wired and doesn't run, so that nothing happens in it but what is measured.
type allocating struct {
	t      *testing.T
	s      *Server
	number int
	set    criteria.Set
	lane   store.Lane
	lease  store.Lease

	currents *subscription.Currents
}

const operations = 100

func newAllocating(t *testing.T) *allocating {
	s, err := New(t.Context(), Options{
		Listen: "127.0.0.1:0", Data: t.TempDir(), Dev: true, Dialect: "kit", ErrorAfter: "10,1h", OffAfter: time.Hour,
		MaxBody: 8 << 20, MaxBundle: 64 << 20, Drain: time.Second, Auditing: Auditing{Audit: auditOff},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &allocating{t: t, s: s, lane: store.Lane{Tenant: fhir.DefaultTenant, Subscription: "s"}}
	for i := range operations {
		id := fmt.Sprint("kept", i)
		body := strings.Replace(observation(id), `"status"`, fmt.Sprintf(`"identifier":[{"system":"http://lab.example.org","value":"%d"}],"status"`, i), 1)
		w.do(http.MethodPut, "/Observation/"+id, body, http.StatusCreated)
	}
	w.do(http.MethodPut, "/Subscription/s", `{"resourceType":"Subscription","id":"s","status":"active","criteria":"Observation?code=http://loinc.org|718-7","channel":{"type":"rest-hook","endpoint":"http://127.0.0.1:9/hook","payload":"application/fhir+json"},`+
		`"extension":[{"url":"https://fhirhook.dev/StructureDefinition/subscription-secret","valueString":"a-long-enough-secret"},{"url":"https://fhirhook.dev/StructureDefinition/subscription-order","valueCode":"subscription"}]}`, http.StatusCreated)
	w.follow()
	for i := range 1000 {
		text := fmt.Sprintf("Observation?code=http://loinc.org|%d-7&status=final", i+100)
		if i%2 > 0 {
			text = fmt.Sprintf("Observation?subject=Patient/p%d", i)
		}
		q, err := criteria.Parse(text, criteria.R4())
		if err != nil {
			t.Fatal(err)
		}
		w.set.Add(fmt.Sprint("s", i), q)
	}
	table, err := subscription.NewDialectTable("kit", resthook.Dialects()...)
	if err != nil {
		t.Fatal(err)
	}
	w.currents = subscription.NewCurrents(s.db, func(r *fhir.Resource) (*subscription.Subscription, error) {
		return subscription.Parse(r.Key, r.Version, r.Doc(), subscription.Options{Dialects: table})
	}, 1)
	if w.lease, err = s.db.Lease(t.Context(), "allocations"); err != nil {
		t.Fatal(err)
	}
	return w
}

// do makes one request of the server.
func (w *allocating) do(method, path, body string, want int) {
	r := httptest.NewRequestWithContext(w.t.Context(), method, rest.Prefix+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", rest.FHIRJSON)
	}
	answer := httptest.NewRecorder()
	w.s.handler.ServeHTTP(answer, r)
	if answer.Code != want {
		w.t.Fatalf("%s %s: %d %s", method, path, answer.Code, answer.Body)
	}
}

// each does an operation some times.
func each(n int, do func(i int)) int {
	for i := range n {
		do(i)
	}
	return n
}

func (w *allocating) parse() int {
	body := []byte(observation("o"))
	return each(operations, func(int) {
		if _, err := tape.Parse(body, 0); err != nil {
			w.t.Fatal(err)
		}
	})
}

func (w *allocating) write() int {
	w.number++
	return each(operations, func(i int) {
		id := fmt.Sprintf("o%d-%d", w.number, i)
		w.do(http.MethodPut, "/Observation/"+id, observation(id), http.StatusCreated)
	})
}

func (w *allocating) read() int {
	return each(operations, func(i int) { w.do(http.MethodGet, fmt.Sprint("/Observation/kept", i), "", http.StatusOK) })
}

func (w *allocating) searchByID() int {
	return each(operations, func(i int) { w.do(http.MethodGet, fmt.Sprint("/Observation?_id=kept", i), "", http.StatusOK) })
}

func (w *allocating) searchByToken() int {
	return each(operations, func(i int) {
		w.do(http.MethodGet, fmt.Sprint("/Observation?identifier=http://lab.example.org|", i), "", http.StatusOK)
	})
}

func (w *allocating) match() int {
	body := []byte(observation("o"))
	env := criteria.Env{Now: time.Unix(1_800_000_000, 0), Zone: time.UTC}
	return each(operations, func(int) {
		r := &fhir.Resource{Key: fhir.Key{Tenant: fhir.DefaultTenant, Type: "Observation", ID: "o"}, Version: 1, JSON: body}
		if found := w.set.Match(r, env); !slices.Equal(found, []string{"s1", "s618"}) {
			w.t.Fatalf("%v", found)
		}
	})
}

func (w *allocating) build() int {
	dialect, _ := resthook.Lookup("kit")
	m := channel.Message{
		Target: channel.Target{Endpoint: "https://hooks.example.org/in", Payload: "application/fhir+json", Secrets: []string{"a-long-enough-secret"}},
		ID:     "sxnyjqapd2wssuoaygfsicg7g2ws4qrw", Tenant: fhir.DefaultTenant, Subscription: "s", Sequence: 7, Attempt: 1, Event: "observation.created",
		Interaction: "create", Type: "Observation", Focus: "o", Version: "1", Updated: time.Unix(1_800_000_000, 0), Body: []byte(observation("o")),
	}
	return each(operations, func(int) {
		request, err := resthook.Build(m, dialect, m.Updated)
		if err == nil {
			_, err = request.HTTP(w.t.Context())
		}
		if err != nil {
			w.t.Fatal(err)
		}
	})
}

// follow lets the index come to the end of the log, and stop there.
func (w *allocating) follow() {
	last, err := w.s.last(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.s.index.Run(ctx) }() // stops below
	for w.s.index.Place() < last {
		runtime.Gosched()
	}
	stop()
	if err := <-ended; err != nil {
		w.t.Fatal(err)
	}
}

// index takes in the rows behind its place.
func (w *allocating) index() int {
	before := w.s.index.Place()
	w.follow()
	return int(w.s.index.Place() - before)
}

// atOnce is a channel whose endpoints take everything, and tells when so many were sent.
type atOnce struct {
	left int
	all  context.CancelFunc
}

func (c *atOnce) Send(context.Context, channel.Message) (channel.Reply, error) {
	if c.left--; c.left == 0 {
		c.all()
	}
	return channel.Reply{Status: http.StatusOK}, nil
}

// deliver lets a Deliverer send what a lane owes, one after the other, each on the record before the next.
func (w *allocating) deliver() int {
	err := w.s.db.Queue().Update(w.t.Context(), w.lease, func(q store.QueueWriter) error {
		lane, err := q.Lane(w.lane)
		for i := 0; i < operations && err == nil; i++ {
			err = q.Owe(store.Notification{
				Lane: w.lane, Number: lane.Next, Focus: fhir.Key{Tenant: fhir.DefaultTenant, Type: "Observation", ID: fmt.Sprint("kept", i)},
				Version: 1, Interaction: fhir.Create, Updated: time.Now(),
			})
			lane.Next++
		}
		if err == nil {
			err = q.PutLane(lane)
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(w.t.Context())
	defer stop()
	d := subscription.NewDeliverer(subscription.DelivererOptions{
		DB: w.s.db, Channel: &atOnce{operations, stop}, Subscription: w.currents.Current, ID: subscription.ID,
		WithStatus: subscription.WithStatus, Redact: func(r *fhir.Resource) []byte { return r.JSON },
	})
	if err := d.Run(ctx); err != nil {
		w.t.Fatal(err)
	}
	return operations
}
