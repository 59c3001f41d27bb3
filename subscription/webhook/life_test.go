package webhook_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fhirhook/channel/resthook"
	"fhirhook/fhir"
	"fhirhook/subscription/webhook"
)

// A webhook is a Subscription, and a Subscription of that shape is a webhook, whoever made it.
func TestWebhook_isASubscription(t *testing.T) {
	w := newWorld(t)
	made := w.must(http.StatusCreated, "POST", "/webhooks", `{"url":"https://r.example/in","events":["patient.*","lab.created"],"secret":"abc","description":"d"}`)
	id := made.text(t, "id")
	if got := made.header.Get("Location"); got != site+"/webhooks/"+id {
		t.Errorf("Location: %s", got)
	}
	var s map[string]any
	if err := json.Unmarshal(w.resource(http.StatusOK, "GET", "/Subscription/"+id, "").body, &s); err != nil {
		t.Fatal(err)
	}
	delete(s, "meta")
	ours := "https://fhirhook.dev/StructureDefinition/"
	want := map[string]any{
		"resourceType": "Subscription", "id": id, "status": "active", "reason": "d", "criteria": "[*]",
		"channel": map[string]any{"type": "rest-hook", "endpoint": "https://r.example/in"},
		"extension": []any{
			map[string]any{"url": ours + "subscription-event", "valueString": "patient.*"},
			map[string]any{"url": ours + "subscription-event", "valueString": "lab.created"},
			map[string]any{"url": ours + "subscription-dialect", "valueCode": "clinik"},
			map[string]any{"url": ours + "subscription-secret", "valueString": "********"},
		},
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Error(diff)
	}
	other := w.resource(http.StatusCreated, "POST", "/Subscription", `{"resourceType":"Subscription","criteria":"/[*]","channel":{"type":"rest-hook","endpoint":"https://r.example/in",`+
		`"extension":[{"url":"http://www.fhirhook.dev/StructureDefinition/subscription-event","valueString":"patient.*"}]}}`).text(t, "id")
	got := w.must(http.StatusOK, "GET", "/webhooks/"+other, "").json(t)
	delete(got, "updated")
	if diff := cmp.Diff(map[string]any{
		"id": other, "url": "https://r.example/in", "events": []any{"patient.*"}, "active": true, "dialect": "kit", "status": "active",
	}, got); diff != "" {
		t.Error(diff)
	}
	if list := w.must(http.StatusOK, "GET", "/webhooks", "").json(t)["webhooks"].([]any); len(list) != 2 {
		t.Errorf("%d webhooks, want 2", len(list))
	}
	w.must(http.StatusNoContent, "DELETE", "/webhooks/"+id, "")
	w.resource(http.StatusGone, "GET", "/Subscription/"+id, "")
}

