package operate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// run posts what begins a job, lets it end, and returns what was sent meanwhile and the job.
func (w *world) run(path string) (numbers []uint64, job parameters) {
	w.t.Helper()
	w.endpoint.take()
	r := w.must(202, "POST", path, "")
	time.Sleep(time.Minute)
	synctest.Wait()
	return w.endpoint.numbers(), w.status(r.header.Get("Content-Location"))
}

const off = `,"status":"off","criteria":"Patient?gender=female","channel":{"type":"rest-hook","endpoint":"https://hook.example/"}`

func TestBackfill_notifiesOfWhatIsStored(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.patients(10) // before there is a Subscription
		w.put("Patient", "p4", `,"gender":"female","active":true`)
		w.subscribe("s", "Patient?gender=female", noRetries)
		w.put("Patient", "p2", `,"gender":"female","active":true`) // delivered as number 1
		synctest.Wait()
		w.endpoint.set(refuse)
		w.put("Patient", "p6", `,"gender":"female","active":true`) // failed as number 2
		synctest.Wait()
		w.endpoint.set(nil)
		time.Sleep(time.Minute)

		if got := w.must(200, "POST", "Subscription/s/$backfill?dry-run=true", "").parameters(t).get("total"); got != "4" {
			t.Errorf("the count is %s", got)
		}
		got, job := w.run("Subscription/s/$backfill")
		if !slices.Equal(got, []uint64{2, 3, 4, 5}) {
			t.Errorf("sent %v: number 2 keeps its number, 1 was delivered", got)
		}
		if job.get("status") != "completed" || job.get("total") != "4" || job.get("done") != "4" || job.get("kind") != "backfill" {
			t.Errorf("the job is %+v", job)
		}
		// p10, p4 (its second version) and p8, in order of ids.
		all, _ := w.list("Subscription/s/$deliveries?sequence=3-")
		var resources []string
		for _, one := range all {
			resources = append(resources, one.get("resource")+" "+one.get("interaction"))
		}
		if diff := cmp.Diff([]string{"Patient/p8/_history/1 create", "Patient/p4/_history/2 update", "Patient/p10/_history/1 create"}, resources); diff != "" {
			t.Error(diff)
		}
		if got, _ := w.run("Subscription/s/$backfill"); got != nil {
			t.Errorf("once more sends %v", got)
		}
		if got, _ := w.run("Subscription/s/$backfill?force=true"); !slices.Equal(got, []uint64{1, 2, 3, 4, 5}) {
			t.Errorf("forced it sends %v", got)
		}
		if got, _ := w.run("Subscription/s/$backfill?force=true&search=Patient%3Factive%3Dtrue"); !slices.Equal(got, []uint64{1, 2, 4}) {
			t.Errorf("of a search it sends %v", got)
		}
		if got, _ := w.run("Subscription/s/$backfill?force=true&since=" + time.Now().Add(-time.Second).UTC().Format("2006-01-02T15:04:05Z")); got != nil {
			t.Errorf("since a while ago it sends %v", got)
		}
		w.put("Patient", "p12", `,"gender":"female"`)
		synctest.Wait()
		if got := w.endpoint.numbers(); !slices.Equal(got, []uint64{6}) {
			t.Errorf("what comes then is sent as %v", got)
		}
		for bad, status := range map[string]int{
			"search=Observation": 422, "search=Patient%3Fnonsense%3D1": 400, "since=soon": 400, "force=yes": 400, "rate=-1": 400, "x=1": 400,
		} {
			w.must(status, "POST", "Subscription/s/$backfill?"+bad, "")
		}
		w.put("Subscription", "s", off)
		w.must(422, "POST", "Subscription/s/$backfill", "")
	})
}

// Whatever the order in which operations and the Matcher come to a version, it has one number.
func TestBackfill_aVersionHasOneNumber(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.subscribe("s", "Patient", noRetries)
		for i := range 40 {
			w.put("Patient", fmt.Sprintf("p%d", i%7), fmt.Sprintf(`,"birthDate":"19%02d-01-01"`, i+1))
			switch i % 5 {
			case 1:
				w.must(202, "POST", "Subscription/s/$backfill?force=true", "")
				time.Sleep(300 * time.Millisecond)
			case 3:
				w.must(200, "POST", fmt.Sprintf("Patient/p%d/$resend", i%7), "")
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		ids, numbers := map[string]uint64{}, map[uint64]string{}
		for _, a := range w.endpoint.take() {
			if n, ok := ids[a.m.ID]; ok && n != a.m.Sequence {
				t.Errorf("%s has the numbers %d and %d", a.m.ID, n, a.m.Sequence)
			}
			if id, ok := numbers[a.m.Sequence]; ok && id != a.m.ID {
				t.Errorf("number %d is %s and %s", a.m.Sequence, id, a.m.ID)
			}
			ids[a.m.ID], numbers[a.m.Sequence] = a.m.Sequence, a.m.ID
		}
		if len(ids) != 40 {
			t.Errorf("%d notifications of 40 versions", len(ids))
		}
	})
}

