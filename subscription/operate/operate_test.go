package operate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirhook/channel"
)

// inWorld runs a test in a world of its own, with its own time.
func inWorld(t *testing.T, fn func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		defer func() { w.halt() }()
		fn(t, w)
	})
}

// patients writes n Patients, one after the other, and lets all that follows happen.
func (w *world) patients(n int) {
	w.t.Helper()
	for i := range n {
		w.put("Patient", fmt.Sprintf("p%d", i+1), fmt.Sprintf(`,"gender":"%s"`, []string{"male", "female"}[i%2]))
	}
	synctest.Wait()
}

func TestPing_sendsNowAlsoWhileOff(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.subscribe("s", "Patient", noRetries)
		p := w.must(200, "POST", "Subscription/s/$ping", "").parameters(t)
		got := w.endpoint.take()
		if len(got) != 1 || !got[0].m.Test || got[0].m.Event != "ping" || got[0].m.Sequence != 0 || got[0].m.ID == "" {
			t.Fatalf("sent %+v", got)
		}
		if p.get("id") != got[0].m.ID || p.get("status") != "200" || p.get("duration-ms") != "1" || p.get("reply") != "yes" || p.get("state") != "delivered" || p.get("time") == "" {
			t.Errorf("answers %+v", p)
		}
		if h := p.parts("header"); len(h) != 1 || h[0].get("name") != "webhook-id" || h[0].get("value") != got[0].m.ID {
			t.Errorf("the headers are %+v", h)
		}
		w.put("Subscription", "s", `,"status":"off","criteria":"Patient","channel":{"type":"rest-hook","endpoint":"https://hook.example/"}`)
		w.endpoint.set(refuse)
		p = w.must(200, "POST", "Subscription/s/$ping", "").parameters(t)
		if p.get("status") != "500" || p.get("error-class") != "status-5xx" || p.get("hint") != "it is down" || p.get("state") != "failed" || p.get("reply") != "no" {
			t.Errorf("a failure answers %+v", p)
		}
		time.Sleep(time.Hour)
		if n := len(w.endpoint.take()); n != 1 {
			t.Errorf("%d requests: a ping has no retries", n)
		}
		if all, _ := w.list("Subscription/s/$deliveries"); len(all) != 0 {
			t.Errorf("a ping is listed: %+v", all)
		}
		if all, _ := w.list("Subscription/s/$deliveries?delivery=" + p.get("id")); len(all) != 1 || all[0].get("sequence") != "" || all[0].get("state") != "failed" {
			t.Errorf("by its id it is %+v", all)
		}
		w.endpoint.set(nil)
		w.subscribe("s", "Patient", noRetries)
		w.patients(1)
		if got := w.endpoint.numbers(); !slices.Equal(got, []uint64{1}) {
			t.Errorf("a ping took a number: %v", got)
		}
		w.must(404, "POST", "Subscription/none/$ping", "")
		w.must(400, "POST", "Subscription/s/$ping", `{"resourceType":"Parameters","parameter":[{"name":"x","valueString":"y"}]}`)
		w.must(400, "POST", "Subscription/s/$ping", `{"resourceType":"Patient"}`)
		w.must(204, "DELETE", "Subscription/s", "")
		w.must(410, "POST", "Subscription/s/$ping", "")
	})
}