// What the form can't express stays through every write, and what it can is changed in its place.
func TestReplace_keepsWhatTheFormCannotSay(t *testing.T) {
	w := newWorld(t)
	id := w.resource(http.StatusCreated, "POST", "/Subscription", `{"resourceType":"Subscription","contact":[{"system":"phone","value":"1"}],"end":"2099-01-01T00:00:00Z","criteria":"[*]","reason":"why",`+
		`"extension":[{"url":"https://example.org/other","valueString":"kept"},{"url":"https://fhirhook.dev/StructureDefinition/subscription-event","valueString":"patient.*"}],`+
		`"channel":{"type":"rest-hook","endpoint":"https://r.example/in","payload":"application/fhir+json","header":["X-Key: k3y"],`+
		`"extension":[{"url":"https://www.medplum.com/fhir/StructureDefinition/subscription-secret","valueString":"old"},{"url":"https://fhirhook.dev/StructureDefinition/subscription-order","valueCode":"resource"}]}}`).text(t, "id")
	w.must(http.StatusOK, "PUT", "/webhooks/"+id, `{"url":"https://r.example/in?new","events":"observation.*","secret":"new","dialect":"healthsync"}`)
	want := `"contact":[{"system":"phone","value":"1"}],"end":"2099-01-01T00:00:00Z","criteria":"[*]","extension":[{"url":"https://example.org/other","valueString":"kept"},` +
		`{"url":"https://fhirhook.dev/StructureDefinition/subscription-event","valueString":"observation.*"},{"url":"https://fhirhook.dev/StructureDefinition/subscription-dialect","valueCode":"healthsync"},` +
		`{"url":"https://fhirhook.dev/StructureDefinition/subscription-secret","valueString":"********"}],` +
		`"channel":{"type":"rest-hook","endpoint":"https://r.example/in?new","payload":"application/fhir+json","header":["X-Key: ********"],"extension":[{"url":"https://fhirhook.dev/StructureDefinition/subscription-order","valueCode":"resource"}]}`
	if got := string(w.resource(http.StatusOK, "GET", "/Subscription/"+id, "").body); !strings.Contains(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	// A header that can't move along is told by its place in the Subscription, for no member shows it.
	a := w.must(http.StatusUnprocessableEntity, "PATCH", "/webhooks/"+id, `{"url":"https://elsewhere.example/in","secret":"x"}`)
	if !strings.Contains(string(a.body), `"expression":"Subscription.channel.header[0]"`) {
		t.Errorf("%s", a.body)
	}
	w.must(http.StatusOK, "PUT", "/webhooks/"+id, `{"url":"https://r.example/in","events":"*"}`)
	if got := string(w.resource(http.StatusOK, "GET", "/Subscription/"+id, "").body); strings.Contains(got, "subscription-secret") || !strings.Contains(got, `"valueCode":"clinik"`) {
		t.Errorf("what wasn't said has not got its default: %s", got)
	}
}

// A name without a dot is a family, unless an operator's dialect has an event of that name.
func TestEvents_withoutADotAreFamiliesOrTheDialectsOwn(t *testing.T) {
	own, ok := resthook.Lookup("clinik")
	if !ok {
		t.Fatal("no dialect clinik")
	}
	own.Name = "own"
	own.Events = []resthook.Event{{Name: "Lab_Result", Type: "DiagnosticReport", Interactions: []string{"create"}}}
	own.Declares = []string{"payday"}
	w := newWorld(t, func(o *webhook.Options) { o.Dialects = []resthook.Dialect{own} })
	a := w.must(http.StatusCreated, "POST", "/webhooks", `{"url":"https://r.example/in","dialect":"own","events":["lab-result","PayDay","patient","*","Ping","observation.created"]}`)
	if diff := cmp.Diff([]any{"lab-result", "PayDay", "patient.*", "*", "Ping", "observation.created"}, a.json(t)["events"]); diff != "" {
		t.Error(diff)
	}
}

// formGen draws bodies of webhooks that are accepted.
func formGen(t *rapid.T) map[string]any {
	body := map[string]any{
		"url":    "https://r.example/" + rapid.SampledFrom([]string{"", "in", "in?x=1&y=%20", "ü"}).Draw(t, "path"),
		"events": rapid.SliceOfN(rapid.SampledFrom([]string{"*", "ping", "patient.*", "Patient.created", "observation", "practitioner-role.updated"}), 1, 4).Draw(t, "events"),
	}
	for name, values := range map[string][]any{
		"active": {true, false, nil}, "secret": {"a", "whsec_YWJj", nil, "generate", "ü\""}, "dialect": {"clinik", "kit", "healthsync", "webhook-events", "medplum", nil},
		"description": {"text", "a \"quoted\" <one>", nil}, "organization": {"o", nil},
	} {
		if rapid.Bool().Draw(t, "has "+name) {
			body[name] = rapid.SampledFrom(values).Draw(t, name)
		}
	}
	return body
}

// What is read and written back makes no version, whoever made the Subscription, and however often.
func TestReplace_withWhatWasReadChangesNothing(t *testing.T) {
	w := newWorld(t)
	rapid.Check(t, func(rt *rapid.T) {
		body, err := json.Marshal(formGen(rt))
		if err != nil {
			rt.Fatal(err)
		}
		var id string
		if rapid.Bool().Draw(rt, "by FHIR") {
			id = w.resource(http.StatusCreated, "POST", "/Subscription", subscriptionGen(rt)).text(t, "id")
		} else {
			id = w.hook(string(body))
		}
		was := w.must(http.StatusOK, "GET", "/webhooks/"+id, "")
		before := w.resource(http.StatusOK, "GET", "/Subscription/"+id, "")
		for _, again := range []answer{
			w.must(http.StatusOK, "PUT", "/webhooks/"+id, string(was.body)),
			w.must(http.StatusOK, "PUT", "/webhooks/"+id, string(was.body), "If-Match: "+was.header.Get("ETag")),
			w.must(http.StatusOK, "PATCH", "/webhooks/"+id, `{}`),
		} {
			if diff := cmp.Diff(string(was.body), string(again.body)); diff != "" {
				rt.Fatal(diff)
			}
			if was.header.Get("ETag") != again.header.Get("ETag") {
				rt.Fatalf("ETag %s became %s", was.header.Get("ETag"), again.header.Get("ETag"))
			}
		}
		if after := w.resource(http.StatusOK, "GET", "/Subscription/"+id, ""); string(after.body) != string(before.body) {
			rt.Fatalf("%s\nbecame\n%s", before.body, after.body)
		}
	})
}

// subscriptionGen draws a Subscription that is a webhook, written as FHIR clients might.
func subscriptionGen(t *rapid.T) string {
	host := rapid.SampledFrom([]string{"https://fhirhook.dev", "http://fhirhook.dev", "https://www.fhirhook.dev"}).Draw(t, "host")
	extensions := [][]string{{}, {}}
	add := func(e string) {
		at := rapid.IntRange(0, 1).Draw(t, "holder")
		extensions[at] = append(extensions[at], e)
	}
	for _, pattern := range rapid.SliceOfN(rapid.SampledFrom([]string{"*", "ping", "patient.*", "observation.created"}), 1, 3).Draw(t, "patterns") {
		add(fmt.Sprintf(`{"url":"%s/StructureDefinition/subscription-event","valueString":"%s"}`, host, pattern))
	}
	for _, e := range []string{
		`{"url":"` + host + `/StructureDefinition/subscription-dialect","valueCode":"medplum"}`,
		`{"url":"https://www.medplum.com/fhir/StructureDefinition-subscriptionSecret","valueString":"s"}`,
		`{"url":"https://example.org/other","valueQuantity":{"value":1.0}}`,
		`{"url":"` + host + `/StructureDefinition/subscription-order","valueCode":"resource"}`,
	} {
		if rapid.Bool().Draw(t, "has") {
			add(e)
		}
	}
	member := func(list []string) string {
		if len(list) == 0 {
			return ""
		}
		return `,"extension":[` + strings.Join(list, ",") + `]`
	}
	status := rapid.SampledFrom([]string{"", `,"status":"off"`, `,"status":"active"`}).Draw(t, "status")
	header := rapid.SampledFrom([]string{"", `,"header":["A: 1","B: 2"]`}).Draw(t, "header")
	return `{"resourceType":"Subscription"` + status + `,"criteria":"[*]","channel":{"type":"rest-hook","endpoint":"https:\/\/r.example/\u0069n"` + header + member(extensions[1]) + `}` + member(extensions[0]) + `}`
}

// Of several who change the same version, one does.
func TestChange_ofTheSameVersionSucceedsOnce(t *testing.T) {
	w := newWorld(t)
	id := w.hook(hook)
	for round, change := range []func(i int, tag string) answer{
		func(i int, tag string) answer {
			return w.do("PATCH", "/webhooks/"+id, fmt.Sprintf(`{"description":"p%d"}`, i), "If-Match: "+tag)
		},
		func(i int, tag string) answer {
			return w.do("PUT", "/webhooks/"+id, fmt.Sprintf(`{"url":"https://r.example/%d","events":"*"}`, i), "If-Match: "+tag)
		},
	} {
		tag := w.must(http.StatusOK, "GET", "/webhooks/"+id, "").header.Get("ETag")
		statuses := together(8, func(i int) int { return change(i, tag).status })
		slices.Sort(statuses)
		if diff := cmp.Diff([]int{200, 412, 412, 412, 412, 412, 412, 412}, statuses); diff != "" {
			t.Errorf("round %d: %s", round, diff)
		}
	}
}

// Several who name no version and change different members lose nothing.
func TestPatch_withoutAVersionLosesNothing(t *testing.T) {
	w := newWorld(t)
	id := w.hook(hook)
	changes := []string{`{"description":"d"}`, `{"active":false}`, `{"events":["observation.*"]}`, `{"organization":"o"}`}
	for _, status := range together(len(changes), func(i int) int { return w.do("PATCH", "/webhooks/"+id, changes[i]).status }) {
		if status != http.StatusOK {
			t.Errorf("status %d", status)
		}
	}
	got := w.must(http.StatusOK, "GET", "/webhooks/"+id, "").json(t)
	want := map[string]any{"description": "d", "active": false, "events": []any{"observation.*"}, "organization": "o"}
	for name := range got {
		if _, ok := want[name]; !ok {
			delete(got, name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// together runs do n times at once.
func together(n int, do func(i int) int) []int {
	got := make([]int, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { got[i] = do(i) })
	}
	all.Wait()
	return got
}

// Pages hold as many webhooks as were asked for, whatever else lies between, and each webhook once.
func TestList_pagesAreFullAndComplete(t *testing.T) {
	w := newWorld(t)
	var want []string
	for i := range 7 {
		want = append(want, w.hook(hook))
		for range i % 3 {
			w.resource(http.StatusCreated, "POST", "/Subscription", `{"resourceType":"Subscription","criteria":"[*]","channel":{"type":"rest-hook","endpoint":"https://r.example/in"}}`)
			w.resource(http.StatusCreated, "POST", "/Subscription", `{"resourceType":"Subscription","criteria":"Patient","channel":{"type":"rest-hook","endpoint":"https://r.example/in"}}`)
		}
	}
	for _, count := range []int{1, 2, 3, 7, 50} {
		var got []string
		next := fmt.Sprintf("/webhooks?_count=%d", count)
		for next != "" {
			a := w.must(http.StatusOK, "GET", next, "")
			page, _ := a.json(t)["webhooks"].([]any)
			for _, v := range page {
				got = append(got, v.(map[string]any)["id"].(string))
			}
			next = a.text(t, "next")
			if link := a.header.Get("Link"); next != "" && link != "<"+next+`>; rel="next"` {
				t.Errorf("Link: %s", link)
			}
			if len(page) < count && next != "" {
				t.Errorf("a page of %d with a next one, of %d asked for", len(page), count)
			}
			if next = strings.TrimPrefix(next, site); strings.HasPrefix(next, "http") {
				t.Fatalf("the next page is elsewhere: %s", next)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("by %d: %s", count, diff)
		}
	}
}

// A secret is in no answer and no log line but the one answer to the request that had it made.
func TestSecrets_areShownOnceOrNever(t *testing.T) {
	w := newWorld(t)
	const mine, bad = "m1ne-and-n0body-elses", "whsec_b4d-k3y!"
	id := w.hook(`{"url":"https://r.example/in","events":"*","secret":"` + mine + `"}`)
	w.do("POST", "/webhooks", `{"url":"https://r.example/in","events":"*","secret":"`+bad+`"}`)
	w.do("POST", "/webhooks", `{"url":"http://r.example/in","events":"no.such","dialect":"none","secret":"`+mine+`"}`)
	w.do("POST", "/webhooks", `{"url":"https://r.example/in","events":"*","secret":["`+mine+`"]}`)
	w.do("POST", "/webhooks", `{"url":"https://r.example/in","events":"*","secret":"`+mine)
	w.do("POST", "/webhook-events", `{"url":"https://r.example/in","events":"*","secret":"`+mine+`"}`)
	w.do("PUT", "/webhooks/"+id, `{"url":"https://r.example/in","events":"*","secret":"`+mine+`"}`)
	w.do("PUT", "/webhooks/"+id, `{"url":"https://r.example/in","events":"nothing","secret":"`+mine+`"}`)
	w.do("PATCH", "/webhooks/"+id, `{"secret":"`+bad+`"}`)
	w.do("PATCH", "/webhooks/"+id, `{"url":"https://elsewhere.example/"}`)
	w.do("POST", "/webhooks/"+id+"/ping", "")
	w.do("POST", "/webhooks/"+id+"/rotate-secret", `{"secret":"`+mine+`2"}`)
	w.do("POST", "/webhooks/"+id+"/rotate-secret", `{"secret":"`+bad+`"}`)
	w.do("GET", "/webhooks", "")
	w.do("GET", "/webhooks/"+id+"/deliveries", "")
	w.resource(http.StatusOK, "GET", "/Subscription/"+id+"/_history", "")
	for where, text := range map[string]string{"answers": w.seen.String(), "log": w.log.String()} {
		if strings.Contains(text, mine) || strings.Contains(text, bad) {
			t.Errorf("a secret is in the %s", where)
		}
	}
	// What was sent last is what signs.
	if last := w.receiver.all(); len(last) == 0 || !slices.Equal(last[len(last)-1].Target.Secrets, []string{mine}) {
		t.Error("the ping was not signed with the secret")
	}

	for what, made := range map[string]answer{
		"create":  w.must(http.StatusCreated, "POST", "/webhooks", `{"url":"https://r.example/in","events":"*","secret":"generate"}`),
		"replace": w.must(http.StatusOK, "PUT", "/webhooks/"+id, `{"url":"https://r.example/in","events":"*","secret":"generate"}`),
		"patch":   w.must(http.StatusOK, "PATCH", "/webhooks/"+w.hook(hook), `{"secret":"generate"}`),
		"rotate":  w.must(http.StatusOK, "POST", "/webhooks/"+w.hook(`{"url":"https://r.example/in","events":"*","secret":"x"}`)+"/rotate-secret", ""),
	} {
		secret, its := made.text(t, "secret"), made.text(t, "id")
		if !strings.HasPrefix(secret, "whsec_") || made.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: secret %.6s…, Cache-Control: %s", what, secret, made.header.Get("Cache-Control"))
		}
		if got := w.must(http.StatusOK, "GET", "/webhooks/"+its, "").text(t, "secret"); got != "********" {
			t.Errorf("%s: shown again: %.6s…", what, got)
		}
		if n := strings.Count(w.seen.String(), secret); n != 1 {
			t.Errorf("%s: shown %d times", what, n)
		}
		w.must(http.StatusOK, "POST", "/webhooks/"+its+"/ping", "")
		last := w.receiver.all()
		if keys := last[len(last)-1].Target.Secrets; len(keys) == 0 || keys[0] != secret {
			t.Errorf("%s: the ping was not signed with what was shown", what)
		}
	}
}

// A rotation keeps the old secret for as long as is said, and a new secret in a write ends it at once.
func TestRotate_overlapsAndAWriteDoesNot(t *testing.T) {
	w := newWorld(t)
	id := w.hook(`{"url":"https://r.example/in","events":"*","secret":"one"}`)
	a := w.must(http.StatusOK, "POST", "/webhooks/"+id+"/rotate-secret", `{"secret":"two","overlap":"2d"}`)
	until, err := fhir.ParseInstant(a.text(t, "previous_until"))
	if left := time.Until(until); err != nil || left < 47*time.Hour || left > 48*time.Hour {
		t.Errorf("%v, %v", until, err)
	}
	signs := func(want ...string) {
		t.Helper()
		w.must(http.StatusOK, "POST", "/webhooks/"+id+"/ping", "")
		all := w.receiver.all()
		if diff := cmp.Diff(want, all[len(all)-1].Target.Secrets); diff != "" {
			t.Error(diff)
		}
	}
	signs("two", "one")
	w.must(http.StatusOK, "PATCH", "/webhooks/"+id, `{"description":"the overlap goes on"}`)
	signs("two", "one")
	w.must(http.StatusOK, "PATCH", "/webhooks/"+id, `{"secret":"three"}`)
	signs("three")
	w.must(http.StatusOK, "PATCH", "/webhooks/"+id, `{"secret":null}`)
	signs()
}

// Events arrive by their names, and deliveries tells what became of them.
func TestDeliveries_tellWhatBecameOfEvents(t *testing.T) { synctest.Test(t, tellWhatBecameOfEvents) }

func tellWhatBecameOfEvents(t *testing.T) {
	w := newWorld(t)
	id := w.hook(`{"url":"https://r.example/in","events":["patient.*"],"secret":"k"}`)
	down := w.hook(`{"url":"https://r.example/down","events":["patient.created"]}`)
	wording := w.hook(`{"url":"https://r.example/in","events":["analysis.completed"],"dialect":"healthsync"}`)
	quiet := w.hook(`{"url":"https://r.example/in","events":"ping"}`)
	for i := range 3 {
		w.resource(http.StatusCreated, "PUT", fmt.Sprintf("/Patient/p%d", i), fmt.Sprintf(`{"resourceType":"Patient","id":"p%d"}`, i))
		w.resource(http.StatusCreated, "POST", "/Observation", `{"resourceType":"Observation","status":"final","code":{"text":"x"}}`)
	}
	of := func(id, query string) []any {
		list, _ := w.must(http.StatusOK, "GET", "/webhooks/"+id+"/deliveries"+query, "").json(t)["deliveries"].([]any)
		return list
	}
	for _, status := range []string{"final", "amended"} {
		w.resource(http.StatusCreated, "POST", "/DiagnosticReport", `{"resourceType":"DiagnosticReport","status":"`+status+`","code":{"text":"x"}}`)
	}
	synctest.Wait()
	if all := of(wording, ""); len(all) != 1 || all[0].(map[string]any)["event"] != "analysis.completed" {
		t.Errorf("not by the dialect's word: %v", all)
	}
	for _, n := range []int{len(of(id, "?status=delivered")), len(of(down, "?status=owed"))} {
		if n != 3 {
			t.Fatalf("%d, want 3: %v", n, of(id, ""))
		}
	}
	if all := of(quiet, ""); len(all) > 0 {
		t.Errorf("test events only, and there is %v", all)
	}
	newest := of(id, "?_count=1")[0].(map[string]any)
	attempt := newest["attempts"].([]any)[0].(map[string]any)
	for _, have := range []struct{ got, want any }{
		{newest["sequence"], 3.0},
		{newest["resource"], "Patient/p2/_history/1"},
		{newest["interaction"], "create"},
		{newest["state"], "delivered"},
		{newest["event"], "patient.created"},
		{of(down, "")[0].(map[string]any)["event"], "patient.created"},
		{attempt["try"], 1.0},
		{attempt["status"], 200.0},
		{attempt["state"], "delivered"},
		{attempt["reply"], "yes"},
	} {
		if have.got != have.want {
			t.Errorf("got %v, want %v in %v", have.got, have.want, newest)
		}
	}
	failing := of(down, "?_count=1")[0].(map[string]any)
	attempt = failing["attempts"].([]any)[0].(map[string]any)
	if failing["state"] != "owed" || attempt["error_class"] != "status-5xx" || attempt["next_try"] == nil {
		t.Errorf("%v", failing)
	}
	var numbers []any
	next := "/webhooks/" + id + "/deliveries?_count=2&status=delivered"
	for pages := 0; next != "" && pages < 5; pages++ {
		a := w.must(http.StatusOK, "GET", next, "")
		for _, d := range a.json(t)["deliveries"].([]any) {
			numbers = append(numbers, d.(map[string]any)["sequence"])
		}
		next = strings.TrimPrefix(a.text(t, "next"), site)
		if u, err := url.Parse(next); err != nil || next != "" && u.Query().Get("status") != "delivered" {
			t.Errorf("the next page forgets the filter: %s", next)
		}
	}
	if diff := cmp.Diff([]any{3.0, 2.0, 1.0}, numbers); diff != "" {
		t.Error(diff)
	}
	ping := w.must(http.StatusOK, "POST", "/webhooks/"+id+"/ping", "").json(t)
	if headers, _ := ping["headers"].(map[string]any); headers["webhook-id"] != ping["id"] || ping["webhook"] != id {
		t.Errorf("%v", ping)
	}
	if one := of(id, "?delivery="+ping["id"].(string)); len(one) != 1 || one[0].(map[string]any)["sequence"] != nil {
		t.Errorf("the test event is not found by its id: %v", one)
	}
}
