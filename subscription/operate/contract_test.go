package operate

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirhook/channel"
	"fhirhook/subscription"
)

// The contract of Subscriptions and of the operations on them, sentence by sentence: each test is called by the
// words that it proves, in the order in which the design says them.

// sentence is one of them.
type sentence struct {
	says  string
	proof func(t *testing.T, w *world)
}

func prove(t *testing.T, all []sentence) {
	t.Helper()
	for _, s := range all {
		t.Run(s.says, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				synctest.Wait() // lanes that are taken up by a start begin gently
				s.proof(t, w)
			})
		})
	}
}

// Extensions as the sentences need them.
const (
	instantly = `{"url":"https://fhirhook.dev/StructureDefinition/subscription-retry","valueString":"exp:1ms,1,1ms,72h"}`
	skipping  = `{"url":"https://fhirhook.dev/StructureDefinition/subscription-backlog","valueCode":"skip"}`
)

func ladder(text string) string {
	return `{"url":"https://fhirhook.dev/StructureDefinition/subscription-retry","valueString":"` + text + `"}`
}

// standing is the status of a Subscription and its error text.
func (w *world) standing(id string) (status, text string) {
	w.t.Helper()
	var s struct{ Status, Error string }
	if err := json.Unmarshal(w.must(200, "GET", "Subscription/"+id, "").body, &s); err != nil {
		w.t.Fatal(err)
	}
	return s.Status, s.Error
}

// stands wants a status, and says when.
func (w *world) stands(want, when string) {
	w.t.Helper()
	synctest.Wait()
	if status, text := w.standing("s"); status != want || (want == "active") != (text == "") {
		w.t.Errorf("%s the status is %q with error %q, want %s", when, status, text, want)
	}
}

// states are the states of a Subscription's notifications, by their numbers.
func (w *world) states(id string) map[string]string {
	w.t.Helper()
	synctest.Wait()
	all, _ := w.list("Subscription/" + id + "/$deliveries")
	states := map[string]string{}
	for _, one := range all {
		states[one.get("sequence")] = one.get("state")
	}
	return states
}

func allIn(states map[string]string, state string, n int) bool {
	for _, s := range states {
		if s != state {
			return false
		}
	}
	return len(states) == n
}

// instants are when requests came, since a time.
func (w *world) instants(since time.Time) (all []time.Duration) {
	synctest.Wait()
	for _, a := range w.endpoint.take() {
		all = append(all, a.at.Sub(since))
	}
	return all
}

// written is a Subscription that a client writes with a status, "" for none.
func written(status string, extensions ...string) string {
	members := `,"criteria":"Patient","channel":{"type":"rest-hook","endpoint":"https://hook.example/"}`
	if status != "" {
		members += `,"status":"` + status + `"`
	}
	if len(extensions) > 0 {
		members += `,"extension":[` + strings.Join(extensions, ",") + `]`
	}
	return members
}

