package subscription

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fhirhook/channel/resthook"
	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/storetest"
)

// world is a store that a test writes to as clients and the server do.
type world struct {
	t    fataler
	db   store.DB
	gate *Gate
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func newWorld(t fataler, o Options) *world {
	return &world{t: t, db: storetest.NewModel(), gate: NewGate(o)}
}

// write writes one resource as a client does, or deletes it where json is "".
func (w *world) write(tenant string, t fhir.Type, id, json string) {
	w.as(w.gate.Admit, store.Origin{}, tenant, t, id, json)
}

// server writes as the server itself does, past the gate.
func (w *world) server(tenant string, t fhir.Type, id, json string) {
	w.as(nil, store.Origin{Server: true}, tenant, t, id, json)
}

// smuggle writes a client's resource past the gate, as an older binary may have admitted it.
func (w *world) smuggle(tenant string, t fhir.Type, id, json string) {
	w.as(nil, store.Origin{}, tenant, t, id, json)
}

func (w *world) as(admit store.Admit, origin store.Origin, tenant string, t fhir.Type, id, json string) {
	w.t.Helper()
	key := fhir.Key{Tenant: tenant, Type: t, ID: id}
	_, err := w.db.Update(context.Background(), origin, func(tx store.Writer) error {
		if json == "" {
			_, err := store.Delete(tx, key, "")
			return err
		}
		in, err := fhir.Read([]byte(json), 0)
		if err != nil {
			return err
		}
		_, err = store.Update(tx, key, in, "", admit)
		return err
	})
	if err != nil {
		w.t.Fatalf("write %s %s: %v", key, json, err)
	}
}

// verdict is a notification as far as the Matcher decides it.
type verdict struct {
	Number      uint64
	Focus       string
	Version     uint64
	Interaction fhir.Interaction
}

// verdicts are all that were ever given, by lane: those that are owed, and those that were cancelled since.
func (w *world) verdicts() map[store.Lane][]verdict {
	w.t.Helper()
	all := map[store.Lane][]verdict{}
	err := w.db.Queue().View(context.Background(), func(q store.QueueReader) error {
		for r, err := range q.Lanes(store.Lane{}) {
			if err != nil {
				return err
			}
			for n, err := range q.Owed(r.Lane, 0) {
				if err != nil {
					return err
				}
				all[r.Lane] = append(all[r.Lane], verdict{n.Number, n.Focus.String(), n.Version, n.Interaction})
			}
			for a, err := range q.Attempts(store.AttemptScope{Lane: r.Lane}) {
				if err != nil {
					return err
				}
				all[r.Lane] = append(all[r.Lane], verdict{a.Number, a.Focus.String(), a.Version, a.Interaction})
			}
			slices.SortFunc(all[r.Lane], func(a, b verdict) int { return cmp.Compare(a.Number, b.Number) })
			if uint64(len(all[r.Lane])) != r.Next-1 {
				return fmt.Errorf("lane %v gave %d numbers and the next is %d", r.Lane, len(all[r.Lane]), r.Next)
			}
			if len(all[r.Lane]) == 0 {
				delete(all, r.Lane)
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	return all
}

func (w *world) lane(lane store.Lane) (r store.LaneRecord) {
	w.t.Helper()
	err := w.db.Queue().View(context.Background(), func(q store.QueueReader) (err error) {
		r, err = q.Lane(lane)
		return err
	})
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	return r
}

// naive is what a Subscription is owed, told from the whole log, with nothing of the Matcher's: one
// Subscription at a time, every row, no cursor.
func (w *world) naive(o Options) map[store.Lane][]verdict {
	w.t.Helper()
	o.Policy = nil
	all := map[store.Lane][]verdict{}
	err := w.db.View(context.Background(), func(r store.Reader) error {
		var rows []store.Change
		lanes := map[store.Lane]bool{}
		for c, err := range r.Changes(0) {
			if err != nil {
				return err
			}
			rows = append(rows, c)
			if k := c.Resource.Key; k.Type == fhir.Subscription {
				lanes[store.Lane{Tenant: k.Tenant, Subscription: k.ID}] = true
			}
		}
		for lane := range lanes {
			var s *Subscription
			for _, c := range rows {
				k := c.Resource.Key
				if k.Tenant != lane.Tenant {
					continue
				}
				if k.Type == fhir.Subscription && k.ID == lane.Subscription {
					s = nil
					if !c.Resource.Deleted {
						var err error
						if s, err = Parse(k, c.Resource.Version, c.Resource.Doc(), o); err != nil {
							return err
						}
					}
				}
				judged := c.Resource
				if c.Interaction == fhir.Delete {
					var err error
					if judged, err = r.Version(k, c.Resource.Version-1); err != nil {
						return err
					}
				}
				switch {
				case s == nil, s.Status == Off, c.Origin.Server, s.Ended(c.Resource.Updated), !s.Interactions.Has(c.Interaction):
				case s.Criteria == "[*]" && (k.Type == fhir.Subscription || k.Type == fhir.AuditEvent):
				case s.Query.Match(judged, criteria.Env{Now: c.Resource.Updated}):
					all[lane] = append(all[lane], verdict{uint64(len(all[lane]) + 1), k.String(), c.Resource.Version, c.Interaction})
				}
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	return all
}

// drawn is a random history with Matchers that come and go beside it.
type drawn struct {
	*world
	rt *rapid.T
	o  Options
	m  *Matcher
	up bool

	options MatcherOptions // zero: those of o
}

// step lets a Matcher do a step, after a restart now and then. It returns false if there was nothing to do.
func (d *drawn) step(restart bool) bool {
	if restart || !d.up {
		options := d.options
		options.Parse = d.o
		d.m = NewMatcher(d.db, options)
		d.m.bounds = bounds{rows: 3, bytes: 1 << 20, verdicts: rapid.IntRange(1, 3).Draw(d.rt, "verdicts"), quiet: 4}
		if err := d.m.start(context.Background()); err != nil {
			d.rt.Fatalf("start: %v", err)
		}
		d.up = true
	}
	moved, err := d.m.step(context.Background())
	if err != nil {
		d.rt.Fatalf("step: %v", err)
	}
	return moved
}

func (d *drawn) write() {
	rt := d.rt
	tenant := rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "tenant")
	id := rapid.SampledFrom([]string{"1", "2", "3", "4"}).Draw(rt, "id")
	switch rapid.IntRange(0, 9).Draw(rt, "what") {
	case 0, 1, 2:
		d.world.write(tenant, fhir.Subscription, id, drawSubscription(rt))
	case 3:
		t := rapid.SampledFrom([]fhir.Type{fhir.Subscription, "Patient", "Basic"}).Draw(rt, "type")
		d.world.write(tenant, t, id, "")
	case 4:
		d.server(tenant, "Patient", id, drawPatient(rt))
	case 5:
		d.world.write(tenant, fhir.AuditEvent, id, `{"resourceType":"AuditEvent","n":`+fmt.Sprint(rapid.IntRange(0, 99).Draw(rt, "n"))+`}`)
	default:
		d.world.write(tenant, "Patient", id, drawPatient(rt))
	}
}

func drawPatient(rt *rapid.T) string {
	return fmt.Sprintf(`{"resourceType":"Patient","active":%t,"gender":%q,"birthDate":"20%02d-01-01"}`, rapid.Bool().Draw(rt, "active"),
		rapid.SampledFrom([]string{"male", "female", "other"}).Draw(rt, "gender"), rapid.IntRange(10, 14).Draw(rt, "year"))
}

func drawSubscription(rt *rapid.T) string {
	c := rapid.SampledFrom([]string{
		"[*]", "Patient", "Patient?gender=male", "Patient?gender=male,other&active=true", "Patient?birthdate=ge2012",
		"Subscription", "[AuditEvent,Patient]", "Patient?_id=2", "Basic",
	}).Draw(rt, "criteria")
	root := `,"status":"` + rapid.SampledFrom([]string{"active", "active", "requested", "off"}).Draw(rt, "status") + `"`
	if in := rapid.IntRange(-5, 20).Draw(rt, "end"); in < 6 {
		root += `,"end":"` + fhir.Instant(time.Now().Add(time.Duration(in)*time.Second)) + `"`
	}
	var ee []string
	for _, i := range []string{"create", "update", "delete"} {
		if rapid.Bool().Draw(rt, i) {
			ee = append(ee, ext(med+"subscription-supported-interaction", `"valueCode":"`+i+`"`))
		}
	}
	if len(ee) > 0 {
		root += `,"extension":[` + strings.Join(ee, ",") + `]`
	}
	return strings.Replace(body(root, ""), "DiagnosticReport?status=final", c, 1)
}

// The Matcher is owed to agree with the naive reading of the log whatever the history is, whenever it is
// stopped and however small its steps are.
func TestMatcher_agreesWithTheNaiveLoop(t *testing.T) {
	o := testOptions(t)
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(struct{ testing.TB }{t}, func(rt *rapid.T) { // a bubble has no deadline to ask for
			d := &drawn{world: newWorld(rt, o), rt: rt, o: o}
			for range rapid.IntRange(1, 40).Draw(rt, "writes") {
				d.write()
				if rapid.IntRange(0, 3).Draw(rt, "pause") == 0 {
					time.Sleep(time.Second)
				}
				for range rapid.IntRange(0, 2).Draw(rt, "steps") {
					d.step(rapid.IntRange(0, 4).Draw(rt, "restart") == 0)
				}
			}
			for d.step(rapid.IntRange(0, 4).Draw(rt, "restart") == 0) {
			}
			if diff := gocmp.Diff(d.naive(o), d.verdicts()); diff != "" {
				rt.Fatalf("(-naive +matcher)\n%s", diff)
			}
			d.checkCancelling()
		})
	})
}

// checkCancelling compares the lanes' flags with the Subscriptions as they are now.
func (d *drawn) checkCancelling() {
	err := d.db.View(context.Background(), func(r store.Reader) error {
		for lane := range d.verdicts() {
			s, err := r.Read(fhir.Key{Tenant: lane.Tenant, Type: fhir.Subscription, ID: lane.Subscription}, r.Last())
			if err != nil {
				return err
			}
			// The end of a live one is written by Run, which is not running here.
			over := s.Deleted
			if !over && statusOf(s) == Off {
				end, err := fhir.ParseInstant(s.Doc().Root().Get("end").Text())
				over = err == nil && !s.Updated.Before(end)
			}
			if record := d.lane(lane); record.Cancelling != (over && record.Owed > 0) {
				return fmt.Errorf("%v: cancelling is %t, and the Subscription is over: %t", lane, record.Cancelling, over)
			}
		}
		return nil
	})
	if err != nil {
		d.rt.Fatalf("%v", err)
	}
}

// matchAll runs a fresh Matcher until it has nothing to do.
func matchAll(t *testing.T, w *world, o MatcherOptions) *Matcher {
	t.Helper()
	m := NewMatcher(w.db, o)
	if err := m.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for {
		moved, err := m.step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !moved {
			return m
		}
	}
}

func watch(criteria string) string {
	return strings.Replace(body("", ""), "DiagnosticReport?status=final", criteria, 1)
}

const patient = `{"resourceType":"Patient","gender":"male","x":%d}`

func TestMatcher_orderOfSubscriptionsChangesNothing(t *testing.T) {
	o := testOptions(t)
	var first map[store.Lane][]verdict
	for _, ids := range [][]string{{"a", "b", "c"}, {"c", "b", "a"}, {"b", "c", "a"}} {
		w := newWorld(t, o)
		for _, id := range ids {
			w.write("t", fhir.Subscription, id, watch(map[string]string{"a": "Patient", "b": "Patient?gender=male", "c": "[*]"}[id]))
		}
		for i := range 5 {
			w.write("t", "Patient", "p", fmt.Sprintf(patient, i))
		}
		matchAll(t, w, MatcherOptions{Parse: o})
		if first == nil {
			first = w.verdicts()
		}
		if diff := gocmp.Diff(first, w.verdicts()); diff != "" || len(first) != 3 {
			t.Errorf("%v: %s", ids, diff)
		}
	}
}

// A step may end inside the fan-out of one change, and the server there.
func TestMatcher_restartInsideAFanOut(t *testing.T) {
	o := testOptions(t)
	w := newWorld(t, o)
	for i := range 10 {
		w.write("t", fhir.Subscription, fmt.Sprintf("s%d", i), watch([]string{"Patient", "Patient?gender=male", "Basic"}[i%3]))
	}
	w.write("t", fhir.Subscription, "s4", "") // ranks count those that exist
	for i := range 3 {
		w.write("t", "Patient", "p", fmt.Sprintf(patient, i))
	}
	steps := 0
	for moved := true; moved && steps < 100; steps++ {
		m := NewMatcher(w.db, MatcherOptions{Parse: o})
		m.bounds = bounds{rows: 100, bytes: 1 << 20, verdicts: 2, quiet: 1}
		err := m.start(t.Context())
		if err == nil {
			moved, err = m.step(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if diff := gocmp.Diff(w.naive(o), w.verdicts()); diff != "" || steps < 9 || steps == 100 {
		t.Errorf("%d steps (-naive +matcher)\n%s", steps, diff)
	}
}

func TestMatcher_restartDoesNotNotifyTwice(t *testing.T) {
	o := testOptions(t)
	w := newWorld(t, o)
	w.write("t", fhir.Subscription, "s", watch("Patient"))
	for i := range 10 {
		w.write("t", "Patient", "p", fmt.Sprintf(patient, i))
		matchAll(t, w, MatcherOptions{Parse: o})
	}
	matchAll(t, w, MatcherOptions{Parse: o})
	if got := len(w.verdicts()[store.Lane{Tenant: "t", Subscription: "s"}]); got != 10 {
		t.Errorf("%d notifications of 10 changes", got)
	}
}

// laneLog is a Notifier that remembers.
type laneLog struct {
	mu    sync.Mutex
	lanes map[store.Lane]int
}

func (l *laneLog) Notify(news []*News) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lanes == nil {
		l.lanes = map[store.Lane]int{}
	}
	for _, n := range news {
		l.lanes[n.Lane]++
	}
}

func (l *laneLog) names() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for lane := range l.lanes {
		names = append(names, lane.Subscription)
	}
	clear(l.lanes)
	return slices.Sorted(slices.Values(names))
}

// running runs a Matcher beside a test in a bubble.
func running(t *testing.T, w *world, o MatcherOptions) *Matcher {
	t.Helper()
	m := NewMatcher(w.db, o)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }() // stops when the test is over
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	synctest.Wait()
	return m
}

func TestMatcher_handsOverWhatIsOwed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := testOptions(t)
		w := newWorld(t, o)
		w.write("t", fhir.Subscription, "men", watch("Patient?gender=male"))
		w.write("t", fhir.Subscription, "women", watch("Patient?gender=female"))
		log := &laneLog{}
		m := running(t, w, MatcherOptions{Parse: o, Notify: log})
		if diff := gocmp.Diff([]string{"men", "women"}, log.names()); diff != "" {
			t.Errorf("a new Subscription is told of: %s", diff)
		}
		w.write("t", "Patient", "p", fmt.Sprintf(patient, 1))
		synctest.Wait()
		if diff := gocmp.Diff([]string{"men"}, log.names()); diff != "" {
			t.Error(diff)
		}
		if m.Place() != 3 {
			t.Errorf("at place %d", m.Place())
		}
	})
}

func TestMatcher_storesItsPlaceWhereNothingIsOwed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, testOptions(t))
		running(t, w, MatcherOptions{Parse: testOptions(t)})
		w.write("t", "Patient", "p", fmt.Sprintf(patient, 1))
		time.Sleep(quietTime)
		synctest.Wait()
		_ = w.db.Queue().View(t.Context(), func(q store.QueueReader) error {
			if c, err := q.Cursor(MatcherName); err != nil || c.Seq != 1 {
				t.Errorf("cursor %v, %v", c, err)
			}
			return nil
		})
	})
}