func TestResend_asMedplumDoes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.subscribe("a", "Patient?gender=female", noRetries)
		w.subscribe("b", "Patient", noRetries)
		w.subscribe("c", "Patient", noRetries, `{"url":"https://medplum.com/fhir/StructureDefinition/subscription-supported-interaction","valueCode":"create"}`)
		w.patients(2)
		w.subscribe("d", "Patient", noRetries)
		w.endpoint.take()
		r := w.must(200, "POST", "Patient/p2/$resend", "")
		synctest.Wait()
		got := map[string]uint64{}
		for _, a := range w.endpoint.take() {
			got[a.m.Subscription] = a.m.Sequence
			if want := map[string]string{"a": "create", "b": "create", "d": "update"}[a.m.Subscription]; a.m.Interaction != want {
				t.Errorf("%s gets a %s, want %s", a.m.Subscription, a.m.Interaction, want)
			}
		}
		if diff := cmp.Diff(map[string]uint64{"a": 1, "b": 2, "d": 1}, got); diff != "" {
			t.Error(diff)
		}
		if !strings.Contains(string(r.body), `"OperationOutcome"`) || strings.Contains(string(r.body), "Subscription/c") {
			t.Errorf("answers %s", r.body)
		}
		r = w.must(200, "POST", "Patient/p1/$resend", `{"resourceType":"Parameters","parameter":[
			{"name":"subscription","valueReference":{"reference":"Subscription/a"}},{"name":"interaction","valueCode":"create"},{"name":"verbose","valueBoolean":true}]}`)
		if !strings.Contains(string(r.body), "do not match") {
			t.Errorf("it doesn't say why: %s", r.body)
		}
		w.must(200, "POST", "Patient/p1/$resend?subscription=Subscription/c&interaction=create", "")
		synctest.Wait()
		if got := w.endpoint.take(); len(got) != 1 || got[0].m.Subscription != "c" || got[0].m.Sequence != 1 {
			t.Errorf("sent %+v", got)
		}
		w.must(404, "POST", "Patient/none/$resend", "")
		w.must(422, "POST", "Patient/p1/$resend?interaction=delete", "")
		w.must(400, "POST", "Patient/p1/$resend?interaction=x", "")
		w.must(422, "POST", "Patient/p1/$resend?subscription=Subscription/none", "")
		w.must(400, "POST", "Patient/p1/$resend?subscription=Patient/p1", "")
		w.must(204, "DELETE", "Patient/p1", "")
		w.must(410, "POST", "Patient/p1/$resend", "")
	})
}

