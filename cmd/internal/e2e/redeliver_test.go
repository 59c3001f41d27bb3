package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"fhirhook/cmd/internal/app"
	"fhirhook/fhir/rest"
)

// TestKill_aRedeliveryGoesOn kills the server again and again while it sends everything once more. The job goes
// on after each start, and all of it arrives, each under the id and number that it had.
func TestKill_aRedeliveryGoesOn(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, flaky())
	data := t.TempDir()
	quick := func(o *app.Options) { o.Log = nil }
	server := start(t, data, quick)
	server.must(201, "PUT", "/Subscription/s", `{"resourceType":"Subscription","id":"s","status":"active","reason":"test",
		"criteria":"Patient","channel":{"type":"rest-hook","endpoint":"`+r.URL+`"},
		"extension":[{"url":"https://fhirhook.dev/StructureDefinition/subscription-retry","valueString":"exp:50ms,2,1s,1h"}]}`)
	const many = 60
	for i := range many {
		server.must(201, "PUT", fmt.Sprintf("/Patient/p%d", i), fmt.Sprintf(`{"resourceType":"Patient","id":"p%d"}`, i))
	}
	settled := func() bool {
		page := string(server.must(200, "GET", "/Subscription/s/$deliveries?status=owed", "").body)
		return strings.Contains(page, `"total":0`)
	}
	r.await(t, "the first deliveries", atLeast(many))
	eventually(t, "the end of the first deliveries", settled)
	first := map[int]string{}
	for _, n := range r.all() {
		first[n.sequence] = n.id
	}
	before := len(r.all())
	at := server.must(202, "POST", "/Subscription/s/$redeliver?sequence=1-&rate=100", "").header.Get("Content-Location")
	_, path, _ := strings.Cut(at, "/fhir/R4")
	for round := range 6 {
		r.await(t, "some of it again", atLeast(before+8*(round+1)))
		server.kill()
		server = start(t, data, quick)
	}
	eventually(t, "the end of the job", func() bool {
		return strings.Contains(string(server.must(200, "GET", path, "").body), `"valueCode":"completed"`)
	})
	got, again := r.all(), map[int]bool{}
	for _, n := range got[before:] {
		again[n.sequence] = true
	}
	if len(again) != many {
		t.Errorf("%d of %d came again", len(again), many)
	}
	for _, n := range got {
		if n.id != first[n.sequence] {
			t.Errorf("number %d came as %s and as %s", n.sequence, first[n.sequence], n.id)
		}
	}
	body := string(server.must(200, "GET", path, "").body)
	if want := fmt.Sprintf(`{"name":"done","valueInteger":%d}`, many); !strings.Contains(body, want) {
		t.Errorf("the job is %s", body)
	}
	if code := server.stop(); code != 0 {
		t.Errorf("exit code %d, want 0\n%s", code, server.log)
	}
	if _, err := app.Check(t.Context(), data, "", app.Keys{}, func(uint64, uint64) {}); err != nil {
		t.Errorf("the store is not sound: %v", err)
	}
}

// matched waits until the server knows whom to notify of everything that was written.
func (p *process) matched(t *testing.T) {
	t.Helper()
	eventually(t, "the matcher's end", func() bool {
		a, err := http.Get(strings.TrimSuffix(p.base, rest.Prefix) + "/readyz")
		r, err := readAnswer(a, err)
		return err == nil && strings.Contains(string(r.body), " 0 changes behind")
	})
}

// eventually waits for what nothing announces.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	again, deadline := time.NewTicker(50*time.Millisecond), time.After(patient)
	defer again.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("%s: not within %s", what, patient)
		}
	}
}