// patientsAtOnce writes n Patients in one transaction.
func (w *world) patientsAtOnce(n int) {
	w.t.Helper()
	entries := make([]string, n)
	for i := range entries {
		entries[i] = fmt.Sprintf(`{"resource":{"resourceType":"Patient","id":"p%d"},"request":{"method":"PUT","url":"Patient/p%[1]d"}}`, i)
	}
	w.must(200, "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[`+strings.Join(entries, ",")+`]}`)
}

func TestContract_status(t *testing.T) {
	prove(t, []sentence{
		{"requested and active from a client are validated and answered as active", func(t *testing.T, w *world) {
			for i, status := range []string{"requested", "active", ""} {
				body := `{"resourceType":"Subscription","id":"s` + fmt.Sprint(i) + `"` + written(status) + `}`
				if a := w.must(201, "PUT", fmt.Sprint("Subscription/s", i), body); !strings.Contains(string(a.body), `"status":"active"`) {
					t.Errorf("%q is answered as %s", status, a.body)
				}
				w.must(422, "POST", "Subscription", strings.Replace(body, `"Patient"`, `"Patient?nonsense=1"`, 1))
			}
		}},
		{"a lane stays active while it retries", func(t *testing.T, w *world) {
			w.subscribe("s", "Patient")
			w.endpoint.set(refuse)
			w.patients(1)
			time.Sleep(510 * time.Second)
			w.stands("active", "after nine attempts")
			if n := len(w.endpoint.take()); n != 9 {
				t.Errorf("%d attempts, want 9", n)
			}
		}},
		{"after 10 consecutive failures it shows error with text", func(t *testing.T, w *world) {
			w.subscribe("s", "Patient")
			w.endpoint.set(refuse)
			w.patients(1)
			time.Sleep(512 * time.Second) // 1 s, 2 s, 4 s … 256 s
			w.stands("error", "after ten failures")
			if _, text := w.standing("s"); !strings.Contains(text, "status-5xx: it is down") || !strings.Contains(text, "10 attempts in a row") {
				t.Errorf("the error is %q", text)
			}
		}},
		{"or 1 h of unbroken failure, whichever is first", func(t *testing.T, w *world) {
			w.subscribe("s", "Patient", ladder("50m,50m,50m"))
			w.endpoint.set(refuse)
			w.patients(1)
			time.Sleep(time.Hour - time.Second)
			w.stands("active", "before the hour is over")
			time.Sleep(2 * time.Second)
			w.stands("error", "after the hour")
			if n := len(w.endpoint.take()); n != 2 {
				t.Errorf("it had %d attempts, want 2", n)
			}
		}},
		{"(--error-after 10,1h)", func(t *testing.T, w *world) {
			w.restart(func() { w.health = subscription.HealthPolicy{ErrorFailures: 2, ErrorAge: 10 * time.Minute} })
			w.subscribe("s", "Patient", ladder("1m,1h"))
			w.endpoint.set(refuse)
			w.patients(1)
			w.stands("active", "after one failure")
			time.Sleep(time.Minute)
			w.stands("error", "after two")
		}},
		{"attempts go on at the breaker's pace and the next success sets active", func(t *testing.T, w *world) {
			w.subscribe("s", "Patient", instantly)
			w.endpoint.set(refuse)
			w.patients(20)
			w.stands("error", "while it fails")
			w.endpoint.take()
			time.Sleep(time.Hour)
			if n := len(w.endpoint.take()); n < 15 || n > 25 {
				t.Errorf("%d attempts in an hour of error", n)
			}
			w.endpoint.set(nil)
			time.Sleep(5 * time.Minute)
			w.stands("active", "after the next success")
			if !allIn(w.states("s"), "delivered", 20) {
				t.Errorf("the notifications are %v", w.states("s"))
			}
		}},
		{"the breaker opens with the 10th consecutive failure; while open it lets through one due attempt at a time, 1 s after opening, then ×2, at most 5 min apart", func(t *testing.T, w *world) {
			w.subscribe("s", "Patient", instantly)
			w.endpoint.set(refuse)
			began := time.Now()
			w.patientsAtOnce(30)
			opened := w.instants(began)
			first := len(opened)
			if first < 10 || first > 25 || opened[first-1] != opened[0] {
				t.Fatalf("%d requests at once until it opened, want 10 and what was under way: %v", first, opened)
			}
			time.Sleep(30 * time.Minute)
			got := w.instants(began)
			at, want := opened[0], []time.Duration{}
			for wait := time.Second; len(want) < len(got); wait = min(2*wait, 5*time.Minute) {
				at += wait
				want = append(want, at)
			}
			if diff := cmp.Diff(want, got); diff != "" || len(got) < 12 {
				t.Errorf("probes (-want +got):\n%s", diff)
			}
		}},
		{"never before that notification's own ladder wait", func(t *testing.T, w *world) {
			w.subscribe("s", "Patient", ladder("exp:1m,1,1m,72h"))
			w.endpoint.set(refuse)
			w.patients(10)
			began := time.Now()
			time.Sleep(2 * time.Minute)
			got := w.instants(began)
			// All ten at once, which opens the breaker, and then one at a time, of which none before its own minute.
			want := []time.Duration{time.Minute, time.Minute + 2*time.Second, time.Minute + 6*time.Second, time.Minute + 14*time.Second, time.Minute + 30*time.Second, time.Minute + 62*time.Second}
			if n := len(got) - 10; n < 5 || !slices.Equal(got[10:], want[:n]) {
				t.Errorf("requests after %v", got)
			}
		}},
		{"and at once after a server start", func(t *testing.T, w *world) {
			w.subscribe("s", "Patient", instantly)
			w.endpoint.set(refuse)
			w.patients(20)
			time.Sleep(time.Hour)
			w.endpoint.take()
			w.crash()
			began := time.Now()
			if got := w.instants(began); !slices.Equal(got, []time.Duration{0}) {
				t.Errorf("requests after %v, want one at once", got)
			}
			time.Sleep(5*time.Minute + time.Second)
			if got := w.instants(began); !slices.Equal(got, []time.Duration{5 * time.Minute}) {
				t.Errorf("and then after %v, want the pace kept", got)
			}
		}},
		{"a success closes it, and the number in flight doubles from 1 to 16", func(t *testing.T, w *world) {
			w.subscribe("s", "Patient", instantly)
			w.endpoint.set(refuse)
			w.patients(100)
			w.endpoint.take()
			w.endpoint.set(func(channel.Message) error { time.Sleep(time.Second); return nil })
			time.Sleep(time.Minute)
			waves := map[time.Duration]int{}
			var order []time.Duration
			arrivals := w.endpoint.take()
			for _, a := range arrivals {
				at := a.at.Sub(arrivals[0].at)
				if waves[at]++; waves[at] == 1 {
					order = append(order, at)
				}
			}
			var got []int
			for _, at := range order {
				got = append(got, waves[at])
			}
			// The probe, then one; its success lets two go, and each of theirs doubles again.
			if want := []int{1, 1, 2, 8, 16}; len(got) < 6 || !slices.Equal(got[:5], want) || slices.Max(got) != 16 {
				t.Errorf("in flight at a time: %v, want %v, and 16 from then on", got, want)
			}
		}},
		{"after --off-after (default 3 days of unbroken failure) it becomes off", func(t *testing.T, w *world) {
			w.subscribe("s", "Patient", ladder("exp:1m,2,1h,7d"))
			w.endpoint.set(refuse)
			w.patients(3)
			time.Sleep(72*time.Hour - time.Minute)
			w.stands("error", "before three days are over")
			time.Sleep(10 * time.Minute)
			w.stands("off", "after three days")
			if _, text := w.standing("s"); !strings.Contains(text, "switched off") || !allIn(w.states("s"), "owed", 3) {
				t.Errorf("%q, and the notifications are %v", text, w.states("s"))
			}
			w.endpoint.take()
			time.Sleep(240 * time.Hour)
			if n := len(w.endpoint.take()); n > 0 {
				t.Errorf("%d requests while it is off", n)
			}
		}},
		{"or at once on 410", func(t *testing.T, w *world) {
			w.subscribe("s", "Patient")
			w.endpoint.set(gone)
			w.patients(1)
			w.stands("off", "after a 410")
			if _, text := w.standing("s"); !strings.Contains(text, "410") || len(w.endpoint.take()) != 1 {
				t.Errorf("the error is %q", text)
			}
		}},
		{"only a client's write with requested or active re-arms it", func(t *testing.T, w *world) {
			for _, status := range []string{"requested", "active"} {
				w.subscribe("s", "Patient")
				w.endpoint.set(gone)
				w.put("Patient", "of-"+status, "")
				w.stands("off", "after a 410")
				w.endpoint.set(nil)
				w.endpoint.take()
				time.Sleep(24 * time.Hour)
				w.crash()
				time.Sleep(24 * time.Hour)
				w.put("Subscription", "s", written("off", ladder("1m")))
				w.put("Patient", "while-off", "")
				w.stands("off", "after time, a start and a write that leaves it off")
				if n := len(w.endpoint.take()); n > 0 {
					t.Errorf("%d requests while it is off", n)
				}
				w.put("Subscription", "s", written(status))
				w.stands("active", "after "+status)
				if n := len(w.endpoint.take()); n != 1 {
					t.Errorf("%d requests after %s, want what was owed", n, status)
				}
			}
		}},
		{"error from a client: on update it means requested (GET, edit, PUT works), on create 422", func(t *testing.T, w *world) {
			w.subscribe("s", "Patient", instantly)
			w.endpoint.set(refuse)
			w.patients(20)
			w.stands("error", "while it fails")
			read := string(w.must(200, "GET", "Subscription/s", "").body)
			answer := w.must(200, "PUT", "Subscription/s", strings.Replace(read, `"criteria"`, `"reason":"edited","criteria"`, 1))
			if !strings.Contains(string(answer.body), `"status":"active"`) || strings.Contains(string(answer.body), `"error"`) {
				t.Errorf("it is answered as %s", answer.body)
			}
			refused := w.must(422, "POST", "Subscription", `{"resourceType":"Subscription"`+written("error")+`}`)
			if !strings.Contains(string(refused.body), "Subscription.status") {
				t.Errorf("the refusal is %s", refused.body)
			}
		}},
		{"changes committed while off, after end or after DELETE are not owed", func(t *testing.T, w *world) {
			end := `,"end":"2000-01-01T01:00:00Z"`
			w.subscribe("off", "Patient")
			w.put("Subscription", "off", written("off"))
			w.put("Subscription", "end", end+written("active"))
			w.subscribe("deleted", "Patient")
			w.must(204, "DELETE", "Subscription/deleted", "")
			time.Sleep(2 * time.Hour)
			w.patients(3)
			w.put("Subscription", "off", written("active"))
			w.put("Subscription", "end", written("active"))
			w.subscribe("deleted", "Patient")
			time.Sleep(time.Hour)
			if got := w.endpoint.take(); len(got) > 0 {
				t.Errorf("%d requests", len(got))
			}
			for _, id := range []string{"off", "end", "deleted"} {
				if states := w.states(id); len(states) > 0 {
					t.Errorf("%s: %v", id, states)
				}
			}
			w.put("Patient", "new", "")
			for _, id := range []string{"off", "end", "deleted"} {
				if states := w.states(id); !allIn(states, "delivered", 1) {
					t.Errorf("%s, on again: %v", id, states)
				}
			}
		}},
		{"what was owed before is kept while off and sent on re-arming", func(t *testing.T, w *world) {
			w.subscribe("s", "Patient", ladder("1h"))
			w.endpoint.set(refuse)
			w.patients(5)
			w.put("Subscription", "s", written("off", ladder("1h")))
			w.endpoint.set(nil)
			w.endpoint.take()
			time.Sleep(100 * time.Hour)
			if states := w.states("s"); !allIn(states, "owed", 5) {
				t.Errorf("while off: %v", states)
			}
			w.put("Subscription", "s", written("active", ladder("1h")))
			synctest.Wait()
			for _, a := range w.endpoint.take() {
				if a.m.Attempt != 1 {
					t.Errorf("number %d goes on with attempt %d: the ladder starts anew", a.m.Sequence, a.m.Attempt)
				}
			}
			if states := w.states("s"); !allIn(states, "delivered", 5) {
				t.Errorf("after the re-arming: %v", states)
			}
		}},
		{"unless extension subscription-backlog is skip", func(t *testing.T, w *world) {
			w.subscribe("s", "Patient", ladder("1h"), skipping)
			w.endpoint.set(refuse)
			w.patients(5)
			w.put("Subscription", "s", written("off", ladder("1h"), skipping))
			w.endpoint.set(nil)
			w.endpoint.take()
			time.Sleep(time.Hour)
			w.put("Subscription", "s", written("active", ladder("1h"), skipping))
			synctest.Wait()
			if states := w.states("s"); !allIn(states, "skipped", 5) || len(w.endpoint.take()) > 0 {
				t.Errorf("after the re-arming: %v", states)
			}
		}},
		{"end and DELETE cancel it", func(t *testing.T, w *world) {
			w.endpoint.set(refuse)
			w.put("Subscription", "end", `,"end":"2000-01-01T01:00:00Z"`+written("active", ladder("2h")))
			w.subscribe("deleted", "Patient", ladder("2h"))
			w.patients(4)
			w.must(204, "DELETE", "Subscription/deleted", "")
			time.Sleep(2 * time.Hour)
			for _, id := range []string{"end", "deleted"} {
				if states := w.states(id); !allIn(states, "cancelled", 4) {
					t.Errorf("%s: %v", id, states)
				}
			}
			if status, _ := w.standing("end"); status != "off" {
				t.Errorf("after its end it is %s", status)
			}
		}},
		{"a past end is stored off", func(t *testing.T, w *world) {
			answer := w.must(201, "PUT", "Subscription/s", `{"resourceType":"Subscription","id":"s","end":"1999-12-31T00:00:00Z"`+written("active")+`}`)
			if !strings.Contains(string(answer.body), `"status":"off"`) {
				t.Errorf("it is answered as %s", answer.body)
			}
		}},
		{"states of a notification: owed, delivered, failed, withheld, cancelled, skipped", func(t *testing.T, w *world) {
			w.subscribe("s", "Patient", ladder("1m"))
			w.endpoint.set(func(m channel.Message) error {
				if m.Focus != "p1" {
					return refuse(m)
				}
				return nil
			})
			w.patients(2)
			time.Sleep(time.Hour)
			w.put("Patient", "p3", "")
			synctest.Wait()
			if diff := cmp.Diff(map[string]string{"1": "delivered", "2": "failed", "3": "owed"}, w.states("s")); diff != "" {
				t.Error(diff)
			}
			for state, want := range map[string]int{"owed": 1, "delivered": 1, "failed": 1, "withheld": 0, "cancelled": 0, "skipped": 0} {
				if all, _ := w.list("Subscription/s/$deliveries?status=" + state); len(all) != want {
					t.Errorf("%d are %s, want %d", len(all), state, want)
				}
			}
			w.must(400, "GET", "Subscription/s/$deliveries?status=lost", "")
		}},
		{"versions that the server writes itself notify nobody", func(t *testing.T, w *world) {
			w.subscribe("watch", "Subscription")
			w.subscribe("s", "Patient", instantly)
			w.endpoint.set(func(m channel.Message) error {
				if m.Subscription == "s" {
					return refuse(m)
				}
				return nil
			})
			w.patients(20)
			w.stands("error", "while it fails")
			w.endpoint.set(nil)
			time.Sleep(time.Hour)
			w.stands("active", "when it is back")
			if states := w.states("watch"); len(states) != 2 { // its own version, and the first of s
				t.Errorf("who watches Subscriptions was notified %d times, want of what clients wrote", len(states))
			}
		}},
		{"channel.type other than rest-hook is refused", func(t *testing.T, w *world) {
			for _, typ := range []string{"websocket", "email", "sms", "message"} {
				a := w.must(422, "POST", "Subscription", strings.Replace(`{"resourceType":"Subscription"`+written("requested")+`}`, "rest-hook", typ, 1))
				if !strings.Contains(string(a.body), "Subscription.channel.type") {
					t.Errorf("%s: %s", typ, a.body)
				}
			}
		}},
		{"a PUT or PATCH that changes nothing makes no version, answers 200 with the old ETag and notifies nobody (a change of tag, profile, security or source is a change)", func(t *testing.T, w *world) {
			w.subscribe("s", "Patient")
			w.put("Patient", "p", `,"gender":"male"`)
			etag := w.must(200, "GET", "Patient/p", "").header.Get("ETag")
			for range 2 {
				if got := w.must(200, "PUT", "Patient/p", `{"resourceType":"Patient","id":"p","meta":{"versionId":"77","lastUpdated":"1990-01-01T00:00:00Z"},"gender":"male"}`); got.header.Get("ETag") != etag {
					t.Errorf("ETag %s, want %s", got.header.Get("ETag"), etag)
				}
			}
			synctest.Wait()
			if got := w.endpoint.numbers(); !slices.Equal(got, []uint64{1}) {
				t.Errorf("sent %v", got)
			}
			for i, meta := range []string{`"tag":[{"code":"a"}]`, `"profile":["http://clinic.example/p"]`, `"security":[{"code":"R"}]`, `"source":"urn:clinic"`} {
				w.put("Patient", "p", `,"meta":{`+meta+`},"gender":"male"`)
				synctest.Wait()
				if got := w.endpoint.numbers(); !slices.Equal(got, []uint64{uint64(i + 2)}) {
					t.Errorf("%s: sent %v", meta, got)
				}
			}
		}},
	})
}

// gone asks not to be sent to again.
func gone(channel.Message) error {
	return &channel.SendError{Class: "status-410", Hint: "it wants no more", Gone: true}
}

func TestContract_criteria(t *testing.T) {
	about := func(criteria string) string {
		return strings.Replace(`{"resourceType":"Subscription"`+written("requested")+`}`, `"Patient"`, `"`+criteria+`"`, 1)
	}
	prove(t, []sentence{
		{"Type, Type?params, [*] (every type but Subscription and AuditEvent), [TypeA,TypeB]", func(t *testing.T, w *world) {
			w.subscribe("type", "Patient")
			w.subscribe("params", "Patient?gender=female")
			w.subscribe("all", "[*]")
			w.subscribe("two", "[Patient,Basic]")
			w.put("Patient", "p", `,"gender":"male"`)
			w.put("Basic", "b", `,"code":{"text":"x"}`)
			w.put("Observation", "o", `,"status":"final","code":{"text":"x"}`)
			w.put("AuditEvent", "a", `,"type":{"code":"rest"},"recorded":"2000-01-01T00:00:00Z","agent":[{"requestor":true}],"source":{"observer":{"display":"x"}}`)
			w.subscribe("later", "Patient")
			for id, want := range map[string]int{"type": 1, "params": 0, "all": 3, "two": 2} {
				if got := w.states(id); len(got) != want {
					t.Errorf("%s got %v, want %d", id, got, want)
				}
			}
		}},
		{"a leading / is tolerated; _format and _pretty are dropped", func(t *testing.T, w *world) {
			w.subscribe("s", "/Patient?gender=female&_format=json&_pretty=true")
			w.patients(2)
			if got := w.states("s"); len(got) != 1 {
				t.Errorf("it got %v", got)
			}
		}},
		{"other result parameters are 422", func(t *testing.T, w *world) {
			for _, name := range []string{"_count=1", "_sort=birthdate", "_include=Patient:general-practitioner", "_revinclude=Observation:subject", "_summary=true", "_elements=id", "_total=none", "_contained=true", "_containedType=container"} {
				if a := w.must(422, "POST", "Subscription", about("Patient?gender=female&"+name)); !strings.Contains(string(a.body), "Subscription.criteria") {
					t.Errorf("%s: %s", name, a.body)
				}
			}
		}},
		{"so are absolute URIs until topics exist", func(t *testing.T, w *world) {
			for _, uri := range []string{"http://clinic.example/topics/a", "https://fhir.example/fhir/R4/Patient?gender=female", "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"} {
				w.must(422, "POST", "Subscription", about(uri))
			}
		}},
		{"extensions are read on the Subscription or on its channel, with or without www.", func(t *testing.T, w *world) {
			const url = "medplum.com/fhir/StructureDefinition/subscription-max-attempts"
			for i, prefix := range []string{"https://", "https://www.", "http://"} {
				one := `{"url":"` + prefix + url + `","valueInteger":2}`
				w.subscribe(fmt.Sprint("root", i), "Patient", one)
				w.put("Subscription", fmt.Sprint("channel", i), strings.Replace(written("active"), `"endpoint"`, `"extension":[`+one+`],"endpoint"`, 1))
			}
			w.endpoint.set(refuse)
			w.patients(1)
			time.Sleep(24 * time.Hour)
			if n := len(w.endpoint.take()); n != 12 {
				t.Errorf("%d requests of 6 Subscriptions, want two each", n)
			}
		}},
		{"an extension of these families that isn't built is 422, never ignored; unrelated extensions are kept and have no effect", func(t *testing.T, w *world) {
			for _, url := range []string{
				"https://medplum.com/fhir/StructureDefinition/subscription-next-invention", "http://hapifhir.io/fhir/StructureDefinition/subscription-email-from",
				"https://fhirhook.dev/StructureDefinition/subscription-next-invention", "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-max-count",
			} {
				body := `{"resourceType":"Subscription"` + written("requested", `{"url":"`+url+`","valueString":"x"}`) + `}`
				if a := w.must(422, "POST", "Subscription", body); !strings.Contains(string(a.body), "Subscription.extension[0]") {
					t.Errorf("%s: %s", url, a.body)
				}
			}
			w.subscribe("s", "Patient", `{"url":"https://clinic.example/x","valueString":"kept"}`)
			if a := w.must(200, "GET", "Subscription/s", ""); !strings.Contains(string(a.body), `{"url":"https://clinic.example/x","valueString":"kept"}`) {
				t.Errorf("it is stored as %s", a.body)
			}
			w.patients(1)
			if states := w.states("s"); !allIn(states, "delivered", 1) {
				t.Errorf("it got %v", states)
			}
		}},
	})
}

// Operations, by the rows of their table. Most were proved before there was a list of rows.
func TestContract_operations(t *testing.T) {
	for says, proofs := range map[string][]func(*testing.T){
		"POST $ping sends one marked test notification now (also while off), own id, no number, no retries; 200 with the attempt":                        {TestPing_sendsNowAlsoWhileOff},
		"GET $deliveries, also on Subscription and on {Type}/{id}, also after DELETE: id, sequence, resource version, state, next try, and part attempt": {TestDeliveries_tellWhatBecameOfEach},
		"$deliveries takes delivery, resource, sequence, status, since, until, _count, paging":                                                           {TestDeliveries_tellWhatBecameOfEach, TestDeliveries_pagesShowEachOnce},
		"POST $redeliver sends again, same ids; by delivery (repeatable), sequence (5-9), or status = failed with since, until; dry-run (200 with the count)": {
			TestRedeliver_sendsTheSameAgain,
		},
		"202 with Content-Location …/Subscription/{id}/$job?_id=J; GET there gives Parameters status, total, done, failed; rate (per second)": {TestRedeliver_goesAtItsRate},
		"DELETE there cancels; the same for $backfill":                                                                                      {TestRedeliver_isCancelled, TestJob_endsWithItsSubscription},
		"POST $backfill notifies of stored resources that match already; search, since, rate, force":                                        {TestBackfill_notifiesOfWhatIsStored},
		"a version once owed keeps its id and number and is skipped if delivered, unless force":                                             {TestBackfill_aVersionHasOneNumber},
		"POST $rotate-secret: 200 with the new key, once; both during the overlap; again within it: 409; secret (else generated), overlap":  {TestRotateSecret_givesTheKeyOnceAndKeepsBothForAWhile},
		"POST $explain: term by term, why a resource does or does not match, and would or did (not) notify; resource (inline) or reference": {TestExplain_saysWhyAndWhyNot, TestExplain_ofATrigger},
		"POST {Type}/{id}/$resend as Medplum has it":                                                                                        {TestResend_asMedplumDoes},
		"all take and return FHIR, on Subscription/{id} unless said":                                                                        {TestOperations_areListedAndStayWithTheirSubscription},
	} {
		t.Run(says, func(t *testing.T) {
			for _, proof := range proofs {
				proof(t)
			}
		})
	}
	prove(t, []sentence{
		{"every parameter of the table is known, and no other", func(t *testing.T, w *world) {
			w.subscribe("s", "Patient")
			w.patients(1)
			id := w.must(200, "GET", "Subscription/s/$deliveries", "").bundle(t).Entry[0].Resource.get("id")
			for path, status := range map[string]int{
				"POST $ping": 200, "GET $deliveries?delivery=" + id + "&resource=Patient/p1&sequence=1-2&status=delivered&since=1999-01-01&until=2030-01-01&_count=5": 200,
				"POST $redeliver?delivery=" + id + "&rate=5&dry-run=true": 200, "POST $redeliver?sequence=1-9&rate=5&dry-run=true": 200, "POST $redeliver?status=failed&since=1999-01-01&until=2030-01-01&dry-run=true": 200,
				"POST $backfill?search=Patient%3Fgender%3Dmale&since=1999-01-01&rate=5&force=true": 202, "POST $rotate-secret?overlap=2h": 200, "POST $explain?reference=Patient/p1": 200,
			} {
				method, op, _ := strings.Cut(path, " ")
				if r := w.do(method, "Subscription/s/"+op, ""); r.status != status {
					t.Errorf("%s: %d, want %d: %s", path, r.status, status, r.body)
				}
				sign := "?"
				if strings.Contains(op, "?") {
					sign = "&"
				}
				if r := w.do(method, "Subscription/s/"+op+sign+"nonsense=1", ""); r.status != 400 || !strings.Contains(string(r.body), "nonsense") {
					t.Errorf("%s with a parameter that there isn't: %d: %s", path, r.status, r.body)
				}
			}
		}},
		{"a notification that is sent again or comes by a backfill doesn't count against the endpoint when it can't be built", func(t *testing.T, w *world) {
			w.subscribe("s", "Patient", noRetries)
			w.endpoint.set(func(m channel.Message) error {
				if m.Focus == "p1" {
					return &channel.SendError{Class: "message", Unbuilt: true, Hint: "it can't be made"}
				}
				return nil
			})
			w.patients(2)
			for range 12 {
				w.must(202, "POST", "Subscription/s/$redeliver?sequence=1", "")
				time.Sleep(time.Minute)
			}
			w.stands("active", "after twelve redeliveries of what can't be built")
			all, _ := w.list("Subscription/s/$deliveries?sequence=1")
			record := append(all[0].parts("note"), all[0].parts("attempt")...)
			if len(record) != 13 || record[0].get("error-class") != "message" || record[0].get("hint") == "" || record[0].get("try") != "" {
				t.Errorf("the record is %+v", record)
			}
		}},
	})
}
