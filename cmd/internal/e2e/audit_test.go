package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirhook/cmd/internal/app"
	"fhirhook/fhir/auth"
)

// auditEvent is what the tests read of one.
type auditEvent struct {
	ID      string
	Action  string
	Outcome string
	Subtype []struct{ Code string }
	Agent   []struct{ AltID string }
	Entity  []struct {
		What  struct{ Reference string }
		Query []byte
	}
	Recorded time.Time
}

func (e auditEvent) String() string {
	s := e.Action + e.Outcome
	for _, c := range e.Subtype {
		s += " " + c.Code
	}
	for _, a := range e.Agent {
		s += " " + a.AltID
	}
	for _, entity := range e.Entity {
		s += strings.TrimRight(" "+entity.What.Reference+string(entity.Query), " ")
	}
	return s
}

// events are what a caller finds, all pages of it.
func (s *siege) events(who, query string) (all []auditEvent) {
	s.t.Helper()
	next := s.base + "/AuditEvent?" + query
	for next != "" {
		page := s.mustAs(who, http.StatusOK, "GET", strings.TrimPrefix(next, s.base), "")
		var bundle struct {
			Link  []struct{ Relation, URL string }
			Entry []struct{ Resource auditEvent }
		}
		if err := json.Unmarshal(page.body, &bundle); err != nil {
			s.t.Fatal(err)
		}
		for _, e := range bundle.Entry {
			all = append(all, e.Resource)
		}
		next = ""
		for _, l := range bundle.Link {
			if l.Relation == "next" {
				next = l.URL
			}
		}
	}
	return all
}

func deedsOf(events []auditEvent) (all []string) {
	for _, e := range events {
		all = append(all, e.String())
	}
	return all
}

