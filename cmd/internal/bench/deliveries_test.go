package bench_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"fhirhook/channel/resthook"
	"fhirhook/cmd/internal/app"
	"fhirhook/cmd/internal/bench"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/bolt"
	"fhirhook/fhir/tape"
	"fhirhook/subscription"
)

// serveReceiver is a healthy receiver in a process of its own, until SIGTERM.
func serveReceiver(ctx context.Context) error {
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	app.TuneCollector()
	fmt.Println("a receiver serves http://" + l.Addr().String())
	server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { //nolint:gosec // it talks to the benchmark only
		_, _ = io.Copy(io.Discard, q.Body) // what broke off shows at the sender
	})}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	_ = server.Serve(l) // ends with ctx
	return nil
}

// lanes is a Deliverer over the embedded engine, as the server wires it, without the server.
type lanes struct {
	b       *testing.B
	db      store.DB
	ids     []string
	focus   []fhir.Key
	updated time.Time
	owing   store.Lease
	d       *subscription.Deliverer

	mu   sync.Mutex // guards what follows
	left int
	done chan struct{} // closed when left gets 0
}

func newLanes(b *testing.B, endpoint string, count int, order string) *lanes {
	b.Helper()
	dir := b.TempDir()
	db, err := bolt.Open(dir, bolt.Options{})
	if err != nil {
		b.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		b.Fatal(err)
	}
	table, err := subscription.NewDialectTable("kit", resthook.Dialects()...)
	if err != nil {
		b.Fatal(err)
	}
	hook := resthook.New(resthook.Options{Policy: resthook.Policy{Dev: true}})
	l := &lanes{b: b, db: db}
	currents := subscription.NewCurrents(db, func(r *fhir.Resource) (*subscription.Subscription, error) {
		return subscription.Parse(r.Key, r.Version, r.Doc(), subscription.Options{Dialects: table})
	}, 10_000)
	l.d = subscription.NewDeliverer(subscription.DelivererOptions{
		DB: db, Channel: hook, Subscription: currents.Current, ID: subscription.ID, WithStatus: subscription.WithStatus,
		Redact:  func(r *fhir.Resource) []byte { return r.JSON },
		Log:     slog.New(slog.NewTextHandler(log, nil)),
		Observe: l.observe,
	})
	for i := range count {
		l.ids = append(l.ids, fmt.Sprintf("lane%d", i))
		l.write(fhir.Subscription, l.ids[i], fmt.Sprintf(`{"resourceType":"Subscription","status":"active","reason":"benchmark","criteria":"DiagnosticReport",`+
			`"channel":{"type":"rest-hook","endpoint":%q,"payload":"application/fhir+json"},"extension":[`+
			`{"url":"https://www.medplum.com/fhir/StructureDefinition/subscription-secret","valueString":"a-long-enough-secret"},`+
			`{"url":"https://fhirhook.dev/StructureDefinition/subscription-order","valueCode":%q}]}`, endpoint, order))
	}
	for i := range 4096 {
		l.focus = append(l.focus, l.write("DiagnosticReport", fmt.Sprintf("report%d", i), report))
	}
	if l.owing, err = db.Lease(b.Context(), "benchmark"); err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.d.Run(ctx) }() // until stop
	b.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			b.Error(err)
		}
		hook.Close()
		if err := db.Close(); err != nil {
			b.Error(err)
		}
		log.Close()
	})
	return l
}

func (l *lanes) write(typ fhir.Type, id, body string) fhir.Key {
	l.b.Helper()
	doc, err := tape.Parse([]byte(body), 0)
	if err != nil {
		l.b.Fatal(err)
	}
	key := fhir.Key{Tenant: fhir.DefaultTenant, Type: typ, ID: id}
	_, err = l.db.Update(l.b.Context(), store.Origin{}, func(w store.Writer) error {
		l.updated = w.Now()
		return w.Append(&fhir.Resource{Key: key, Version: 1, Updated: w.Now(), JSON: fhir.Stamp(doc, id, 1, w.Now())}, fhir.Create)
	})
	if err != nil {
		l.b.Fatal(err)
	}
	return key
}

