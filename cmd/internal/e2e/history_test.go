package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fhirhook/cmd/internal/app"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/bolt"
)

// longAgo fills a folder as a server would have done a month ago: a Subscription, some patients in some versions, and one
// that was deleted.
func longAgo(t *testing.T, data, endpoint string, patients, versions int) {
	t.Helper()
	clock := time.Now().AddDate(0, -1, 0)
	db, err := bolt.Open(data, bolt.Options{Clock: func() time.Time { return clock }})
	if err != nil {
		t.Fatal(err)
	}
	write := func(key fhir.Key, json string) {
		in, err := fhir.Read([]byte(json), 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = db.Update(t.Context(), store.Origin{}, func(w store.Writer) error {
			_, err := store.Update(w, key, in, "", nil)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		clock = clock.Add(time.Second)
	}
	write(fhir.Key{Tenant: fhir.DefaultTenant, Type: fhir.Subscription, ID: "s"}, `{"resourceType":"Subscription","id":"s","status":"active","reason":"test",
		"criteria":"Patient","channel":{"type":"rest-hook","endpoint":"`+endpoint+`"},
		"extension":[{"url":"https://fhirhook.dev/StructureDefinition/subscription-retry","valueString":"exp:50ms,2,500ms,1h"}]}`)
	for v := range versions {
		for i := range patients {
			key := fhir.Key{Tenant: fhir.DefaultTenant, Type: "Patient", ID: fmt.Sprintf("p%d", i)}
			write(key, fmt.Sprintf(`{"resourceType":"Patient","id":%q,"multipleBirthInteger":%d,"name":[{"family":%q}]}`, key.ID, v+1, strings.Repeat("x", 400)))
		}
	}
	_, err = db.Update(t.Context(), store.Origin{}, func(w store.Writer) error {
		_, err := store.Delete(w, fhir.Key{Tenant: fhir.DefaultTenant, Type: "Patient", ID: "p0"}, "")
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// History goes when its time is over, however often the server is killed meanwhile: never before what is owed was delivered, and
// never what is current. What is gone is said to be gone, and compacting gives its room back.
func TestHistory_goesWhenNobodyNeedsIt(t *testing.T) {
	t.Parallel()
	const patients, versions = 20, 6
	const owed = patients * versions // deletes are not owed unless they are asked for
	var broken atomic.Bool
	broken.Store(true)
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
		if broken.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	data := t.TempDir()
	longAgo(t, data, r.URL, patients, versions)
	short := func(o *app.Options) { o.KeepHistory = 24 * time.Hour }

	server := start(t, data, short)
	server.matched(t)
	for range 4 {
		server.kill()
		server = start(t, data, short)
		server.must(200, "GET", "/Patient/p1/_history/1", "") // which is owed
	}
	broken.Store(false)
	delivered := map[string]bool{}
	r.await(t, "every version", func(got []notification) bool {
		for _, n := range got {
			if !broken.Load() && strings.Contains(string(n.body), `"versionId"`) {
				delivered[n.resource] = true
			}
		}
		return len(delivered) == owed
	})
	eventually(t, "the end of the deliveries", func() bool {
		return strings.Contains(string(server.must(200, "GET", "/Subscription/s/$deliveries?status=owed", "").body), `"total":0`)
	})

	var gone answer
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	looks := 40
	eventually(t, "the purge", func() bool {
		server.kill() // in the middle of whatever it does; each start looks at what was held
		server = start(t, data, short)
		for range looks {
			if gone = server.mustAnswer(t, "GET", "/Patient/p1/_history/1"); gone.status == http.StatusNotFound {
				return true
			}
			<-again.C
		}
		looks *= 2 // where a start takes long, the purge does, too
		return false
	})
	if body := string(gone.body); !strings.Contains(body, "no longer kept") || !strings.Contains(body, "OperationOutcome") {
		t.Errorf("what is gone is answered with %s", body)
	}
	eventually(t, "the rest of the purge", func() bool {
		return strings.Contains(string(server.must(200, "GET", "/Patient/_history?_count=200", "").body), fmt.Sprintf(`"total":%d`, patients))
	})
	if body := string(server.must(200, "GET", "/Patient/p1/_history", "").body); !strings.Contains(body, `"total":1`) || !strings.Contains(body, `"multipleBirthInteger":6`) {
		t.Errorf("history of one: %s", body)
	}
	server.must(410, "GET", "/Patient/p0", "")
	search := string(server.must(200, "GET", "/Patient?_count=100", "").body)
	if !strings.Contains(search, fmt.Sprintf(`"total":%d`, patients-1)) {
		t.Errorf("search: %.300s", search)
	}

	// A redelivery of what is gone says so and sends nothing; of what is current it sends.
	before := len(r.all())
	job := server.must(202, "POST", "/Subscription/s/$redeliver?sequence=2", "")
	if !strings.Contains(string(job.body), `{"name":"purged","valueInteger":1}`) {
		t.Errorf("the answer: %s", job.body)
	}
	_, path, _ := strings.Cut(job.header.Get("Content-Location"), "/fhir/R4")
	eventually(t, "the end of the job", func() bool {
		return strings.Contains(string(server.must(200, "GET", path, "").body), `"valueCode":"completed"`)
	})
	record := string(server.must(200, "GET", "/Subscription/s/$deliveries?sequence=2", "").body)
	if !strings.Contains(record, `"purged"`) || !strings.Contains(record, `{"name":"state","valueCode":"delivered"}`) {
		t.Errorf("the record: %s", record)
	}
	if n := len(r.all()); n != before {
		t.Errorf("%d notifications were sent", n-before)
	}
	if code := server.stop(); code != 0 {
		t.Errorf("exit code %d\n%s", code, server.log)
	}

	sizes := map[string]bolt.Compaction{}
	if err := app.Compact(t.Context(), data, func(p bolt.Compaction) { sizes[p.File] = p }); err != nil {
		t.Fatal(err)
	}
	if log := sizes["resources.db"]; log.After == 0 || log.After >= log.Before {
		t.Errorf("%+v", log)
	}
	if err := os.Remove(filepath.Join(data, "index.db")); err != nil { // searches find the same by one that is made of what is left
		t.Fatal(err)
	}
	server = start(t, data, short)
	if got := string(server.must(200, "GET", "/Patient?_count=100", "").body); entriesOf(got) != entriesOf(search) {
		t.Errorf("a search finds\n%.2000s\nand found\n%.2000s", got, search)
	}
	server.must(404, "GET", "/Patient/p1/_history/1", "")
	server.must(200, "PUT", "/Patient/p1", `{"resourceType":"Patient","id":"p1"}`)
	r.await(t, "the next notification", atLeast(before+1))
	if code := server.stop(); code != 0 {
		t.Errorf("exit code %d\n%s", code, server.log)
	}
	if _, err := app.Check(t.Context(), data, "", app.Keys{}, nil); err != nil {
		t.Errorf("the folder is not sound: %v", err)
	}
}

// entriesOf cuts off what differs from server to server: links.
func entriesOf(bundle string) string {
	_, entries, _ := strings.Cut(bundle, `"entry":`)
	var b strings.Builder
	for _, part := range strings.Split(entries, `"fullUrl":`) {
		_, rest, _ := strings.Cut(part, ",")
		b.WriteString(rest)
	}
	return b.String()
}

func (p *process) mustAnswer(t *testing.T, method, path string) answer {
	t.Helper()
	a, err := p.request(method, path, "")
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", method, path, err, p.log)
	}
	return a
}
