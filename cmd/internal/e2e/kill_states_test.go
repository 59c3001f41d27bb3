package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fhirhook/channel/resthook"
	"fhirhook/cmd/internal/app"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/bolt"
	"fhirhook/subscription"
)

// mood is how an endpoint behaves to a notification.
type mood func(w http.ResponseWriter, q *http.Request, number, attempt int)

func well(http.ResponseWriter, *http.Request, int, int) {}

func broken(w http.ResponseWriter, _ *http.Request, _, _ int) {
	w.WriteHeader(http.StatusInternalServerError)
}

// hanging answers nothing until the server is gone.
func hanging(_ http.ResponseWriter, q *http.Request, _, _ int) { <-q.Context().Done() }

// failsFirst refuses the first two notifications.
func failsFirst(w http.ResponseWriter, _ *http.Request, number, _ int) {
	if number <= 2 {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// moody is a receiver whose endpoints, one for each Subscription, have moods.
type moody struct {
	*receiver
	mu    sync.Mutex
	moods map[string]mood // by path
}

func newMoody(t *testing.T) *moody {
	m := &moody{moods: map[string]mood{}}
	m.receiver = newReceiver(t, func(w http.ResponseWriter, q *http.Request) {
		m.mu.Lock()
		mood := m.moods[q.URL.Path]
		m.mu.Unlock()
		if mood != nil {
			number, _ := strconv.Atoi(q.Header.Get("X-Fhirhook-Sequence"))
			attempt, _ := strconv.Atoi(q.Header.Get("X-Fhirhook-Attempt"))
			mood(w, q, number, attempt)
		}
	})
	return m
}

func (m *moody) set(id string, to mood) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.moods["/"+id] = to
}

// of is what came to a Subscription's endpoint, without tests.
func (m *moody) of(id string) (got []notification) {
	for _, n := range m.all() {
		if n.path == "/"+id && n.sequence > 0 {
			got = append(got, n)
		}
	}
	return got
}

// states is a server that is killed, with a Subscription for each state in which it is.
type states struct {
	t      *testing.T
	data   string
	order  string
	server *process
	r      *moody
}

func (s *states) start() {
	s.t.Helper()
	s.server = start(s.t, s.data, func(o *app.Options) { o.Log = nil })
}

func (s *states) subscription(id, status, ladder string, more ...string) string {
	return fmt.Sprintf(`{"resourceType":"Subscription","id":%q,"status":%q,"reason":"test","criteria":"Patient?family=%[1]s","channel":{"type":"rest-hook","endpoint":%[3]q},
		"extension":[{"url":"https://fhirhook.dev/StructureDefinition/subscription-order","valueCode":%[4]q},
		{"url":"https://fhirhook.dev/StructureDefinition/subscription-retry","valueString":%[5]q}%[6]s]}`,
		id, status, s.r.URL+"/"+id, s.order, ladder, strings.Join(more, ""))
}

func (s *states) put(id, status, ladder string, more ...string) {
	s.t.Helper()
	a, err := s.server.request(http.MethodPut, "/Subscription/"+id, s.subscription(id, status, ladder, more...))
	if err != nil || a.status >= 300 {
		s.t.Fatalf("PUT Subscription/%s: %v, %d: %s", id, err, a.status, a.body)
	}
}

// write writes some versions of some Patients, all versions of one number in one transaction.
func (s *states) write(id string, patients, versions int) {
	s.t.Helper()
	for v := range versions {
		var entries []string
		for p := range patients {
			entries = append(entries, fmt.Sprintf(`{"resource":{"resourceType":"Patient","id":"%s-%d","name":[{"family":%[1]q,"given":["v%[3]d"]}]},"request":{"method":"PUT","url":"Patient/%[1]s-%[2]d"}}`, id, p, v))
		}
		s.server.must(http.StatusOK, http.MethodPost, "", `{"resourceType":"Bundle","type":"transaction","entry":[`+strings.Join(entries, ",")+`]}`)
	}
}

// total is how many notifications of a Subscription are in a state.
func (s *states) total(id, state string) int {
	s.t.Helper()
	total, _ := s.server.must(http.StatusOK, http.MethodGet, "/Subscription/"+id+"/$deliveries?_count=1&status="+state, "").json(s.t)["total"].(float64)
	return int(total)
}

func (s *states) until(what, id, state string, n int) {
	s.t.Helper()
	eventually(s.t, what, func() bool { return s.total(id, state) == n })
}

var nextTry = regexp.MustCompile(`"next-try","value[A-Za-z]+":"([^"]+)"`)

// retries are the times of the next tries of a Subscription's notifications that wait for one.
func (s *states) retries(id string) (all []string) {
	s.t.Helper()
	body := s.server.must(http.StatusOK, http.MethodGet, "/Subscription/"+id+"/$deliveries?_count=500&status=owed", "").body
	for _, m := range nextTry.FindAllStringSubmatch(string(body), -1) {
		all = append(all, m[1])
	}
	return all
}

// count is one line of the figures.
type count struct{ owed, requests, retries, duplicates int }

// check holds what came to the promises: every number from 1 to owed, each of one version under one id, and in
// the order that the Subscription asks for. What was sent again on demand, from a request on, may go back.
func (s *states) check(id string, owed, ordered int) count {
	s.t.Helper()
	got := s.r.of(id)
	c := count{owed: owed, requests: len(got)}
	type identity struct{ id, resource string }
	known, attempts := map[int]identity{}, map[string]bool{}
	holders, last := map[string]int{}, map[string]int{}
	for i, n := range got {
		track, _, _ := strings.Cut(n.resource, "/_history/")
		switch {
		case s.order == "subscription":
			track = ""
		case s.order == "none":
			track = n.resource
		}
		if i < ordered && n.sequence < last[track] {
			s.t.Errorf("%s, order %s: number %d came after %d", id, s.order, n.sequence, last[track])
		}
		last[track] = max(last[track], n.sequence)
		if other, ok := holders[n.resource]; ok && other != n.sequence {
			s.t.Errorf("%s: %s came as number %d and %d", id, n.resource, other, n.sequence)
		}
		holders[n.resource] = n.sequence
		if before, ok := known[n.sequence]; ok {
			if before != (identity{n.id, n.resource}) {
				s.t.Errorf("%s: number %d came as %v and as %s of %s", id, n.sequence, before, n.id, n.resource)
			}
			if attempt := fmt.Sprint(n.sequence, " ", n.header.Get("X-Fhirhook-Attempt")); attempts[attempt] {
				c.duplicates++
			} else {
				c.retries++
			}
		}
		known[n.sequence] = identity{n.id, n.resource}
		attempts[fmt.Sprint(n.sequence, " ", n.header.Get("X-Fhirhook-Attempt"))] = true
	}
	for number := 1; number <= owed; number++ {
		if _, ok := known[number]; !ok {
			s.t.Errorf("%s, order %s: number %d was lost", id, s.order, number)
		}
	}
	if len(known) != owed {
		s.t.Errorf("%s, order %s: %d numbers came, want 1 to %d", id, s.order, len(known), owed)
	}
	return c
}

// TestKill_inEveryState kills the server with kill -9 while notifications are in every state that they can be in,
// in every order, and again right after the next start. 0 are lost, ids and numbers stay, and the order holds.
func TestKill_inEveryState(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"none", "resource", "subscription"} {
		t.Run("order="+order, func(t *testing.T) {
			t.Parallel()
			killInEveryState(t, order)
		})
	}
}