func TestRotateSecret_givesTheKeyOnceAndKeepsBothForAWhile(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.subscribe("s", "Patient", noRetries, `{"url":"https://fhirhook.dev/StructureDefinition/subscription-secret","valueString":"first-key"}`)
		p := w.must(200, "POST", "Subscription/s/$rotate-secret?overlap=2h", "").parameters(t)
		key := p.get("secret")
		if !strings.HasPrefix(key, "whsec_") || p.get("previous-until") == "" {
			t.Fatalf("answers %+v", p)
		}
		secrets := func() []string {
			w.must(200, "POST", "Subscription/s/$ping", "")
			got := w.endpoint.take()
			return got[len(got)-1].m.Target.Secrets
		}
		if diff := cmp.Diff([]string{key, "first-key"}, secrets()); diff != "" {
			t.Error(diff)
		}
		for _, path := range []string{"Subscription/s", "Subscription/s/_history", "Subscription?_id=s"} {
			if body := string(w.must(200, "GET", path, "").body); strings.Contains(body, "first-key") || strings.Contains(body, key) {
				t.Errorf("%s shows a key: %s", path, body)
			}
		}
		w.must(409, "POST", "Subscription/s/$rotate-secret", "")
		w.halt()
		w.start() // the overlap is durable
		time.Sleep(2*time.Hour - time.Millisecond)
		if diff := cmp.Diff([]string{key, "first-key"}, secrets()); diff != "" {
			t.Error("just before the end:", diff)
		}
		time.Sleep(time.Millisecond)
		if diff := cmp.Diff([]string{key}, secrets()); diff != "" {
			t.Error("at the end:", diff)
		}
		// The answer to a read can be written back as it is.
		read := string(w.must(200, "GET", "Subscription/s", "").body)
		w.must(200, "PUT", "Subscription/s", strings.Replace(read, `"criteria":"Patient"`, `"criteria":"Patient?gender=male"`, 1))
		if diff := cmp.Diff([]string{key}, secrets()); diff != "" {
			t.Error("written back:", diff)
		}
		p = w.must(200, "POST", "Subscription/s/$rotate-secret", `{"resourceType":"Parameters","parameter":[
			{"name":"secret","valueString":"third-key"},{"name":"overlap","valueDuration":{"value":1.5,"unit":"h"}}]}`).parameters(t)
		if p.get("secret") != "third-key" {
			t.Errorf("answers %+v", p)
		}
		until, err := time.Parse(time.RFC3339, p.get("previous-until"))
		if err != nil || time.Until(until).Round(time.Second) != 90*time.Minute {
			t.Errorf("until %s", p.get("previous-until"))
		}
		if diff := cmp.Diff([]string{"third-key", key}, secrets()); diff != "" {
			t.Error(diff)
		}
		time.Sleep(24 * time.Hour)
		for bad, status := range map[string]int{
			`{"name":"secret","valueString":""}`: 400, `{"name":"secret","valueString":"********"}`: 400, `{"name":"secret","valueString":"whsec_!"}`: 422,
			`{"name":"secret","valueString":"third-key"}`: 422,
			`{"name":"overlap","valueString":"long"}`:     400, `{"name":"overlap","valueString":"31d"}`: 400, `{"name":"overlap","valueString":"-1h"}`: 400,
		} {
			r := w.must(status, "POST", "Subscription/s/$rotate-secret", `{"resourceType":"Parameters","parameter":[`+bad+`]}`)
			if strings.Contains(string(r.body), "third-key") || strings.Contains(string(r.body), "whsec_!") {
				t.Errorf("%s: the refusal quotes the key: %s", bad, r.body)
			}
		}
		w.must(400, "POST", "Subscription/s/$rotate-secret?secret=in-a-url", "")
		w.subscribe("bare", "Patient", noRetries)
		if p := w.must(200, "POST", "Subscription/bare/$rotate-secret", "").parameters(t); p.get("secret") == "" || p.get("previous-until") != "" {
			t.Errorf("a first key answers %+v", p)
		}
	})
}

func TestExplain_saysWhyAndWhyNot(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.put("Patient", "early", `,"gender":"female"`)
		w.subscribe("s", "Patient?gender=female&birthdate=gt1980", noRetries)
		w.put("Patient", "yes", `,"gender":"female","birthDate":"1990-01-01"`)
		w.put("Patient", "no", `,"gender":"male","birthDate":"1990-01-01"`)
		w.must(204, "DELETE", "Patient/yes", "")
		synctest.Wait()
		explain := func(query, body string) parameters {
			t.Helper()
			return w.must(200, "POST", "Subscription/s/$explain"+query, body).parameters(t)
		}
		terms := func(p parameters) map[string]string {
			m := map[string]string{}
			for _, one := range p.parts("term") {
				m[one.get("expression")] = one.get("matches")
			}
			return m
		}
		p := explain("?reference=Patient/yes/_history/1", "")
		if p.get("matches") != "true" || p.get("would-notify") != "true" || p.get("outcome") != "delivered" || p.get("sequence") != "1" || p.get("reason") != "" {
			t.Errorf("of what was delivered: %+v", p)
		}
		if diff := cmp.Diff(map[string]string{"gender=female": "true", "birthdate=gt1980": "true"}, terms(p)); diff != "" {
			t.Error(diff)
		}
		p = explain("?reference=Patient/no", "")
		if p.get("matches") != "false" || p.get("would-notify") != "false" || p.get("outcome") != "not-owed" || !strings.Contains(p.get("reason"), "gender=female does not match") {
			t.Errorf("of what doesn't match: %+v", p)
		}
		if diff := cmp.Diff(map[string]string{"gender=female": "false", "birthdate=gt1980": "true"}, terms(p)); diff != "" {
			t.Error(diff)
		}
		p = explain("?reference=Patient/yes", "")
		if p.get("matches") != "true" || p.get("would-notify") != "false" || p.get("interaction") != "delete" || !strings.Contains(p.get("reason"), "it is a delete") {
			t.Errorf("of a delete that isn't asked for: %+v", p)
		}
		p = explain("?reference=Patient/early", "")
		if p.get("would-notify") != "false" || !strings.Contains(p.get("reason"), "did not exist yet") {
			t.Errorf("of what was there before: %+v", p)
		}
		for _, body := range []string{
			`{"resourceType":"Parameters","parameter":[{"name":"resource","resource":{"resourceType":"Patient","gender":"female","birthDate":"2000-01-01"}}]}`,
			`{"resourceType":"Patient","gender":"female","birthDate":"2000-01-01"}`,
		} {
			if p := explain("", body); p.get("matches") != "true" || p.get("would-notify") != "true" || p.get("interaction") != "create" || p.get("outcome") != "" {
				t.Errorf("of what is shown: %+v", p)
			}
		}
		if p := explain("", `{"resourceType":"Observation","id":"x"}`); p.get("matches") != "false" || p.get("would-notify") != "false" {
			t.Errorf("of another type: %+v", p)
		}
		if p := explain("", `{"resourceType":"Patient","id":"no","gender":"female","birthDate":"2000-01-01"}`); p.get("interaction") != "update" {
			t.Errorf("of the next version: %+v", p)
		}
		w.must(400, "POST", "Subscription/s/$explain", "")
		w.must(400, "POST", "Subscription/s/$explain?reference=Patient", "")
		w.must(422, "POST", "Subscription/s/$explain?reference=Patient/none", "")
		w.must(422, "POST", "Subscription/s/$explain?reference=Patient/no/_history/9", "")
		w.must(400, "POST", "Subscription/s/$explain", `{"resourceType":"Parameters","parameter":[{"name":"resource","resource":{"resourceType":"Nonsense"}}]}`)
	})
}

