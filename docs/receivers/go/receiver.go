// Package receiver shows how to take the notifications of a fhirhook server: verify them over their raw bytes, answer
// quickly, do nothing twice, and notice what is missing. It needs nothing but the standard library, so that
// it can be copied. The program is in serve; the same in other languages is beside this folder.
//
// The trap: what is answered with 2xx will not come again. Keep it first, answer then, work afterwards.
package receiver

import (
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// mostBody bounds what is read: a resource of 8 MiB, the server's default, fits with its envelope.
const mostBody = 16 << 20

// Notification is what came, as far as most receivers look. The signature covers the id, the time and the body; the
// other headers are as trustworthy as the connection.
type Notification struct {
	ID           string
	Subscription string
	Event        string // such as diagnostic-report.created
	Resource     string // Type/id/_history/version
	Sequence     uint64
	Body         []byte
}

// Verdict is what became of one request, for a log.
type Verdict struct {
	Verdict      string `json:"verdict"` // accepted, duplicate, test, refused or failed
	Reason       string `json:"reason,omitempty"`
	ID           string `json:"id,omitempty"`
	Subscription string `json:"subscription,omitempty"`
	Sequence     uint64 `json:"sequence,omitempty"`
	Missing      string `json:"missing,omitempty"` // numbers that have not come yet
}

// Receiver is an http.Handler for an endpoint. Requests with any method and path are taken, for the fhir and hapi
// dialects put type and id behind the endpoint.
type Receiver struct {
	Secrets   []string      // all that are good now
	Tolerance time.Duration // how far the sender's time may be away
	Now       func() time.Time
	// Keep puts a notification where it is safe, such as a table or a queue. It is quick: the sender waits.
	// After an error the notification comes again.
	Keep func(Notification) error
	Log  func(Verdict)

	mu   sync.Mutex // also held while Keep runs, so that two of one id can't pass each other
	seen *Seen
	gaps map[string]*Gaps // by Subscription
}

// New returns a Receiver with a tolerance of five minutes, that remembers the last 100,000 ids.
func New(secrets []string, keep func(Notification) error, log func(Verdict)) *Receiver {
	return &Receiver{
		Secrets: secrets, Tolerance: 5 * time.Minute, Now: time.Now, Keep: keep, Log: log,
		seen: NewSeen(100_000), gaps: map[string]*Gaps{},
	}
}

func (r *Receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, q.Body, mostBody))
	if err != nil {
		http.Error(w, "the body is too large, or it broke off", http.StatusBadRequest)
		return
	}
	status, v := r.take(q.Header, body)
	r.Log(v)
	// 200, for one dialect takes nothing else. The reason of a refusal can be read in the server's $deliveries.
	w.WriteHeader(status)
	_, _ = io.WriteString(w, v.Reason)
}

func (r *Receiver) take(header http.Header, body []byte) (int, Verdict) {
	n := Notification{
		ID: header.Get("webhook-id"), Subscription: header.Get("X-Fhirhook-Subscription"),
		Event: header.Get("X-Fhirhook-Event"), Resource: header.Get("X-Fhirhook-Resource"), Body: body,
	}
	n.Sequence, _ = strconv.ParseUint(header.Get("X-Fhirhook-Sequence"), 10, 64) // a test has none
	v := Verdict{ID: n.ID, Subscription: n.Subscription, Sequence: n.Sequence}
	if err := Verify(header, body, r.Secrets, r.Now(), r.Tolerance); err != nil {
		v.Verdict, v.Reason = "refused", err.Error()
		return http.StatusUnauthorized, v
	}
	if header.Get("X-Fhirhook-Test") == "true" {
		v.Verdict = "test"
		return http.StatusOK, v
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen.Has(n.ID) {
		v.Verdict = "duplicate"
		return http.StatusOK, v
	}
	if err := r.Keep(n); err != nil {
		v.Verdict, v.Reason = "failed", "could not be kept" // err is ours to know
		return http.StatusInternalServerError, v
	}
	r.seen.Add(n.ID)
	gaps := r.gaps[n.Subscription]
	if gaps == nil {
		gaps = &Gaps{}
		r.gaps[n.Subscription] = gaps
	}
	if n.Sequence > 0 {
		gaps.Note(n.Sequence)
	}
	v.Verdict, v.Missing = "accepted", gaps.String()
	return http.StatusOK, v
}
