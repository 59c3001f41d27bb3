package e2e_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	shown "fhirhook/docs/receivers/go"
)

// The receivers of docs/receivers, against a real server. This file has the story and plays it with the one in Go;
// receivers_all_test.go plays it with all, as programs.

// kit is a receiver of docs/receivers that runs.
type kit struct {
	url      string
	verdicts chan shown.Verdict
}

// startKit starts one with secrets, apart by spaces, and a tolerance in seconds.
type startKit func(t *testing.T, secrets string, tolerance int) *kit

func TestReceivers_goTakesWhatTheServerSends(t *testing.T) {
	t.Parallel()
	playReceivers(t, func(t *testing.T, secrets string, tolerance int) *kit {
		k := &kit{verdicts: make(chan shown.Verdict, 1000)}
		r := shown.New(strings.Fields(secrets), func(shown.Notification) error { return nil }, func(v shown.Verdict) { k.verdicts <- v })
		r.Tolerance = time.Duration(tolerance) * time.Second
		s := httptest.NewServer(r)
		t.Cleanup(s.Close)
		k.url = s.URL
		return k
	})
}

// next is what the receiver made of the next request.
func (k *kit) next(t *testing.T) shown.Verdict {
	t.Helper()
	select {
	case v := <-k.verdicts:
		return v
	case <-time.After(patient):
		t.Fatalf("the receiver got nothing within %s", patient)
		return shown.Verdict{}
	}
}

// expect compares verdict, reason and missing numbers of the next request.
func (k *kit) expect(t *testing.T, want string) shown.Verdict {
	t.Helper()
	v := k.next(t)
	if got := told(v); got != want {
		t.Errorf("the receiver says %q, want %q (%+v)", got, want, v)
	}
	return v
}

func told(v shown.Verdict) string {
	return strings.TrimSpace(fmt.Sprintf("%s %s%s", v.Verdict, v.Reason, v.Missing))
}

const (
	noMatch = "refused no signature matches: another secret, or the body was changed on its way"
	tooOld  = "refused sent too long ago: a replay, or a wrong clock"
)

// subscription is a Subscription to a type that only the test writes.
func subscriptionTo(endpoint, criteria, secret, dialect string) string {
	return `{"resourceType":"Subscription","status":"active","reason":"test","criteria":"` + criteria + `",
		"channel":{"type":"rest-hook","endpoint":"` + endpoint + `","payload":"application/fhir+json"},"extension":[
		{"url":"https://fhirhook.dev/StructureDefinition/subscription-secret","valueString":"` + secret + `"},
		{"url":"https://fhirhook.dev/StructureDefinition/subscription-dialect","valueCode":"` + dialect + `"},
		{"url":"http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-timeout","valueUnsignedInt":60},
		{"url":"https://fhirhook.dev/StructureDefinition/subscription-retry","valueString":"100ms,200ms"}]}`
}

// A body whose bytes no JSON library writes as they are.
const awkward = `{"resourceType":"%s","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">5 &lt; 7 \u00e9 é 🩺<\/div>"}}`

func write(server *process, typ string) { server.create(typ, fmt.Sprintf(awkward, typ)) }