func killInEveryState(t *testing.T, order string) {
	s := &states{t: t, data: t.TempDir(), order: order, r: newMoody(t)}
	s.start()
	const quick, never, twoSeconds = "exp:50ms,2,400ms,1h", "1h,1h", "2s,2s,2s,2s,2s,2s,2s,2s,2s"

	// owed and sending: the first are under way when the server dies, the others have not had their turn.
	s.r.set("owed", hanging)
	s.put("owed", "active", quick)
	s.write("owed", 10, 4)
	// waiting for a retry: they begin right before the kill.
	s.r.set("retry", failsFirst)
	s.put("retry", "active", twoSeconds)
	// behind an open breaker.
	s.r.set("breaker", broken)
	s.put("breaker", "active", "exp:1ms,1,1ms,1h")
	s.write("breaker", 10, 3)
	// redelivering, backfilling.
	s.put("again", "active", quick)
	s.write("again", 10, 3)
	s.write("backfill", 40, 1)
	s.put("backfill", "active", quick)
	// cancelling after a deletion, re-arming after off: enough for several steps.
	s.r.set("cancel", hanging)
	s.put("cancel", "active", quick)
	s.write("cancel", 300, 1)
	s.r.set("rearm", broken)
	s.put("rearm", "active", never)
	s.write("rearm", 300, 1)
	// rotating.
	s.put("rotate", "active", quick, `,{"url":"https://www.medplum.com/fhir/StructureDefinition/subscription-secret","valueString":"the-first-key"}`)

	for id, n := range map[string]int{"owed": 40, "breaker": 30, "cancel": 300, "rearm": 300} {
		s.until("what "+id+" owes", id, "owed", n)
	}
	s.until("the deliveries before the redelivery", "again", "delivered", 30)
	first := len(s.r.of("again"))
	eventually(t, "the open breaker", func() bool {
		return s.server.must(200, "GET", "/Subscription/breaker", "").json(t)["status"] == "error"
	})
	eventually(t, "requests under way", func() bool { return len(s.r.of("owed")) > 0 && len(s.r.of("cancel")) > 0 })
	s.put("rearm", "off", never)
	redelivery := s.job("again", "/$redeliver?sequence=1-&rate=60")
	backfill := s.job("backfill", "/$backfill?rate=60")
	eventually(t, "some of the redelivery and of the backfill", func() bool {
		return len(s.r.of("again")) > first+5 && len(s.r.of("backfill")) > 5
	})
	key := s.rotate()
	s.write("retry", 10, 2)
	eventually(t, "a retry that waits", func() bool { return len(s.retries("retry")) > 0 })
	s.server.must(http.StatusNoContent, http.MethodDelete, "/Subscription/cancel", "")
	s.r.set("rearm", well)
	s.put("rearm", "active", never)
	s.server.kill()
	s.r.settle(t)

	// Nothing is better after the first start, and the server dies again at once.
	probed, cancelled, started := len(s.r.of("breaker")), len(s.r.of("cancel")), time.Now()
	s.start()
	eventually(t, "the first probe after a start", func() bool { return len(s.r.of("breaker")) > probed })
	s.server.kill()
	s.r.settle(t)
	if n, most := len(s.r.of("breaker"))-probed, 2+int(time.Since(started)/time.Second); n > most {
		t.Errorf("the breaker that was open let %d requests through after a start, want one, and then one a second at most", n)
	}

	for _, id := range []string{"owed", "breaker", "retry"} {
		s.r.set(id, well)
	}
	s.start()
	for _, id := range []string{"owed", "retry", "breaker", "again", "backfill", "rearm", "cancel"} {
		s.until("the end of what "+id+" owes", id, "owed", 0)
	}
	for _, job := range []string{redelivery, backfill} {
		eventually(t, "the end of "+job, func() bool {
			return strings.Contains(string(s.server.must(200, "GET", job, "").body), `"valueCode":"completed"`)
		})
	}
	figures := map[string]count{}
	for id, owed := range map[string]int{"owed": 40, "retry": 20, "breaker": 30, "again": 30, "backfill": 40, "rearm": 300} {
		ordered := len(s.r.of(id))
		if id == "again" {
			ordered = first
		}
		figures[id] = s.check(id, owed, ordered)
		s.until(id+" is delivered", id, "delivered", owed)
	}
	if n := figures["again"].requests; n < first+30 {
		t.Errorf("%d requests for a redelivery of 30, of which %d came before it", n, first)
	}
	for _, n := range s.r.of("rearm") {
		if n.header.Get("X-Fhirhook-Attempt") != "1" {
			t.Errorf("number %d goes on with attempt %s after the re-arming", n.sequence, n.header.Get("X-Fhirhook-Attempt"))
		}
	}
	if n := len(s.r.of("cancel")) - cancelled; n > 0 {
		t.Errorf("%d requests for a Subscription that was deleted", n)
	}
	s.until("what was cancelled", "cancel", "cancelled", 300)
	s.signedWithBoth(key)
	waited := s.ladderKept("retry", 2*time.Second)

	if code := s.server.stop(); code != 0 {
		t.Errorf("exit code %d, want 0\n%s", code, s.server.log)
	}
	if _, err := app.Check(t.Context(), s.data, "", app.Keys{}, func(uint64, uint64) {}); err != nil {
		t.Errorf("the store is not sound: %v", err)
	}
	s.numbersOfTheStore(map[string]uint64{"owed": 40, "retry": 20, "breaker": 30, "again": 30, "backfill": 40, "cancel": 300, "rearm": 300})
	t.Logf("order %s, 2 kills: %+v, cancelled 300, 0 lost; the first retry came %s after its first attempt", order, figures, waited)
}

