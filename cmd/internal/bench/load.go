package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

// Load writes one resource over and over to one URL, each time as a new one.
type Load struct {
	URL    string // the type's, as in http://127.0.0.1:8080/fhir/R4/DiagnosticReport
	Body   []byte
	client *http.Client
}

// NewLoad returns a Load with connections of its own, enough for so many writers.
func NewLoad(url string, body []byte, writers int) *Load {
	return &Load{URL: url, Body: body, client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: writers, MaxIdleConns: writers, DisableCompression: true},
	}}
}

// Ack is one acknowledged write.
type Ack struct {
	ID   string // of the resource that was created
	At   time.Time
	Took time.Duration
}

// write makes one write.
func (l *Load) write(ctx context.Context) (Ack, error) {
	began := time.Now()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, l.URL, bytes.NewReader(l.Body))
	if err != nil {
		return Ack{}, err
	}
	request.Header.Set("Content-Type", "application/fhir+json")
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
	return Ack{ID: path.Base(location), At: at, Took: at.Sub(began)}, nil
}

// Closed lets writers write, each its next as soon as its last was answered, until the time is over or most
// were written (0: no limit).
func (l *Load) Closed(ctx context.Context, writers int, during time.Duration, most int) ([]Ack, error) {
	deadline := time.Now().Add(during)
	return gather(writers, func(add func(Ack)) error {
		for n := 0; time.Now().Before(deadline) && (most == 0 || n*writers < most); n++ {
			ack, err := l.write(ctx)
			if err != nil {
				return err
			}
			add(ack)
		}
		return nil
	})
}

// Open begins writes at a steady rate whether or not the last ones were answered, by so many writers at most.
func (l *Load) Open(ctx context.Context, writers int, perSecond float64, during time.Duration) ([]Ack, error) {
	due := make(chan struct{}, writers)
	go func() { // ends with the time
		defer close(due)
		began := time.Now()
		every := time.Duration(float64(time.Second) / perSecond)
		for next := began; next.Sub(began) < during; next = next.Add(every) {
			time.Sleep(time.Until(next))
			due <- struct{}{}
		}
	}()
	return gather(writers, func(add func(Ack)) error {
		var failed error
		for range due {
			if failed != nil {
				continue // let the clock run out
			}
			ack, err := l.write(ctx)
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