func (l *lanes) observe(o subscription.Observation) {
	if o.Kind != subscription.ResultsStored {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left -= o.Count; l.left == 0 {
		close(l.done)
	}
}

// owe owes so many notifications, in turn to all lanes, as the matcher does.
func (l *lanes) owe(times int) {
	l.b.Helper()
	each := times / len(l.ids)
	l.mu.Lock()
	l.left, l.done = each*len(l.ids), make(chan struct{})
	l.mu.Unlock()
	for _, id := range l.ids {
		err := l.db.Queue().Update(l.b.Context(), l.owing, func(w store.QueueWriter) error {
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
			l.b.Fatal(err)
		}
	}
}

// deliver lets the lanes go and returns when the result of every notification is durable.
func (l *lanes) deliver() {
	for _, id := range l.ids {
		l.d.Notify(store.Lane{Tenant: fhir.DefaultTenant, Subscription: id})
	}
	<-l.done
}

// BenchmarkDeliveries_againstBareLoop lets lanes deliver what they owe, signed and on the record, and compares
// with a bare loop that signs and POSTs the same bodies, one attempt record each, in batches (issue 5).
func BenchmarkDeliveries_againstBareLoop(b *testing.B) {
	const (
		times = 8000
		turns = 9
	)
	app.TuneCollector()
	receiver := start(b, again(receiverVariable+"=1"), b.TempDir())
	bare, err := bench.OpenBare(b.TempDir(), receiver.Base)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := bare.Close(); err != nil {
			b.Error(err)
		}
	})
	type arm struct {
		name       string
		lanes      *lanes // nil: the bare loop
		strict     bool   // each notification waits until the one before is on the record, which the bare loop doesn't do
		rates, cpu []float64
	}
	arms := []*arm{{name: "bare loop"}}
	for _, a := range []struct {
		name, order string
		lanes       int
	}{
		{"1 lane", "none", 1},
		{"16 lanes", "none", 16},
		{"1 lane, order resource", "resource", 1},
		{"16 lanes, order subscription", "subscription", 16},
	} {
		arms = append(arms, &arm{name: a.name, lanes: newLanes(b, receiver.Base, a.lanes, a.order), strict: a.order == "subscription"})
	}
	run := func(a *arm) func() error {
		return func() error {
			if a.lanes != nil {
				a.lanes.owe(times)
			}
			began, cpu := time.Now(), ownCPU()
			if a.lanes != nil {
				a.lanes.deliver()
			} else if err := bare.Deliver(b.Context(), []byte(report), times); err != nil {
				return err
			}
			a.rates = append(a.rates, times/time.Since(began).Seconds())
			a.cpu = append(a.cpu, float64((ownCPU()-cpu).Microseconds())/times)
			return nil
		}
	}
	var all []func() error
	for _, a := range arms {
		all = append(all, run(a))
	}
	for b.Loop() {
		if err := bench.Alternate(1, all...); err != nil { // connections, pages, heap
			b.Fatal(err)
		}
		for _, a := range arms {
			a.rates, a.cpu = nil, nil
		}
		if err := bench.Alternate(turns, all...); err != nil {
			b.Fatal(err)
		}
	}
	for _, a := range arms {
		table.Figure("deliver, "+a.name, "%v notifications/s, %v µs CPU each", bench.Spreading(a.rates), bench.Spreading(a.cpu))
	}
	for _, a := range arms[1:] {
		ratio := bench.Spreading(bench.Ratios(a.rates, arms[0].rates))
		cpu := bench.Spreading(bench.Ratios(a.cpu, arms[0].cpu))
		what := "deliver, " + a.name + " ÷ bare loop"
		if a.strict {
			table.Figure(what, "%v; CPU each %v", ratio, cpu)
			continue
		}
		table.AtLeast(0.6, ratio.Median, what, "%v; CPU each %v", ratio, cpu)
		if a == arms[1] {
			b.ReportMetric(ratio.Median, "of-bare-loop")
		}
	}
}

// ownCPU is the CPU time that this process has used.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it can't be refused
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