func TestMatcher_endSwitchesOffAndCancels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := testOptions(t)
		w := newWorld(t, o)
		end := time.Now().Add(90 * time.Minute)
		w.write("t", fhir.Subscription, "s", strings.Replace(watch("Patient"), `"criteria"`, `"end":"`+fhir.Instant(end)+`","criteria"`, 1))
		running(t, w, MatcherOptions{Parse: o})
		lane := store.Lane{Tenant: "t", Subscription: "s"}
		w.write("t", "Patient", "p", fmt.Sprintf(patient, 1))
		time.Sleep(time.Hour)
		synctest.Wait()
		if r := w.lane(lane); r.Owed != 1 || r.Cancelling {
			t.Fatalf("before the end: %+v", r)
		}
		time.Sleep(31 * time.Minute)
		synctest.Wait()
		if got := w.current("t", "s"); statusOf(got) != Off || got.Version != 2 {
			t.Errorf("after the end: %s", got.JSON)
		}
		if r := w.lane(lane); !r.Cancelling {
			t.Errorf("what it owed is not cancelled: %+v", r)
		}
		// A new end brings it back, and what it owed before stays cancelled.
		w.write("t", fhir.Subscription, "s", watch("Patient"))
		w.write("t", "Patient", "p", fmt.Sprintf(patient, 2))
		synctest.Wait()
		if r := w.lane(lane); r.Cancelling || r.Owed != 1 || r.Next != 3 {
			t.Errorf("after it came back: %+v", r)
		}
	})
}