// job begins one and returns where it is asked about.
func (s *states) job(id, what string) string {
	s.t.Helper()
	at := s.server.must(http.StatusAccepted, http.MethodPost, "/Subscription/"+id+what, "").header.Get("Content-Location")
	_, path, _ := strings.Cut(at, "/fhir/R4")
	return path
}

func (s *states) rotate() (key string) {
	s.t.Helper()
	var p struct {
		Parameter []struct{ Name, ValueString string }
	}
	if err := json.Unmarshal(s.server.must(http.StatusOK, http.MethodPost, "/Subscription/rotate/$rotate-secret", "").body, &p); err != nil {
		s.t.Fatal(err)
	}
	for _, one := range p.Parameter {
		if one.Name == "secret" {
			key = one.ValueString
		}
	}
	return key
}

// signedWithBoth writes what the Subscription with two keys is notified of, and verifies it with either.
func (s *states) signedWithBoth(key string) {
	s.t.Helper()
	s.write("rotate", 1, 1)
	eventually(s.t, "what is signed with both keys", func() bool { return len(s.r.of("rotate")) == 1 })
	n := s.r.of("rotate")[0]
	for name, secret := range map[string]string{"old": "the-first-key", "new": key} {
		if !signedBy(n, secret) {
			s.t.Errorf("the %s key does not verify %q", name, n.header.Get("webhook-signature"))
		}
	}
}