func playReceivers(t *testing.T, listen startKit) {
	t.Run("every dialect", func(t *testing.T) {
		t.Parallel()
		server := start(t, t.TempDir())
		k := listen(t, "abc", 300)
		dialects := []string{"kit", "fhir", "medplum", "hapi", "healthsync", "clinik", "webhook-events"}
		for _, d := range dialects {
			server.create("Subscription", subscriptionTo(k.url+"/hook", "Patient", "abc", d))
		}
		write(server, "Patient")
		seen := map[string]bool{}
		for range dialects {
			seen[k.expect(t, "accepted").Subscription] = true
		}
		if len(seen) != len(dialects) {
			t.Errorf("%d Subscriptions were heard of, want %d", len(seen), len(dialects))
		}
	})
	t.Run("ping", func(t *testing.T) {
		t.Parallel()
		server := start(t, t.TempDir())
		k := listen(t, "abc", 300)
		id := server.create("Subscription", subscriptionTo(k.url, "Group", "abc", "kit"))
		server.must(200, "POST", "/Subscription/"+id+"/$ping", "")
		if v := k.expect(t, "test"); v.Sequence != 0 || v.ID == "" {
			t.Errorf("a test came as %+v", v)
		}
	})
	t.Run("another secret", func(t *testing.T) {
		t.Parallel()
		server := start(t, t.TempDir())
		k := listen(t, "abc", 300)
		id := server.create("Subscription", subscriptionTo(k.url, "Basic", "abd", "kit"))
		write(server, "Basic")
		for range 3 {
			k.expect(t, noMatch)
		}
		eventually(t, "the end of the ladder", func() bool {
			page := string(server.must(200, "GET", "/Subscription/"+id+"/$deliveries?status=failed", "").body)
			return strings.Count(page, `"valueInteger":401`) == 3 && strings.Contains(page, "no signature matches")
		})
	})
	t.Run("whsec_ secret", func(t *testing.T) {
		t.Parallel()
		server := start(t, t.TempDir())
		for _, secret := range []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_YWI", "whsec_YWI="} {
			k := listen(t, "other "+secret, 300)
			server.create("Subscription", subscriptionTo(k.url, "Device", secret, "kit"))
			write(server, "Device")
			k.expect(t, "accepted")
		}
	})
	t.Run("changed on the way", func(t *testing.T) {
		t.Parallel()
		server := start(t, t.TempDir())
		k := listen(t, "abc", 300)
		line := newRelay(t, k.url)
		line.meddle = func(c *captured) action {
			if c.header.Get("X-Fhirhook-Attempt") == "1" {
				c.body = bytes.Replace(c.body, []byte("5 &lt; 7"), []byte("7 &lt; 5"), 1)
			}
			return pass
		}
		server.create("Subscription", subscriptionTo(line.URL, "Flag", "abc", "kit"))
		write(server, "Flag")
		first, second := k.expect(t, noMatch), k.expect(t, "accepted")
		if first.ID != second.ID || first.ID == "" {
			t.Errorf("the retry of %s is %s", first.ID, second.ID)
		}
	})
	t.Run("twice", func(t *testing.T) {
		t.Parallel()
		server := start(t, t.TempDir())
		k := listen(t, "abc", 300)
		line := newRelay(t, k.url)
		line.meddle = func(*captured) action { return twice }
		server.create("Subscription", subscriptionTo(line.URL, "Location", "abc", "healthsync"))
		for range 2 {
			write(server, "Location")
			if first, second := k.expect(t, "accepted"), k.expect(t, "duplicate"); first.ID != second.ID {
				t.Errorf("%s and %s", first.ID, second.ID)
			}
		}
	})
	t.Run("lost and sent again", func(t *testing.T) {
		t.Parallel()
		server := start(t, t.TempDir())
		k := listen(t, "abc", 300)
		line := newRelay(t, k.url)
		losing := true
		line.meddle = func(c *captured) action {
			if losing && c.header.Get("X-Fhirhook-Sequence") == "2" {
				losing = false
				return lose
			}
			return pass
		}
		id := server.create("Subscription", subscriptionTo(line.URL, "Media", "abc", "clinik"))
		write(server, "Media")
		k.expect(t, "accepted")
		write(server, "Media")
		line.await(t, 2)
		write(server, "Media")
		if v := k.expect(t, "accepted 2"); v.Sequence != 3 {
			t.Errorf("number %d, want 3", v.Sequence)
		}
		eventually(t, "the record of all three", func() bool { // what is owed still isn't sent again
			return server.must(200, "GET", "/Subscription/"+id+"/$deliveries?status=delivered", "").json(t)["total"] == 3.0
		})
		server.must(202, "POST", "/Subscription/"+id+"/$redeliver?sequence=1-3", "")
		verdicts := map[string]string{}
		for range 3 {
			v := k.next(t)
			verdicts[fmt.Sprint(v.Sequence)] = told(v)
		}
		if got := fmt.Sprint(verdicts); got != "map[1:duplicate 2:accepted 3:duplicate]" {
			t.Errorf("sent again: %s", got)
		}
	})
	t.Run("recorded and replayed later", func(t *testing.T) {
		t.Parallel()
		server := start(t, t.TempDir())
		k := listen(t, "abc", 1)
		line := newRelay(t, "")
		line.meddle = func(*captured) action { return lose }
		server.create("Subscription", subscriptionTo(line.URL, "Slot", "abc", "kit"))
		write(server, "Slot")
		recorded := line.await(t, 1)[0]
		eventually(t, "the end of the tolerance", func() bool {
			recorded.send(t.Context(), k.url)
			return told(k.next(t)) == tooOld
		})
	})
	t.Run("rotation", func(t *testing.T) {
		t.Parallel()
		server := start(t, t.TempDir())
		line := newRelay(t, "")
		line.meddle = func(*captured) action { return lose }
		id := server.create("Subscription", subscriptionTo(line.URL, "Goal", "first", "kit"))
		write(server, "Goal")
		before := line.await(t, 1)[0]
		key := server.parameter("/Subscription/"+id+"/$rotate-secret", "secret")
		write(server, "Goal")
		during := line.await(t, 2)[1]
		for _, c := range []struct{ knows, before, during string }{
			{"first", "accepted", "accepted"},
			{key + " first", "accepted", "accepted"},
			{key, noMatch, "accepted"},
		} {
			k := listen(t, c.knows, 300)
			before.send(t.Context(), k.url)
			if got := told(k.next(t)); got != c.before {
				t.Errorf("before, with %d keys: %q, want %q", len(strings.Fields(c.knows)), got, c.before)
			}
			during.send(t.Context(), k.url)
			if v := k.next(t); v.Verdict != c.during {
				t.Errorf("during the overlap, with %d keys: %+v", len(strings.Fields(c.knows)), v)
			}
		}
	})
}