func (w *world) current(tenant, id string) (r *fhir.Resource) {
	w.t.Helper()
	err := w.db.View(context.Background(), func(tx store.Reader) (err error) {
		r, err = tx.Read(fhir.Key{Tenant: tenant, Type: fhir.Subscription, ID: id}, tx.Last())
		return err
	})
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	return r
}

func TestMatcher_aBrokenSubscriptionHurtsOnlyItself(t *testing.T) {
	o := testOptions(t)
	w := newWorld(t, o)
	w.write("t", fhir.Subscription, "good", watch("Patient"))
	w.smuggle("t", fhir.Subscription, "bad", watch("Patient?nonsense=1"))
	w.write("t", fhir.Subscription, "late", watch("Patient"))
	w.write("t", "Patient", "p", fmt.Sprintf(patient, 1))
	matchAll(t, w, MatcherOptions{Parse: o})
	w.write("t", "Patient", "p", fmt.Sprintf(patient, 2))
	m := matchAll(t, w, MatcherOptions{Parse: o})
	good, late, bad := store.Lane{Tenant: "t", Subscription: "good"}, store.Lane{Tenant: "t", Subscription: "late"}, store.Lane{Tenant: "t", Subscription: "bad"}
	v := w.verdicts()
	if len(v[good]) != 2 || len(v[late]) != 2 || len(v[bad]) != 0 || m.Broken() != 1 {
		t.Errorf("%v, %d broken", v, m.Broken())
	}
	shown := w.current("t", "bad")
	if text := shown.Doc().Root().Get("error").Text(); statusOf(shown) != Erroneous || !strings.Contains(text, "nonsense") || shown.Version != 2 {
		t.Errorf("it does not say what is wrong, once: %s", shown.JSON)
	}

	// The client mends it: the changes since are held against the new version, in order.
	w.write("t", fhir.Subscription, "bad", watch("Patient?gender=male"))
	w.write("t", "Patient", "p", fmt.Sprintf(patient, 3))
	m = matchAll(t, w, MatcherOptions{Parse: o})
	want := []verdict{{1, "Patient/p", 1, fhir.Create}, {2, "Patient/p", 2, fhir.Update}, {3, "Patient/p", 3, fhir.Update}}
	if diff := gocmp.Diff(want, w.verdicts()[bad]); diff != "" || m.Broken() != 0 {
		t.Errorf("%d broken, %s", m.Broken(), diff)
	}
	if got := w.current("t", "bad"); statusOf(got) != Active {
		t.Errorf("%s", got.JSON)
	}
}

