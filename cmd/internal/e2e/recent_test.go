package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestRecent_whoeverAsksAtOnceSeesTheAttempt writes, lets the receiver answer, and asks once, again and again. Every form of
// the question finds the attempt. Only where a busy machine let a round take longer than an answer waits for a
// request, nothing is promised.
func TestRecent_whoeverAsksAtOnceSeesTheAttempt(t *testing.T) {
	t.Parallel()
	const (
		rounds   = 200
		promised = 250 * time.Millisecond // docs/operations.md
	)
	r := newReceiver(t, nil)
	server := start(t, t.TempDir())
	server.must(http.StatusCreated, "PUT", "/Subscription/s", `{"resourceType":"Subscription","id":"s","status":"requested","reason":"test",
		"criteria":"Patient","channel":{"type":"rest-hook","endpoint":"`+r.URL+`"}}`)
	for n := 1; n <= rounds; n++ {
		id := fmt.Sprintf("p%d", n)
		question, attempt := "/Subscription/s/$deliveries?sequence="+fmt.Sprint(n), `"attempt"`
		switch n % 4 {
		case 1:
			question = "/Patient/" + id + "/$deliveries"
		case 2:
			question = "/Subscription/$deliveries?resource=Patient/" + id
		case 3:
			question, attempt = "/AuditEvent?entity=Patient/"+id, `"delivered"`
		}
		began := time.Now()
		server.must(http.StatusCreated, "PUT", "/Patient/"+id, `{"resourceType":"Patient","id":"`+id+`"}`)
		r.await(t, "notification "+fmt.Sprint(n), atLeast(n))
		got := string(server.must(http.StatusOK, "GET", question, "").body)
		if took := time.Since(began); !strings.Contains(got, attempt) && took < promised {
			t.Errorf("round %d, asked and answered %s behind the write: %s", n, took, got)
		}
	}
}

// TestRecent_hangingReceiverIsNotWaitedFor asks about a receiver that answers when the test is over.
func TestRecent_hangingReceiverIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	r := newReceiver(t, func(http.ResponseWriter, *http.Request) { <-over })
	t.Cleanup(func() { close(over) })
	server := start(t, t.TempDir())
	server.must(http.StatusCreated, "PUT", "/Subscription/s", `{"resourceType":"Subscription","id":"s","status":"requested","reason":"test",
		"criteria":"Patient","channel":{"type":"rest-hook","endpoint":"`+r.URL+`"}}`)
	server.must(http.StatusCreated, "PUT", "/Patient/p", `{"resourceType":"Patient","id":"p"}`)
	r.await(t, "the notification", atLeast(1))
	got := string(server.must(http.StatusOK, "GET", "/Subscription/s/$deliveries", "").body)
	if !strings.Contains(got, `"owed"`) || strings.Contains(got, `"attempt"`) {
		t.Errorf("while the receiver hangs: %s", got)
	}
}
