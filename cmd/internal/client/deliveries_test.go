package client

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// told is a notification as $deliveries tells it.
func told(number int, state string, more ...string) string {
	return fmt.Sprintf(`{"resource":{"parameter":[{"name":"id","valueId":"id-%d"},{"name":"subscription","valueReference":{"reference":"Subscription/labs"}},`+
		`{"name":"sequence","valueInteger":%d},{"name":"resource","valueReference":{"reference":"Patient/p%d/_history/1"}},{"name":"interaction","valueCode":"create"},`+
		`{"name":"state","valueCode":%q}%s]}}`, number, number, number, state, strings.Join(append([]string{""}, more...), ","))
}

// tried is one of its attempts.
func tried(try int, at string, members ...string) string {
	return fmt.Sprintf(`{"name":"attempt","part":[{"name":"try","valueInteger":%d},{"name":"time","valueInstant":"2026-01-31T%s.000Z"},{"name":"duration-ms","valueInteger":%d}%s]}`,
		try, at, 12000*(try-1), strings.Join(append([]string{""}, members...), ","))
}

const noted = `{"name":"note","part":[{"name":"time","valueInstant":"2026-01-31T11:30:00.000Z"},{"name":"reply","valueString":"the Subscription was deleted"},{"name":"state","valueCode":"cancelled"}]}`

func deliveryServer() *server {
	s := &server{}
	s.HandleFunc("/fhir/R4/Subscription/labs/$deliveries", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("_cursor") == "x" {
			fmt.Fprintf(w, `{"entry":[%s]}`, told(1, "cancelled", noted))
			return
		}
		fmt.Fprintf(w, `{"link":[{"relation":"next","url":"http://fhir.example/fhir/R4/Subscription/labs/$deliveries?_cursor=x"}],"entry":[%s,%s]}`,
			told(3, "delivered", `{"name":"cause","valueReference":{"reference":"Patient/q/_history/9"}}`,
				tried(1, "11:00:00", `{"name":"status","valueInteger":503}`, `{"name":"error-class","valueCode":"status-5xx"}`, `{"name":"reply","valueString":"later \u001b[31mplease"}`),
				tried(2, "11:00:02", `{"name":"status","valueInteger":200}`, `{"name":"state","valueCode":"delivered"}`)),
			told(2, "owed", `{"name":"next-try","valueInstant":"2026-01-31T12:10:00.000Z"}`,
				tried(1, "11:00:00", `{"name":"error-class","valueCode":"refused"}`, `{"name":"reply","valueString":"refused: nothing listens on that port"}`)))
	})
	return s
}