func TestDeliveries_tellWhatBecameOfEach(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.subscribe("s", "Patient", `{"url":"https://fhirhook.dev/StructureDefinition/subscription-retry","valueString":"1m,5m"}`)
		w.endpoint.set(func(m channel.Message) error {
			if m.Focus == "p2" {
				return refuse(m)
			}
			return nil
		})
		w.patients(3)
		all, _ := w.list("Subscription/s/$deliveries")
		if len(all) != 3 || all[0].get("sequence") != "3" || all[2].get("sequence") != "1" {
			t.Fatalf("the newest first: %+v", all)
		}
		one := all[1]
		next, err := time.Parse(time.RFC3339, one.get("next-try"))
		if err != nil || time.Until(next).Round(time.Second) != time.Minute {
			t.Errorf("next try %q, %v", one.get("next-try"), err)
		}
		if one.get("state") != "owed" || one.get("resource") != "Patient/p2/_history/1" || one.get("interaction") != "create" || one.get("subscription") != "Subscription/s" {
			t.Errorf("it is %+v", one)
		}
		if a := one.parts("attempt"); len(a) != 1 || a[0].get("status") != "500" || a[0].get("error-class") != "status-5xx" || a[0].get("reply") != "no" || a[0].get("try") != "1" {
			t.Errorf("its attempts are %+v", one.parts("attempt"))
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		for query, want := range map[string][]string{
			"":                                {"3", "2", "1"},
			"?status=failed":                  {"2"},
			"?status=failed&status=owed":      {"2"},
			"?status=delivered":               {"3", "1"},
			"?sequence=2":                     {"2"},
			"?sequence=2-":                    {"3", "2"},
			"?sequence=1-2":                   {"2", "1"},
			"?sequence=7-9":                   nil,
			"?resource=Patient/p3":            {"3"},
			"?resource=Patient/p3/_history/1": {"3"},
			"?resource=Patient/p3/_history/2": nil,
			"?resource=Patient/none":          nil,
			"?delivery=" + one.get("id"):      {"2"},
			"?delivery=none":                  nil,
			"?since=2000-01-01T00:05:00Z":     {"2"},
			"?until=2000-01-01T00:05:00Z":     {"3", "1"},
			"?since=2000-01-02":               nil,
		} {
			for _, path := range []string{"Subscription/s/$deliveries", "Subscription/$deliveries"} {
				found, _ := w.list(path + query)
				if diff := cmp.Diff(want, sequences(found)); diff != "" {
					t.Errorf("%s%s: %s", path, query, diff)
				}
			}
		}
		found, _ := w.list("Patient/p2/$deliveries")
		if len(found) != 1 || found[0].get("id") != one.get("id") || len(found[0].parts("attempt")) != 3 {
			t.Errorf("of the resource: %+v", found)
		}
		w.must(204, "DELETE", "Subscription/s", "")
		if found, _ := w.list("Subscription/s/$deliveries"); len(found) != 3 {
			t.Errorf("after the deletion there are %d", len(found))
		}
		w.must(404, "GET", "Subscription/none/$deliveries", "")
		w.must(404, "GET", "Patient/none/$deliveries", "")
		for _, bad := range []string{"status=lost", "sequence=0", "sequence=9-5", "sequence=x", "since=soon", "since=2026-01-02&until=2026-01-01", "_count=0", "_cursor=x", "resource=Nonsense/1", "other=1", "sequence=1&sequence=2"} {
			r := w.must(400, "GET", "Subscription/s/$deliveries?"+bad, "")
			if name, _, _ := strings.Cut(bad, "="); name != "since" && !strings.Contains(string(r.body), "http."+name) {
				t.Errorf("%s: the refusal doesn't name it: %s", bad, r.body)
			}
		}
		w.must(400, "GET", "Patient/p1/$deliveries?resource=Patient/p2", "")
	})
}

func sequences(all []parameters) []string {
	var s []string
	for _, p := range all {
		s = append(s, p.get("sequence"))
	}
	return s
}

func TestDeliveries_pagesShowEachOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.subscribe("a", "Patient", noRetries)
		w.subscribe("b", "Patient?gender=female", noRetries)
		w.patients(12)
		w.patients(12) // unchanged: no version, no notification
		for i := range 5 {
			w.put("Patient", "p2", fmt.Sprintf(`,"gender":"female","birthDate":"200%d-01-01"`, i))
		}
		synctest.Wait()
		for path, want := range map[string]int{
			"Subscription/a/$deliveries": 17, "Subscription/b/$deliveries": 11, "Subscription/$deliveries": 28,
			"Patient/p2/$deliveries": 12, "Subscription/$deliveries?resource=Patient/p2": 12, "Subscription/b/$deliveries?resource=Patient/p2": 6,
			"Subscription/$deliveries?status=delivered": 28, "Subscription/$deliveries?status=failed": 0,
		} {
			whole, _ := w.list(path)
			if len(whole) != want {
				t.Errorf("%s: %d, want %d", path, len(whole), want)
			}
			mark := "?"
			if strings.Contains(path, "?") {
				mark = "&"
			}
			for count := 1; count <= want+1; count++ {
				paged, pages := w.list(fmt.Sprintf("%s%s_count=%d", path, mark, count))
				if diff := cmp.Diff(whole, paged); diff != "" {
					t.Fatalf("%s by %d: %s", path, count, diff)
				}
				if most := max(1, (want+count-1)/count); pages > most {
					t.Errorf("%s by %d: %d pages, want %d", path, count, pages, most)
				}
			}
			if total := w.must(200, "GET", path, "").bundle(t).Total; total == nil || *total != want {
				t.Errorf("%s: total %v, want %d", path, total, want)
			}
		}
	})
}

