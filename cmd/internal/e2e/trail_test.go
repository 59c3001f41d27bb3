package e2e_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"fhirhook/cmd/internal/app"
	"fhirhook/fhir"
	"fhirhook/fhir/validate"
)

// TestTrail_attemptsAreAuditEvents reads attempts as clients read any AuditEvent, beside one that a client stored,
// and sees that nothing follows from them: no notification, no row of the log, no way to write one.
func TestTrail_attemptsAreAuditEvents(t *testing.T) {
	t.Parallel()
	failing := newReceiver(t, flaky())
	everything := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	data := t.TempDir()
	server := start(t, data, func(o *app.Options) { o.Log = nil })
	subscribe := func(id, criteria, endpoint, more string) {
		server.must(201, "PUT", "/Subscription/"+id, `{"resourceType":"Subscription","id":"`+id+`","status":"active","reason":"test",
			"criteria":"`+criteria+`","channel":{"type":"rest-hook","endpoint":"`+endpoint+`"},
			"extension":[{"url":"https://fhirhook.dev/StructureDefinition/subscription-retry","valueString":"exp:20ms,2,1s,1h"}`+more+`]}`)
	}
	subscribe("s", "Patient", failing.URL, "")
	subscribe("all", "[*]", everything.URL, "")
	subscribe("audit", "AuditEvent", everything.URL, "")
	subscribe("silent", "Patient", everything.URL, `,{"url":"https://medplum.com/fhir/StructureDefinition/subscription-audit-event-destination","valueCode":"log"}`)
	const many = 12
	for i := range many {
		server.must(201, "PUT", fmt.Sprintf("/Patient/p%d", i), fmt.Sprintf(`{"resourceType":"Patient","id":"p%d"}`, i))
	}
	server.must(201, "PUT", "/AuditEvent/own", `{"resourceType":"AuditEvent","id":"own","type":{"code":"rest"},"recorded":"2026-01-01T00:00:00Z",
		"agent":[{"requestor":true}],"source":{"observer":{"display":"clinic"}},"entity":[{"what":{"reference":"Subscription/s"}}]}`)
	server.matched(t)
	eventually(t, "the end of the deliveries", func() bool {
		return strings.Contains(string(server.must(200, "GET", "/Subscription/$deliveries?status=owed", "").body), `"total":0`)
	})
	total := func(query string) int {
		t.Helper()
		return int(server.must(200, "GET", "/AuditEvent?"+query, "").json(t)["total"].(float64))
	}
	for query, want := range map[string]int{
		"entity=Subscription/s&subtype=delivered": many, "entity=Subscription/s&type=rest": 1, "entity=Subscription/audit": 1,
		"entity=Subscription/all": many, "entity=Subscription/silent": 0, "entity=Patient/p3&outcome=0": 2, "outcome=8": 0, "_id=own": 1, "date=lt2026-01-02": 1,
	} {
		if got := total(query); got != want {
			t.Errorf("%s finds %d, want %d", query, got, want)
		}
	}
	requests := len(failing.all())
	if got := total("entity=Subscription/s&type=transmit&_summary=count"); got != requests {
		t.Errorf("%d AuditEvents of %d requests", got, requests)
	}

	seen, last := map[string]bool{}, ""
	for path := "/AuditEvent?_sort=-date&_count=5&_include=AuditEvent:entity"; path != ""; {
		page := server.must(200, "GET", path, "").json(t)
		path = ""
		for _, l := range page["link"].([]any) {
			if l := l.(map[string]any); l["relation"] == "next" {
				u, err := url.Parse(l["url"].(string))
				if err != nil {
					t.Fatal(err)
				}
				path = strings.TrimPrefix(u.RequestURI(), "/fhir/R4")
			}
		}
		included := 0
		for _, e := range page["entry"].([]any) {
			e := e.(map[string]any)
			resource := e["resource"].(map[string]any)
			if e["search"].(map[string]any)["mode"] == "include" {
				included++
				continue
			}
			id, recorded := resource["id"].(string), resource["recorded"].(string)
			if seen[id] || last != "" && recorded > last {
				t.Errorf("%s of %s comes behind %s, or again", id, recorded, last)
			}
			seen[id], last = true, recorded
		}
		if included == 0 {
			t.Error("a page includes nothing")
		}
	}
	if got := total("_summary=count"); len(seen) != got {
		t.Errorf("the pages show %d, and there are %d", len(seen), got)
	}

	for id := range seen {
		if id == "own" {
			continue
		}
		one := server.must(200, "GET", "/AuditEvent/"+id, "")
		in, err := fhir.Read(one.body, 0)
		if err != nil {
			t.Fatal(err)
		}
		if problems := validate.Strict.Validate(in); len(problems) > 0 {
			t.Errorf("%s: %v", one.body, problems)
		}
		if again := server.must(200, "GET", "/AuditEvent/"+id+"/_history/1", ""); string(again.body) != string(one.body) || again.header.Get("ETag") != `W/"1"` {
			t.Errorf("version 1 is %s (%s), read is %s", again.body, again.header.Get("ETag"), one.body)
		}
	}
	var id string
	for id = range seen {
		if id != "own" {
			break
		}
	}
	server.must(404, "GET", "/AuditEvent/"+id+"/_history/2", "")
	if got := server.must(200, "GET", "/AuditEvent/"+id+"/_history", "").json(t); got["total"] != 1.0 {
		t.Errorf("its history is %v", got)
	}
	body := string(server.must(200, "GET", "/AuditEvent/"+id, "").body)
	for _, refused := range []answer{
		server.must(403, "PUT", "/AuditEvent/"+id, body),
		server.must(403, "DELETE", "/AuditEvent/"+id, ""),
		server.must(403, "PATCH", "/AuditEvent/"+id, `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"delete"},{"name":"path","valueString":"AuditEvent.outcomeDesc"}]}]}`),
	} {
		if !strings.Contains(string(refused.body), "can only be read") {
			t.Errorf("%s", refused.body)
		}
	}
	if got := server.must(200, "GET", "/AuditEvent/_history", "").json(t); got["total"] != 1.0 {
		t.Errorf("the history of AuditEvents is %v", got)
	}
	if got := len(everything.all()); got != 2*many+1 {
		t.Errorf("%d notifications came, want %d Patients twice and the one AuditEvent that was stored", got, many)
	}
	if got := string(server.must(200, "GET", "/metadata", "").body); !strings.Contains(got, "a view of a line in the log of delivery attempts") {
		t.Error("the CapabilityStatement doesn't speak of them")
	}
	batch := string(server.must(200, "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"GET","url":"AuditEvent/`+id+`"}},{"request":{"method":"GET","url":"AuditEvent?_id=`+id+`"}}]}`).body)
	if strings.Count(batch, `"id":"`+id+`"`) != 2 {
		t.Errorf("in a transaction it is %s", batch)
	}

	server.kill()
	server = start(t, data, func(o *app.Options) { o.Log = nil })
	before, _, _ := strings.Cut(body, `"source"`) // which says where the server is
	if again := string(server.must(200, "GET", "/AuditEvent/"+id, "").body); !strings.HasPrefix(again, before) {
		t.Errorf("after a restart it is %s, before it was %s", again, body)
	}
	if got := total("_lastUpdated=lt" + time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04:05Z")); got != len(seen) {
		t.Errorf("after a restart there are %d, want %d", got, len(seen))
	}
}
