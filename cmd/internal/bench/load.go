package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// quietHeader tells the floor, which reads no bodies, that nobody is to be notified of a write. Servers ignore it.
const quietHeader = "X-Bench-Quiet"

// Load writes one resource over and over to one URL, each time as a new one.
type Load struct {
	URL   string // the type's, as in http://127.0.0.1:8080/fhir/R4/DiagnosticReport
	Body  []byte
	Quiet []byte  // written in place of Body, as a share of Match says
	Match float64 // the share of Body; NewLoad sets 1
	Token string  // bearer token; "" for none

	client  *http.Client
	begun   atomic.Int64 // writes that were begun, ever
	written atomic.Int64 // writes that were acknowledged, ever
}

// NewLoad returns a Load with connections of its own, enough for so many writers.
func NewLoad(url string, body []byte, writers int) *Load {
	return &Load{URL: url, Body: body, Match: 1, client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: writers, MaxIdleConns: writers, DisableCompression: true},
	}}
}

// Ack is one acknowledged write.
type Ack struct {
	ID    string    // of the resource that was created
	Due   time.Time // when it should have begun: in closed loop, when it began
	At    time.Time // when the answer was there
	Took  time.Duration
	Quiet bool
}

// Written is how many writes were acknowledged so far.
func (l *Load) Written() int { return int(l.written.Load()) }

// quiet says whether the next write is one that doesn't match. Matching ones are spread evenly.
func (l *Load) quiet() bool {
	n := float64(l.begun.Add(1))
	return math.Floor(n*l.Match) == math.Floor((n-1)*l.Match)
}

// write makes one write that was due at a time.
func (l *Load) write(ctx context.Context, due time.Time) (Ack, error) {
	began, body, quiet := time.Now(), l.Body, l.quiet()
	if due.IsZero() {
		due = began
	}
	if quiet {
		body = l.Quiet
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, l.URL, bytes.NewReader(body))
	if err != nil {
		return Ack{}, err
	}
	request.Header.Set("Content-Type", "application/fhir+json")
	if quiet {
		request.Header.Set(quietHeader, "1")
	}
	if l.Token != "" {
		request.Header.Set("Authorization", "Bearer "+l.Token)
	}
	response, err := l.client.Do(request)
	if err != nil {
		return Ack{}, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 500))
		return Ack{}, fmt.Errorf("POST %s: status %d: %s", l.URL, response.StatusCode, text)
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return Ack{}, err
	}
	at := time.Now()
	location, _, _ := strings.Cut(response.Header.Get("Location"), "/_history/")
	l.written.Add(1)
	return Ack{ID: path.Base(location), Due: due, At: at, Took: at.Sub(began), Quiet: quiet}, nil
}

// Closed lets writers write, each its next as soon as its last was answered, until the time is over or most
// were written (0: no limit).
func (l *Load) Closed(ctx context.Context, writers int, during time.Duration, most int) ([]Ack, error) {
	deadline := time.Now().Add(during)
	var begun atomic.Int64
	return gather(writers, func(add func(Ack)) error {
		for time.Now().Before(deadline) && (most == 0 || int(begun.Add(1)) <= most) {
			ack, err := l.write(ctx, time.Time{})
			if err != nil {
				return err
			}
			add(ack)
		}
		return nil
	})
}

// Open begins writes at a steady rate whether or not the last ones were answered, by so many writers at most. One
// that finds them all busy begins late; it was due at its time all the same.
func (l *Load) Open(ctx context.Context, writers int, perSecond float64, during time.Duration) ([]Ack, error) {
	due := make(chan time.Time, writers)
	go func() { // ends with the time
		defer close(due)
		began := time.Now()
		every := time.Duration(float64(time.Second) / perSecond)
		for next := began; next.Sub(began) < during; next = next.Add(every) {
			time.Sleep(time.Until(next))
			due <- next
		}
	}()
	return gather(writers, func(add func(Ack)) error {
		var failed error
		for at := range due {
			if failed != nil {
				continue // let the clock run out
			}
			ack, err := l.write(ctx, at)
			if failed = err; err == nil {
				add(ack)
			}
		}
		return failed
	})
}

// gather runs a function in so many goroutines, waits for all and returns what they added, and the first error.
func gather(goroutines int, run func(add func(Ack)) error) ([]Ack, error) {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		all   []Ack
		first error
	)
	for range goroutines {
		wg.Go(func() {
			var own []Ack
			err := run(func(a Ack) { own = append(own, a) })
			mu.Lock()
			defer mu.Unlock()
			all = append(all, own...)
			if first == nil {
				first = err
			}
		})
	}
	wg.Wait()
	return all, first
}