func TestRedeliver_sendsTheSameAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.subscribe("s", "Patient", noRetries)
		w.endpoint.set(func(m channel.Message) error {
			if m.Sequence%3 == 0 {
				return refuse(m)
			}
			return nil
		})
		w.patients(9)
		ids := map[uint64]string{}
		for _, a := range w.endpoint.take() {
			ids[a.m.Sequence] = a.m.ID
		}
		w.endpoint.set(nil)
		for _, tt := range []struct {
			query string
			want  []uint64
		}{
			{"sequence=5-7", []uint64{5, 6, 7}},
			{"sequence=8-", []uint64{8, 9}},
			{"delivery=" + ids[2] + "&delivery=" + ids[4], []uint64{2, 4}},
			{"status=failed", []uint64{3}}, // 6 and 9 were delivered by the first two
			{"status=failed", nil},
			{"sequence=50", nil},
		} {
			dry := w.must(200, "POST", "Subscription/s/$redeliver?dry-run=true&"+tt.query, "").parameters(t)
			if got := dry.get("total"); got != fmt.Sprint(len(tt.want)) {
				t.Errorf("%s: the count is %s, want %d", tt.query, got, len(tt.want))
			}
			r := w.must(202, "POST", "Subscription/s/$redeliver?"+tt.query, "")
			time.Sleep(10 * time.Second)
			synctest.Wait()
			var got []uint64
			for _, a := range w.endpoint.take() {
				got = append(got, a.m.Sequence)
				if a.m.ID != ids[a.m.Sequence] || a.m.Attempt != 1 || a.m.Focus != fmt.Sprintf("p%d", a.m.Sequence) {
					t.Errorf("%s: %d is sent as %+v", tt.query, a.m.Sequence, a.m)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, tt.want) {
				t.Errorf("%s: sent %v, want %v", tt.query, got, tt.want)
			}
			job := w.status(r.header.Get("Content-Location"))
			n := fmt.Sprint(len(tt.want))
			if job.get("status") != "completed" || job.get("total") != n || job.get("done") != n || job.get("failed") != "0" {
				t.Errorf("%s: the job is %+v", tt.query, job)
			}
		}
		for bad, status := range map[string]int{
			"": 400, "sequence=1&status=failed": 400, "status=delivered": 400, "status=owed": 400, "status=failed&status=delivered": 400, "sequence=1&rate=0": 400, "sequence=1&rate=x": 400,
			"sequence=1&since=2026-01-01": 400, "delivery=none": 422, "sequence=1&dry-run=maybe": 400, "sequences=1": 400,
		} {
			w.must(status, "POST", "Subscription/s/$redeliver?"+bad, "")
		}
		w.must(404, "GET", "Subscription/s/$job?_id=none", "")
		w.must(400, "GET", "Subscription/s/$job", "")
		w.must(404, "DELETE", "Subscription/s/$job?_id=none", "")
		w.must(202, "POST", "Subscription/s/$redeliver", `{"resourceType":"Parameters","parameter":[{"name":"sequence","valueString":"1-2"},{"name":"rate","valueDecimal":0.5}]}`)
		w.put("Subscription", "s", `,"status":"off","criteria":"Patient","channel":{"type":"rest-hook","endpoint":"https://hook.example/"}`)
		w.must(422, "POST", "Subscription/s/$redeliver?sequence=1", "")
	})
}

func TestRedeliver_goesAtItsRate(t *testing.T) {
	for _, rate := range []float64{0.5, 2, 20, 400} {
		inWorld(t, func(t *testing.T, w *world) {
			w.subscribe("s", "Patient", noRetries)
			w.patients(60)
			w.endpoint.take()
			begun := time.Now()
			r := w.must(202, "POST", fmt.Sprintf("Subscription/s/$redeliver?sequence=1-60&rate=%v", rate), "")
			time.Sleep(3 * time.Minute)
			synctest.Wait()
			got := w.endpoint.take()
			if len(got) != 60 {
				t.Fatalf("rate %v: %d sent", rate, len(got))
			}
			for i, a := range got {
				// Not faster than the rate, but for what goes together in a tenth of a second.
				most := 1 + rate*0.1 + rate*a.at.Sub(begun).Seconds()
				if float64(i+1) > most+0.001 {
					t.Errorf("rate %v: %d sent after %v", rate, i+1, a.at.Sub(begun))
				}
			}
			if last := got[59].at.Sub(begun); last.Seconds() > 60/rate+1 {
				t.Errorf("rate %v: it took %v", rate, last)
			}
			if job := w.status(r.header.Get("Content-Location")); job.get("status") != "completed" || job.get("done") != "60" {
				t.Errorf("rate %v: %+v", rate, job)
			}
		})
	}
}