// TestAudit_tellsWhoDidWhat goes through a day's work of a tenant, and reads its trail.
func TestAudit_tellsWhoDidWhat(t *testing.T) {
	t.Parallel()
	receiver := newReceiver(t, nil)
	data := t.TempDir()
	s := besiege(t, data)
	const patient = `{"resourceType":"Patient","id":"p","name":[{"family":"Plantedname"}]}`
	s.mustAs("bob", http.StatusCreated, "PUT", "/Patient/p", patient)
	s.mustAs("reader", http.StatusOK, "GET", "/Patient/p", "")
	s.mustAs("reader", http.StatusOK, "GET", "/Patient/p/_history", "")
	s.mustAs("reader", http.StatusForbidden, "DELETE", "/Patient/p", "")
	s.mustAs("reader", http.StatusOK, "GET", "/Patient?name=Planted", "")
	s.mustAs("alice", http.StatusNotFound, "GET", "/Patient/p", "")
	s.mustAs("admin", http.StatusOK, "GET", "/Patient/p", "", "X-Fhirhook-Tenant: b")
	if r := s.as("", "GET", "/Patient/p", ""); r.status != http.StatusUnauthorized {
		t.Fatal(r.status)
	}
	s.mustAs("bob", http.StatusCreated, "PUT", "/Subscription/s", `{"resourceType":"Subscription","id":"s","status":"requested","reason":"r","criteria":"Patient","channel":{"type":"rest-hook","endpoint":"`+receiver.URL+`","payload":"application/fhir+json"}}`)
	s.mustAs("bob", http.StatusOK, "POST", "/Subscription/s/$ping", "")
	s.mustAs("bob", http.StatusOK, "POST", "/Subscription/s/$rotate-secret", "")
	s.mustAs("bob", http.StatusOK, "POST", "/Subscription/s/$redeliver?status=failed&since=2020-01-01T00:00:00Z&dry-run=true", "")
	s.mustAs("bob", http.StatusCreated, "POST", "^/webhooks", `{"url":"`+receiver.URL+`","events":["patient.created"]}`)
	s.mustAs("bob", http.StatusOK, "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"Patient/p"}},{"request":{"method":"GET","url":"Patient?_id=x"}}]}`)

	want := []string{
		"C0 update bob Patient/p/_history/1",
		"R0 read reader Patient/p/_history/1",
		"R0 history-instance reader Patient/p Patient/p/_history",
		"D4 delete reader Patient/p",
		"E0 search-type reader Patient?name=Planted",
		"R0 read admin Patient/p/_history/1",
		"C0 update bob Subscription/s/_history/1",
		"E0 operation ping bob Subscription/s Subscription/s/$ping",
		"E0 operation rotate-secret bob Subscription/s/_history/2 Subscription/s/$rotate-secret",
		"E0 operation redeliver bob Subscription/s Subscription/s/$redeliver?status=failed&since=2020-01-01T00:00:00Z&dry-run=true",
		"C0 create bob Subscription/?",
		"E0 transaction bob",
		"D0 delete bob Patient/p/_history/2",
		"E0 search-type bob Patient?_id=x",
	}
	got := deedsOf(s.events("bob", "type=rest&_sort=_lastUpdated"))
	for i := range got {
		if strings.HasPrefix(got[i], "C0 create bob Subscription/") {
			got[i] = "C0 create bob Subscription/?"
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for query, want := range map[string][]string{
		"type=rest&entity=Patient/p&altid=reader&_sort=_lastUpdated": {want[1], want[2], want[3]},
		"type=rest&outcome=4":             {want[3]},
		"type=rest&subtype=rotate-secret": {want[8]},
		"type=rest&altid=admin":           {want[5]},
		"type=rest&altid=alice":           nil,
		"type=rest&date=lt2020":           nil,
	} {
		if diff := cmp.Diff(want, deedsOf(s.events("bob", query))); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
	own := deedsOf(s.events("alice", "type=rest&altid=alice&subtype=read"))
	if diff := cmp.Diff([]string{"R4 read alice Patient/p"}, own); diff != "" {
		t.Errorf("alice's: %s", diff)
	}
	// Reading the trail takes a right, and leaves a trace.
	s.mustAs("patient", http.StatusOK, "GET", "/AuditEvent", "")
	s.mustAs("subscriber", http.StatusForbidden, "GET", "/AuditEvent", "")
	one := s.events("bob", "type=rest&subtype=rotate-secret")[0]
	s.mustAs("bob", http.StatusOK, "GET", "/AuditEvent/"+one.ID, "")
	s.mustAs("alice", http.StatusNotFound, "GET", "/AuditEvent/"+one.ID, "")
	s.mustAs("admin", http.StatusNotFound, "GET", "/AuditEvent/"+one.ID, "")
	s.mustAs("bob", http.StatusForbidden, "PUT", "/AuditEvent/"+one.ID, `{"resourceType":"AuditEvent","id":"`+one.ID+`"}`)
	s.mustAs("bob", http.StatusForbidden, "DELETE", "/AuditEvent/"+one.ID, "")
	if got := deedsOf(s.events("bob", "type=rest&entity=AuditEvent/"+one.ID)); len(got) != 3 {
		t.Errorf("of the trail itself: %q", got)
	}
}

// TestAudit_survivesKill: with --audit-sync whatever was answered is in the trail, also when the process is killed; without
// it, whatever was answered a second before.
func TestAudit_survivesKill(t *testing.T) {
	t.Parallel()
	for _, waits := range []bool{true, false} {
		data := t.TempDir()
		set := func(o *app.Options) { o.Audit, o.AuditSync = "all", waits }
		p := start(t, data, set)
		const writes = 60
		for i := range writes {
			p.must(http.StatusCreated, "PUT", fmt.Sprintf("/Patient/p%d", i), fmt.Sprintf(`{"resourceType":"Patient","id":"p%d"}`, i))
		}
		if !waits {
			eventually(t, "the trail is in its file", func() bool {
				n := 0
				names, _ := filepath.Glob(filepath.Join(data, "audit", "*.log"))
				for _, name := range names {
					text, _ := os.ReadFile(name)
					n += strings.Count(string(text), "\n")
				}
				return n >= writes
			})
		}
		p.kill()
		p = start(t, data, set)
		a := p.must(http.StatusOK, "GET", "/AuditEvent?type=rest&subtype=update&_count=1&_total=accurate", "")
		var bundle struct{ Total int }
		if err := json.Unmarshal(a.body, &bundle); err != nil || bundle.Total != writes {
			t.Errorf("sync %t: %d events of %d writes (%v)", waits, bundle.Total, writes, err)
		}
		p.stop()
		if _, err := app.Check(t.Context(), data, "", app.Keys{}, nil); err != nil {
			t.Error(err)
		}
	}
}

// TestQuotas_areHeld: what a tenant may have and send, and no more; another tenant doesn't notice.
func TestQuotas_areHeld(t *testing.T) {
	t.Parallel()
	receiver := newReceiver(t, nil)
	s := besiege(t, t.TempDir(), func(o *app.Options) {
		o.Auth.Tenants = map[string]auth.Quota{"a": {}, "b": {Resources: 4, Subscriptions: 1, StorageBytes: 20_000}}
	})
	patient := func(id string) string { return `{"resourceType":"Patient","id":"` + id + `"}` }
	hook := func(id, status string) string {
		return `{"resourceType":"Subscription","id":"` + id + `","status":"` + status + `","reason":"r","criteria":"Patient","channel":{"type":"rest-hook","endpoint":"` + receiver.URL + `"}}`
	}
	over := func(method, path, body, what string) {
		t.Helper()
		a := s.mustAs("bob", http.StatusForbidden, method, path, body)
		if text := string(a.body); !strings.Contains(text, "too-costly") || !strings.Contains(text, what) || a.header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s %s: %s", method, path, text)
		}
	}
	s.mustAs("bob", http.StatusCreated, "PUT", "/Subscription/s1", hook("s1", "requested"))
	over("PUT", "/Subscription/s2", hook("s2", "requested"), "quota subscriptions")
	s.mustAs("bob", http.StatusCreated, "PUT", "/Subscription/s2", hook("s2", "off"))
	over("PUT", "/Subscription/s2", hook("s2", "requested"), "quota subscriptions")
	s.mustAs("bob", http.StatusCreated, "PUT", "/Patient/a", patient("a"))
	s.mustAs("bob", http.StatusCreated, "PUT", "/Patient/b", patient("b"))
	over("PUT", "/Patient/c", patient("c"), "quota resources")
	over("POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"PUT","url":"Patient/d"},"resource":`+patient("d")+`}]}`, "quota resources")
	batch := s.mustAs("bob", http.StatusOK, "POST", "", `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"PUT","url":"Patient/d"},"resource":`+patient("d")+`}]}`)
	if !strings.Contains(string(batch.body), `"403 Forbidden"`) {
		t.Errorf("%s", batch.body)
	}
	if a := s.as("bob", "POST", "^/webhooks", `{"url":"`+receiver.URL+`","events":["*"]}`); a.status != http.StatusForbidden || !strings.Contains(string(a.body), "quota") {
		t.Errorf("a webhook more: %d %s", a.status, a.body)
	}
	s.mustAs("bob", http.StatusNoContent, "DELETE", "/Patient/a", "")
	s.mustAs("bob", http.StatusCreated, "PUT", "/Patient/c", patient("c"))
	long := strings.Replace(patient("c"), "}", `,"name":[{"text":"`+strings.Repeat("x", 19_000)+`"}]}`, 1)
	over("PUT", "/Patient/c", long, "quota storage-bytes")
	s.mustAs("alice", http.StatusCreated, "PUT", "/Patient/c", long)
	if got := s.events("bob", "type=rest&outcome=4"); len(got) != 7 || slices.ContainsFunc(got, func(e auditEvent) bool { return strings.Contains(e.String(), "_history") }) {
		t.Errorf("%q", deedsOf(got))
	}
}

// TestQuotas_ratesAreHeld: notifications beyond the rate wait, say so, and arrive; requests beyond it are told when to come
// again. Another tenant doesn't notice.
func TestQuotas_ratesAreHeld(t *testing.T) {
	t.Parallel()
	receiver, other := newReceiver(t, nil), newReceiver(t, nil)
	s := besiege(t, t.TempDir(), func(o *app.Options) {
		o.Auth.Tenants = map[string]auth.Quota{"a": {Requests: 0.01}, "b": {Notifications: 1}}
	})
	hook := func(endpoint string) string {
		return `{"resourceType":"Subscription","id":"s","status":"requested","reason":"r","criteria":"Patient","channel":{"type":"rest-hook","endpoint":"` + endpoint + `","payload":"application/fhir+json"}}`
	}
	s.mustAs("alice", http.StatusCreated, "PUT", "/Subscription/s", hook(other.URL))
	for range 3 {
		a := s.mustAs("alice", http.StatusTooManyRequests, "GET", "/Subscription/s", "")
		if wait, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || wait < 1 || wait > 100 {
			t.Errorf("%v", a.header)
		}
	}
	if a := s.as("alice", "GET", "^/webhooks", ""); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
		t.Errorf("webhooks: %d %v %s", a.status, a.header, a.body)
	}
	s.mustAs("bob", http.StatusCreated, "PUT", "/Subscription/s", hook(receiver.URL))
	const batch = 8 // at once, so that the last waits for seven seconds
	written := 0
	write := func() {
		t.Helper()
		var entries []string
		for range batch {
			entries = append(entries, fmt.Sprintf(`{"resource":{"resourceType":"Patient","id":"p%d"},"request":{"method":"PUT","url":"Patient/p%[1]d"}}`, written))
			written++
		}
		s.mustAs("bob", http.StatusOK, "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[`+strings.Join(entries, ",")+`]}`)
	}
	eventually(t, "the lane says that it waits", func() bool {
		if len(receiver.all()) == written { // at first, and where a question takes longer than all of them
			write()
		}
		return strings.Contains(string(s.mustAs("bob", http.StatusOK, "GET", "/Subscription/s/$status", "").body), `{"name":"waits-for","valueCode":"quota"}`)
	})
	var sent []int // the seconds in which the server sent
	got := receiver.await(t, "all notifications", atLeast(written))
	for i, n := range got {
		if n.header.Get("X-Fhirhook-Attempt") != "1" || len(got) != written {
			t.Errorf("notification %d of %d: attempt %s", i, len(got), n.header.Get("X-Fhirhook-Attempt"))
		}
		second, err := strconv.Atoi(n.header.Get("webhook-timestamp"))
		if err != nil {
			t.Error(err)
		}
		sent = append(sent, second)
	}
	slices.Sort(sent)
	if took := sent[batch-1] - sent[0]; took < 5 {
		t.Errorf("%d were sent within %d seconds", batch, took)
	}
}