func TestMatcher_whatCompilesAgainCatchesUp(t *testing.T) {
	rich, poor := testOptions(t), testOptions(t)
	kit, _ := resthook.Lookup("kit")
	only, err := NewDialectTable("kit", kit)
	if err != nil {
		t.Fatal(err)
	}
	poor.Dialects = only
	w := newWorld(t, rich)
	w.write("t", fhir.Subscription, "s", strings.Replace(rootExt(ext(us+"subscription-dialect", `"valueCode":"fhir"`)), "DiagnosticReport?status=final", "Patient", 1))
	w.write("t", "Patient", "p", fmt.Sprintf(patient, 1))
	matchAll(t, w, MatcherOptions{Parse: rich})
	for i := range 3 {
		w.write("t", "Patient", "p", fmt.Sprintf(patient, 2+i))
		matchAll(t, w, MatcherOptions{Parse: poor})
	}
	lane := store.Lane{Tenant: "t", Subscription: "s"}
	if got := w.verdicts()[lane]; len(got) != 1 {
		t.Fatalf("matched without its dialect: %v", got)
	}
	if got := w.current("t", "s"); statusOf(got) != Erroneous {
		t.Errorf("%s", got.JSON)
	}
	matchAll(t, w, MatcherOptions{Parse: rich})
	if diff := gocmp.Diff(w.naive(rich)[lane], w.verdicts()[lane]); diff != "" {
		t.Error(diff)
	}
	if got := w.current("t", "s"); statusOf(got) != Active || got.Doc().Root().Get("error").Exists() {
		t.Errorf("%s", got.JSON)
	}
	before := w.verdicts()
	matchAll(t, w, MatcherOptions{Parse: rich})
	if diff := gocmp.Diff(before, w.verdicts()); diff != "" {
		t.Errorf("caught up twice: %s", diff)
	}
}

func TestMatcher_tenantsNeverMeet(t *testing.T) {
	o := testOptions(t)
	w := newWorld(t, o)
	for _, tenant := range []string{"a", "ab", "b"} {
		w.write(tenant, fhir.Subscription, "s", watch("[*]"))
	}
	matchAll(t, w, MatcherOptions{Parse: o})
	w.write("ab", "Patient", "p", fmt.Sprintf(patient, 1))
	matchAll(t, w, MatcherOptions{Parse: o}) // after a restart, so that the tenants are found again
	if got := slices.Collect(maps.Keys(w.verdicts())); len(got) != 1 || got[0].Tenant != "ab" {
		t.Errorf("notified %v", got)
	}
}