func TestRedeliver_isCancelled(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.subscribe("s", "Patient", `{"url":"https://fhirhook.dev/StructureDefinition/subscription-retry","valueString":"1h"}`)
		w.patients(20)
		w.endpoint.take()
		w.endpoint.set(refuse)
		r := w.must(202, "POST", "Subscription/s/$redeliver?sequence=1-20&rate=1", "")
		time.Sleep(4500 * time.Millisecond)
		synctest.Wait()
		location := r.header.Get("Content-Location")
		w.must(204, "DELETE", strings.TrimPrefix(location, "https://fhir.example/fhir/R4/"), "")
		tried := len(w.endpoint.take())
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if n := len(w.endpoint.take()); n != 0 || tried != 5 {
			t.Errorf("%d sent before the cancelling and %d after", tried, n)
		}
		if job := w.status(location); job.get("status") != "cancelled" {
			t.Errorf("the job is %+v", job)
		}
		// What was delivered before is delivered still, and the record tells of both.
		all, _ := w.list("Subscription/s/$deliveries?status=delivered")
		if len(all) != 20 || len(all[19].parts("attempt")) != 2 || len(all[19].parts("note")) != 1 {
			t.Errorf("%d delivered: %+v", len(all), all[len(all)-1])
		}
		w.must(204, "DELETE", strings.TrimPrefix(location, "https://fhir.example/fhir/R4/"), "")
	})
}

func TestJob_endsWithItsSubscription(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.subscribe("s", "Patient", noRetries)
		w.patients(5)
		r := w.must(202, "POST", "Subscription/s/$redeliver?sequence=1-5&rate=1", "")
		time.Sleep(1500 * time.Millisecond)
		w.must(204, "DELETE", "Subscription/s", "")
		time.Sleep(time.Minute)
		synctest.Wait()
		if job := w.status(r.header.Get("Content-Location")); job.get("status") != "cancelled" || job.get("done") != "2" {
			t.Errorf("the job is %+v", job)
		}
	})
}

// A crash at any step of a job loses nothing, and the job goes on to its end.
func TestJob_survivesACrashAtEachStep(t *testing.T) {
	for _, kind := range []string{"$redeliver?sequence=1-30", "$backfill?"} {
		for left := range 12 {
			inWorld(t, func(t *testing.T, w *world) {
				w.subscribe("s", "Patient", noRetries)
				if kind == "$backfill?" {
					w.put("Subscription", "s", `,"status":"off","criteria":"Patient","channel":{"type":"rest-hook","endpoint":"https://hook.example/"}`)
					w.patients(30)
					w.subscribe("s", "Patient", noRetries)
				}
				w.patients(30)
				w.endpoint.take()
				w.halt()
				w.db = &mortal{DB: w.model, left: left + 2}
				w.start()
				r := w.must(202, "POST", "Subscription/s/"+kind+"&rate=30", "")
				time.Sleep(500 * time.Millisecond)
				w.crash()
				time.Sleep(time.Minute)
				synctest.Wait()
				job := w.status(r.header.Get("Content-Location"))
				if job.get("status") != "completed" || job.get("total") != "30" || job.get("done") != "30" {
					t.Errorf("left %d: the job is %+v", left, job)
				}
				got := w.endpoint.numbers()
				got = slices.Compact(got)
				if len(got) != 30 || got[0] != 1 || got[29] != 30 {
					t.Errorf("left %d: sent %v", left, got)
				}
			})
		}
	}
}

// TestRedeliver_takesWhateverEndedUndelivered: what was skipped or cancelled can be chosen by its state as well as what
// failed, each for itself or together; what was delivered is left alone.
func TestRedeliver_takesWhateverEndedUndelivered(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.subscribe("s", "Patient", ladder("1m"), skipping)
		w.patients(1)
		w.endpoint.set(refuse)
		w.put("Patient", "failed", "")
		time.Sleep(time.Hour)
		w.put("Patient", "skipped", "")
		w.put("Subscription", "s", written("off", ladder("1m"), skipping))
		time.Sleep(time.Minute)
		w.put("Subscription", "s", written("active", ladder("1m"), skipping))
		synctest.Wait()
		w.put("Patient", "cancelled", "")
		synctest.Wait()
		end := time.Now().Add(time.Second).UTC().Format(time.RFC3339)
		w.put("Subscription", "s", `,"end":"`+end+`"`+written("active", ladder("1m"), skipping))
		time.Sleep(time.Hour)
		if diff := cmp.Diff(map[string]string{"1": "delivered", "2": "failed", "3": "skipped", "4": "cancelled"}, w.states("s")); diff != "" {
			t.Fatal(diff)
		}
		w.put("Subscription", "s", written("active", ladder("1m"), skipping))
		w.endpoint.set(nil)
		w.endpoint.take()
		for _, tt := range []struct {
			query string
			want  []uint64
		}{
			{"status=withheld", nil},
			{"status=skipped", []uint64{3}},
			{"status=skipped", nil},
			{"status=cancelled&status=failed&since=2999-01-01", nil},
			{"status=cancelled&status=failed", []uint64{2, 4}},
		} {
			if numbers, job := w.run("Subscription/s/$redeliver?" + tt.query); !slices.Equal(numbers, tt.want) || job.get("done") != fmt.Sprint(len(tt.want)) {
				t.Errorf("%s: sent %v, want %v; the job is %+v", tt.query, numbers, tt.want, job)
			}
		}
	})
}