func TestDeliveries_table(t *testing.T) {
	t.Parallel()
	s := deliveryServer()
	c, out, _ := open(t, s, nil)
	if err := c.Deliveries(t.Context(), DeliveriesOptions{Subscription: "labs", Attempts: true}); err != nil {
		t.Fatal(err)
	}
	want := `SEQ  STATE      WHEN      TRIES  ANSWER   NEXT TRY  CHANGE  RESOURCE               ID
  3  delivered  12:00:02      2  200                create  Patient/p3/_history/1  id-3
    because of Patient/q/_history/9
    try 1  12:00:00  503 in <1 ms  later ` + "\uFFFD" + `[31mplease
      the receiver failed: look at its log
    try 2  12:00:02  200 in 12.0 s
  2  owed       12:00:00      1  refused  13:10:00  create  Patient/p2/_history/1  id-2
    try 1  12:00:00  refused in <1 ms  refused: nothing listens on that port
  1  cancelled  12:30:00      0  the Subscription was deleted            create  Patient/p1/_history/1  id-1
    12:30:00  cancelled: the Subscription was deleted

3 notifications
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	if asked := s.take(); !slices.Equal(asked, []string{"GET /fhir/R4/Subscription/labs/$deliveries?_count=200", "GET /fhir/R4/Subscription/labs/$deliveries?_cursor=x"}) {
		t.Errorf("asked %q", asked)
	}
}

func TestDeliveries_forScripts(t *testing.T) {
	t.Parallel()
	s := deliveryServer()
	c, out, _ := open(t, s, func(c *Client) { c.JSON = true })
	o := DeliveriesOptions{
		Subscription: "Subscription/labs", Limit: 2, Status: []string{"owed", "failed"}, Since: "1h", Until: "2026-02-01",
		Resource: "Patient/p2", Sequence: "1-9", Delivery: []string{"a b", "c"},
	}
	if err := c.Deliveries(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	want := `{"id":"id-3","subscription":"labs","sequence":3,"resource":"Patient/p3/_history/1","interaction":"create","cause":"Patient/q/_history/9","state":"delivered","attempts":[` +
		`{"try":1,"time":"2026-01-31T11:00:00.000Z","status":503,"durationMs":0,"errorClass":"status-5xx","hint":"the receiver failed: look at its log","reply":"later \u001b[31mplease","state":""},` +
		`{"try":2,"time":"2026-01-31T11:00:02.000Z","status":200,"durationMs":12000,"state":"delivered"}]}
{"id":"id-2","subscription":"labs","sequence":2,"resource":"Patient/p2/_history/1","interaction":"create","state":"owed","nextTry":"2026-01-31T12:10:00.000Z","attempts":[` +
		`{"try":1,"time":"2026-01-31T11:00:00.000Z","durationMs":0,"errorClass":"refused","hint":"nothing listens on the endpoint's port: is the receiver running?","reply":"refused: nothing listens on that port","state":""}]}
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	query := "_count=2&status=owed&status=failed&since=2026-01-31T11%3A00%3A00.000Z&until=2026-01-31T23%3A00%3A00.000Z&resource=Patient%2Fp2&sequence=1-9&delivery=a+b&delivery=c"
	if asked := s.take(); !slices.Equal(asked, []string{"GET /fhir/R4/Subscription/labs/$deliveries?" + query}) {
		t.Errorf("asked %q", asked)
	}
}