// parameter is the value of a parameter in the answer to an operation.
func (p *process) parameter(path, name string) string {
	p.t.Helper()
	list, _ := p.must(200, "POST", path, "").json(p.t)["parameter"].([]any)
	for _, e := range list {
		if e, _ := e.(map[string]any); e["name"] == name {
			return fmt.Sprint(cmp.Or(e["valueString"], e["valueCode"], e["valueId"]))
		}
	}
	p.t.Fatalf("%s answers no %s", path, name)
	return ""
}

// captured is a request of the server.
type captured struct {
	method, path string
	header       http.Header
	body         []byte
}

// send sends it to another place, as it came, and returns the status; 502 if there was none.
func (c captured) send(ctx context.Context, base string) int {
	q, err := http.NewRequestWithContext(ctx, c.method, base+c.path, bytes.NewReader(c.body))
	if err != nil {
		return http.StatusBadGateway
	}
	q.Header = c.header.Clone()
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		return http.StatusBadGateway
	}
	defer r.Body.Close()
	_, _ = io.Copy(io.Discard, r.Body)
	return r.StatusCode
}

// action is what a relay does with a request.
type action int

const (
	pass  action = iota
	twice        // pass it on two times
	lose         // answer 200 and pass nothing on
)

// relay stands between the server and a receiver, and does what networks and attackers do.
type relay struct {
	*httptest.Server
	meddle func(*captured) action // one at a time; may change the request

	mu     sync.Mutex
	got    []captured
	change chan struct{}
}

func newRelay(t *testing.T, target string) *relay {
	t.Helper()
	r := &relay{change: make(chan struct{}, 1)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			return
		}
		c := captured{q.Method, q.URL.Path, q.Header, body}
		r.mu.Lock()
		r.got = append(r.got, c)
		do := r.meddle(&c)
		r.mu.Unlock()
		select {
		case r.change <- struct{}{}:
		default:
		}
		status := http.StatusOK
		if do != lose {
			status = c.send(q.Context(), target)
		}
		if do == twice {
			status = c.send(q.Context(), target)
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(r.Close)
	return r
}

// await waits for so many requests.
func (r *relay) await(t *testing.T, n int) []captured {
	t.Helper()
	late := time.After(patient)
	for {
		r.mu.Lock()
		got := slices.Clone(r.got)
		r.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-r.change:
		case <-late:
			t.Fatalf("%d requests within %s, want %d", len(got), patient, n)
		}
	}
}