func TestExplain_ofATrigger(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.subscribe("s", "Patient?gender=female", noRetries, `{"url":"https://fhirhook.dev/StructureDefinition/subscription-trigger","valueCode":"enters"}`)
		w.put("Patient", "p", `,"gender":"male"`)
		w.put("Patient", "p", `,"gender":"female"`)
		w.put("Patient", "p", `,"gender":"female","active":true`)
		synctest.Wait()
		for version, want := range map[string]string{"1": "false not-owed", "2": "true delivered", "3": "false not-owed"} {
			p := w.must(200, "POST", "Subscription/s/$explain?reference=Patient/p/_history/"+version, "").parameters(t)
			if got := p.get("would-notify") + " " + p.get("outcome"); got != want {
				t.Errorf("version %s: %s, want %s: %+v", version, got, want, p)
			}
		}
	})
}

// Tenants and lanes apart: what is asked of one Subscription is of that one alone.
func TestOperations_areListedAndStayWithTheirSubscription(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.subscribe("s", "Patient", noRetries)
		w.subscribe("s.t", "Patient", noRetries)
		w.patients(3)
		w.endpoint.take()
		if got, _ := w.run("Subscription/s/$redeliver?sequence=1-"); len(got) != 3 {
			t.Errorf("sent %v", got)
		}
		r := w.must(202, "POST", "Subscription/s/$redeliver?sequence=1", "")
		_, id, _ := strings.Cut(r.header.Get("Content-Location"), "_id=")
		w.must(404, "GET", "Subscription/s.t/$job?_id="+id, "")
		w.must(404, "DELETE", "Subscription/s.t/$job?_id="+id, "")
		statement := string(w.must(200, "GET", "metadata", "").body)
		for _, o := range w.desk.Operations() {
			if !strings.Contains(statement, `"OperationDefinition/`+o.Name) && !strings.Contains(statement, "/OperationDefinition/"+o.Name+`"`) {
				t.Errorf("%s isn't in the CapabilityStatement", o.Name)
			}
		}
	})
}

func TestDeliveries_areKeptForAMonth(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.subscribe("s", "Patient", noRetries)
		w.patients(2)
		time.Sleep(29 * 24 * time.Hour)
		w.put("Patient", "late", "")
		synctest.Wait()
		if all, _ := w.list("Subscription/s/$deliveries"); len(all) != 3 {
			t.Errorf("within the time %d are listed", len(all))
		}
		time.Sleep(2*24*time.Hour + time.Minute)
		synctest.Wait()
		if all, _ := w.list("Subscription/s/$deliveries"); !slices.Equal(sequences(all), []string{"3"}) {
			t.Errorf("after it %v are listed", sequences(all))
		}
		p := w.must(200, "POST", "Subscription/s/$explain?reference=Patient/p1", "").parameters(t)
		if p.get("outcome") != "expired" || p.get("sequence") != "1" {
			t.Errorf("it is explained as %+v", p)
		}
		if got, _ := w.run("Subscription/s/$backfill"); got != nil {
			t.Errorf("what was delivered long ago is sent again: %v", got)
		}
		if got, _ := w.run("Subscription/s/$backfill?force=true"); !slices.Equal(got, []uint64{1, 2, 3}) {
			t.Errorf("forced it sends %v", got)
		}
	})
}