func TestDeliveries_ofAllSaysWhoseAndThatThereIsMore(t *testing.T) {
	t.Parallel()
	s := &server{}
	s.answer("/fhir/R4/Subscription/$deliveries", `{"link":[{"relation":"next","url":"?x=y"}],"entry":[`+told(3, "delivered")+`]}`)
	c, out, _ := open(t, s, nil)
	if err := c.Deliveries(t.Context(), DeliveriesOptions{Limit: 1}); err != nil {
		t.Fatal(err)
	}
	want := `SUBSCRIPTION  SEQ  STATE      WHEN  TRIES  ANSWER  NEXT TRY  CHANGE  RESOURCE               ID
labs            3  delivered            0                    create  Patient/p3/_history/1  id-3

1 notification, the newest; --limit 0 shows all
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestDeliveries_namesAllThatIsWrong(t *testing.T) {
	t.Parallel()
	s := &server{}
	c, _, _ := open(t, s, nil)
	err := c.Deliveries(t.Context(), DeliveriesOptions{
		Subscription: "a b", Status: []string{"lost"}, Since: "then", Until: "later", Limit: -1, Follow: true,
	})
	wantUsage(t, err, `"a b" is not the id`, "--status lost", "--since then", "--until later", "--limit -1", "--follow")
	wantUsage(t, c.Deliveries(t.Context(), DeliveriesOptions{Follow: true}), "--follow needs a SUBSCRIPTION")
	if asked := s.take(); asked != nil {
		t.Errorf("asked %q", asked)
	}
}

// lane is a server whose Subscription owes and delivers while it is watched.
type lane struct {
	server                // its mutex guards what follows
	states map[int]string // of the numbers
	last   int
}

func newLane() *lane {
	l := &lane{states: map[int]string{}}
	l.HandleFunc("/fhir/R4/Subscription/labs/$status", func(w http.ResponseWriter, _ *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		fmt.Fprintf(w, `{"entry":[{"resource":{"parameter":[{"name":"events-since-subscription-start","valueString":"%d"}]}}]}`, l.last)
	})
	l.HandleFunc("/fhir/R4/Subscription/labs/$deliveries", func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		from, to := 1, l.last
		if span := r.URL.Query().Get("sequence"); span != "" {
			a, b, _ := strings.Cut(span, "-")
			from, _ = strconv.Atoi(a)
			to, _ = strconv.Atoi(b)
		}
		count, _ := strconv.Atoi(r.URL.Query().Get("_count"))
		if below, err := strconv.Atoi(r.URL.Query().Get("_cursor")); err == nil {
			to, count = below-1, mostAsked
		}
		var entries []string
		next := ""
		for n := min(to, l.last); n >= from; n-- {
			if l.states[n] == "" {
				continue // expired
			}
			if len(entries) == count {
				next = fmt.Sprintf(`{"relation":"next","url":"?sequence=%d-%d&_cursor=%d"}`, from, to, n+1)
				break
			}
			entries = append(entries, told(n, l.states[n]))
		}
		fmt.Fprintf(w, `{"link":[%s],"entry":[%s]}`, next, strings.Join(entries, ","))
	})
	return l
}

func (l *lane) set(number int, state string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.states[number], l.last = state, max(l.last, number)
}

// rows are the numbers and states that were printed since the last time.
func rows(out *output) string {
	out.mu.Lock()
	defer out.mu.Unlock()
	text := out.b.String()
	out.b.Reset()
	var all []string
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) > 2 && words[0] != "SEQ" {
			all = append(all, words[0]+words[1])
		}
	}
	return strings.Join(all, " ")
}

func following(t *testing.T, l *lane, o DeliveriesOptions, fn func(wait func() string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c, out, _ := open(t, &l.server, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1) // the one result
		o.Follow, o.Subscription = true, "labs"
		go func() { done <- c.Deliveries(ctx, o) }()
		fn(func() string {
			time.Sleep(followEvery)
			synctest.Wait()
			return rows(out)
		})
		cancel()
		if err := <-done; err != nil {
			t.Errorf("after the signal: %v", err)
		}
	})
}

func TestDeliveries_followShowsWhatComesAndWhatBecomesOfIt(t *testing.T) {
	t.Parallel()
	l := newLane()
	l.set(101, "delivered") // what was before has expired
	l.set(102, "owed")
	following(t, l, DeliveriesOptions{Limit: 50}, func(wait func() string) {
		for i, step := range []struct{ sets, want string }{
			{"", "101delivered 102owed"},
			{"", ""},
			{"103owed 104delivered", "103owed 104delivered"},
			{"102failed", "102failed"},
			{"", ""},
			{"103delivered 105owed", "103delivered 105owed"},
		} {
			for _, set := range strings.Fields(step.sets) {
				n, _ := strconv.Atoi(set[:3])
				l.set(n, set[3:])
			}
			if got := wait(); got != step.want {
				t.Errorf("step %d: printed %q, want %q", i, got, step.want)
			}
		}
	})
}

func TestDeliveries_followMissesNothing(t *testing.T) {
	t.Parallel()
	l := newLane()
	following(t, l, DeliveriesOptions{Limit: 10, Status: []string{"failed"}, Resource: "Patient/p1703"}, func(wait func() string) {
		if got := wait(); got != "" {
			t.Errorf("printed %q", got)
		}
		for n := range 3 * followed {
			l.set(n+1, "owed")
		}
		if got := wait(); got != "" {
			t.Errorf("printed %q", got)
		}
		for n := range 3 * followed {
			l.set(3*followed+n+1, "failed")
		}
		if got := wait(); got != "1703failed" {
			t.Errorf("printed %q", got)
		}
	})
	l = newLane()
	following(t, l, DeliveriesOptions{Limit: 10}, func(wait func() string) {
		wait()
		want := ""
		for n := range 3 * followed {
			l.set(n+1, "delivered")
			want += fmt.Sprintf(" %ddelivered", n+1)
		}
		if got := wait(); got != want[1:] {
			t.Errorf("printed %q", got)
		}
		if got := wait(); got != "" {
			t.Errorf("printed %q again", got)
		}
	})
}