// signedBy tells whether webhook-signature has a signature by a key.
func signedBy(n notification, key string) bool {
	return resthook.VerifyWebhook(n.header.Get("webhook-signature"), n.id, n.header.Get("webhook-timestamp"), []string{key}, n.body, n.at, time.Minute) == nil
}

// ladderKept is how long after its first attempt the second of number 1 came: not before its wait.
func (s *states) ladderKept(id string, wait time.Duration) time.Duration {
	s.t.Helper()
	at := map[string]time.Time{}
	for _, n := range s.r.of(id) {
		if attempt := n.header.Get("X-Fhirhook-Attempt"); n.sequence == 1 && at[attempt].IsZero() {
			at[attempt] = n.at
		}
	}
	waited := at["2"].Sub(at["1"])
	if at["2"].IsZero() || waited < wait {
		s.t.Errorf("the retry came after %s, want %s at least", waited, wait)
	}
	return waited.Round(time.Millisecond)
}

// numbersOfTheStore looks at the lanes when the server is gone: the next number is the one behind the last.
func (s *states) numbersOfTheStore(want map[string]uint64) {
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
	err = db.Queue().View(s.t.Context(), func(q store.QueueReader) error {
		for id, n := range want {
			lane := store.Lane{Tenant: fhir.DefaultTenant, Subscription: id}
			rec, err := q.Lane(lane)
			if err != nil {
				return err
			}
			if rec.Next != n+1 || rec.Owed != 0 || rec.Cancelling {
				s.t.Errorf("the lane of %s is %+v, want Next %d and nothing owed", id, rec, n+1)
			}
			seen := map[uint64]bool{}
			for a, err := range q.Attempts(store.AttemptScope{Lane: lane}) {
				if err != nil {
					return err
				}
				seen[a.Number] = true
				if want := subscription.ID(db.Epoch(), store.Notification{Lane: lane, Focus: a.Focus, Version: a.Version}); a.ID != want {
					s.t.Errorf("%s, number %d: the record has the id %s, want %s", id, a.Number, a.ID, want)
				}
			}
			if uint64(len(seen)) != n {
				s.t.Errorf("%s: %d numbers are on the record, want %d", id, len(seen), n)
			}
		}
		return nil
	})
	if err != nil {
		s.t.Error(err)
	}
}
