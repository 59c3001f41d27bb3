package e2e_test

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fhirhook/cmd/internal/app"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/bolt"
	"fhirhook/subscription"
)

// waitsLong is an extension by which a request is given up after ten minutes only.
const waitsLong = `,{"url":"http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-timeout","valueUnsignedInt":600}`

func newStates(t *testing.T, order string) *states {
	t.Helper()
	t.Parallel()
	s := &states{t: t, data: t.TempDir(), order: order, r: newMoody(t)}
	s.start()
	return s
}

// unmatched is how many rows of the log the matcher has not come to, as the files say it.
func (s *states) unmatched() (rows uint64) {
	s.t.Helper()
	db, err := bolt.Open(s.data, bolt.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			s.t.Error(err)
		}
	}()
	err = db.View(s.t.Context(), func(r store.Reader) error {
		return db.Queue().View(s.t.Context(), func(q store.QueueReader) error {
			at, err := q.Cursor(subscription.MatcherName)
			rows = uint64(r.Last() - at.Seq)
			return err
		})
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return rows
}

// The server is killed at random moments while clients write, until it has been caught before it knew whom to notify.
func TestPitfall_killBetweenCommitAndEnqueue(t *testing.T) {
	s := newStates(t, "none")
	s.server.must(http.StatusCreated, http.MethodPut, "/Subscription/a", strings.Replace(s.subscription("a", "active", "exp:50ms,2,400ms,1h"), "Patient?family=a", "DiagnosticReport", 1))
	acknowledged, caught := map[string]bool{}, uint64(0)
	for began := time.Now(); caught == 0 && time.Since(began) < patient; s.start() {
		for _, id := range load(s.server, rand.N(100*time.Millisecond), true) {
			acknowledged[id] = true
		}
		caught = s.unmatched()
	}
	if caught == 0 {
		t.Fatalf("%d writes, and none of them was caught before it was matched", len(acknowledged))
	}
	stored, _ := s.server.totalOf("DiagnosticReport?_summary=count") // those, too, that were not acknowledged
	seen := map[string]bool{}
	s.r.await(t, "every write", func([]notification) bool {
		for _, n := range s.r.of("a") {
			seen[n.resource] = true
		}
		return len(seen) == stored
	})
	for id := range acknowledged {
		if !seen[id] {
			t.Errorf("%s was acknowledged, and nobody was notified", id)
		}
	}
	s.check("a", stored, 0)
	t.Logf("%d rows were not matched when the server was killed; %d writes, 0 lost", caught, stored)
}

// The receiver kills the server when it has read the notification, before it answers.
func TestPitfall_killBetweenSendAndRecord(t *testing.T) {
	for _, order := range []string{"none", "resource", "subscription"} {
		t.Run(order, func(t *testing.T) {
			s := newStates(t, order)
			var once sync.Once
			first := s.server
			s.r.set("a", func(http.ResponseWriter, *http.Request, int, int) { once.Do(first.kill) })
			s.put("a", "active", "exp:50ms,2,400ms,1h")
			// The notification may be there, and the server gone, before the write is answered: then it is owed as well.
			a, err := s.server.request(http.MethodPut, "/Patient/p", `{"resourceType":"Patient","id":"p","name":[{"family":"a"}]}`)
			if err == nil && a.status != http.StatusCreated {
				t.Fatalf("PUT /Patient/p: %d: %s", a.status, a.body)
			}
			s.r.await(t, "the request", atLeast(1))
			first.kill() // returns when it is gone, whoever killed it
			s.start()
			s.until("the notification's end", "a", "delivered", 1)
			got := s.r.of("a")
			if len(got) != 2 || got[0].id != got[1].id || got[0].sequence != 1 || got[1].sequence != 1 || got[1].header.Get("X-Fhirhook-Attempt") != "1" {
				t.Errorf("%d requests: %v", len(got), got)
			}
			if string(got[0].body) != string(got[1].body) {
				t.Errorf("the body was %s and is %s", got[0].body, got[1].body)
			}
		})
	}
}

func TestPitfall_killInTheMiddleOfARetryWait(t *testing.T) {
	s := newStates(t, "subscription")
	s.r.set("a", failsFirst)
	s.r.set("later", broken)
	s.put("a", "active", "2s,2s,2s,2s,2s,2s,2s,2s,2s")
	s.put("later", "active", "1h,1h")
	s.write("later", 1, 1)
	s.write("a", 3, 1)
	eventually(t, "the waits", func() bool { return len(s.retries("a")) > 0 && len(s.retries("later")) > 0 })
	before := s.retries("later")
	s.server.kill()
	s.r.set("a", well)
	s.start()
	s.until("the end", "a", "delivered", 3)
	s.check("a", 3, 99)
	s.ladderKept("a", 2*time.Second) // no shorter for the restart
	if after := s.retries("later"); !slices.Equal(before, after) {
		t.Errorf("the next try was at %v, and is at %v after the start", before, after) // nor longer
	}
}

func TestPitfall_restartWithPendingBacklog(t *testing.T) {
	s := newStates(t, "resource")
	s.r.set("a", hanging)
	s.put("a", "active", "exp:50ms,2,400ms,1h")
	s.server.stop()
	s.server = start(t, s.data, func(o *app.Options) { o.Log, o.Drain = nil, 100*time.Millisecond })
	s.put("a", "active", "exp:50ms,2,400ms,1h", waitsLong) // nothing but the stop ends an attempt
	s.write("a", 60, 2)
	s.until("what is owed", "a", "owed", 120)
	if code := s.server.stop(); code != 0 {
		t.Errorf("exit code %d, want 0\n%s", code, s.server.log)
	}
	s.r.set("a", well)
	s.start()
	s.until("the end", "a", "delivered", 120)
	s.check("a", 120, 9999)
	attempts := 0
	for _, n := range s.r.of("a") {
		if n.header.Get("X-Fhirhook-Attempt") != "1" {
			attempts++
		}
	}
	if attempts > 0 {
		t.Errorf("%d attempts were counted though the stop ended them", attempts)
	}
}

func TestPitfall_subscriptionEditedDuringBacklog(t *testing.T) {
	s := newStates(t, "none")
	s.r.set("a", broken)
	s.put("a", "active", "exp:50ms,2,400ms,1h")
	s.write("a", 30, 1)
	s.until("what is owed", "a", "owed", 30)
	s.r.await(t, "attempts at the old endpoint", func([]notification) bool { return len(s.r.of("a")) >= 5 })
	ids := map[int]string{}
	s.server.must(http.StatusOK, http.MethodPut, "/Subscription/a", strings.Replace(s.subscription("a", "active", "exp:50ms,2,400ms,1h"), s.r.URL+"/a", s.r.URL+"/moved", 1))
	s.until("the end", "a", "delivered", 30)
	for _, n := range s.r.of("a") {
		ids[n.sequence] = n.id
	}
	seen := map[int]bool{}
	for _, n := range s.r.of("moved") {
		seen[n.sequence] = true
		if id := ids[n.sequence]; id != "" && id != n.id {
			t.Errorf("number %d came as %s and to the new endpoint as %s", n.sequence, id, n.id)
		}
	}
	if len(seen) != 30 {
		t.Errorf("%d of 30 came to the new endpoint", len(seen))
	}
}

func TestPitfall_subscriptionOffDuringBacklog(t *testing.T) {
	s := newStates(t, "subscription")
	s.r.set("a", broken)
	s.put("a", "active", "1h,1h")
	s.write("a", 20, 1)
	s.until("what is owed", "a", "owed", 20)
	eventually(t, "an attempt", func() bool { return len(s.retries("a")) > 0 })
	s.put("a", "off", "1h,1h")
	s.r.set("a", well)
	s.write("b", 1, 1)
	s.write("a", 1, 2) // nothing that is written while it is off is owed
	s.put("sentinel", "active", "1s")
	s.write("sentinel", 1, 1)
	s.until("what comes behind", "sentinel", "delivered", 1)
	before := len(s.r.of("a"))
	s.put("a", "active", "1h,1h")
	s.until("the end", "a", "delivered", 20)
	for i, n := range s.r.of("a")[before:] {
		if n.sequence != i+1 || n.header.Get("X-Fhirhook-Attempt") != "1" {
			t.Errorf("request %d after the re-arming is attempt %s of number %d", i+1, n.header.Get("X-Fhirhook-Attempt"), n.sequence)
		}
	}
	s.check("a", 20, 9999)
}

func TestPitfall_subscriptionDeletedDuringBacklog(t *testing.T) {
	s := newStates(t, "none")
	s.r.set("a", broken)
	s.put("a", "active", "1h,1h")
	s.write("a", 40, 1)
	s.until("what is owed", "a", "owed", 40)
	eventually(t, "the open breaker", func() bool { // behind it one request is under way at most
		return s.server.must(http.StatusOK, http.MethodGet, "/Subscription/a", "").json(t)["status"] == "error"
	})
	s.server.must(http.StatusNoContent, http.MethodDelete, "/Subscription/a", "")
	s.until("what is cancelled", "a", "cancelled", 40)
	// It comes back, at another endpoint so that what was under way is no matter, and owes nothing from before.
	s.server.must(http.StatusCreated, http.MethodPut, "/Subscription/a", strings.Replace(s.subscription("a", "active", "1h,1h"), s.r.URL+"/a", s.r.URL+"/back", 1))
	s.write("a", 42, 1) // the first 40 are there as they are
	s.until("what is new", "a", "delivered", 2)
	got := s.r.of("back")
	if len(got) != 2 || got[0].sequence < 41 || got[1].sequence < 41 {
		t.Errorf("after the deletion came %v", got)
	}
}
