package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"fhirhook/fhir/rest"
)

// request is the POST of a Bundle. Answers without resources are enough.
func request(ctx context.Context, base string, body []byte, notify bool) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, base, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", rest.FHIRJSON)
	r.Header.Set("Accept", rest.FHIRJSON)
	r.Header.Set("Prefer", "return=minimal")
	if !notify {
		r.Header.Set(rest.NotifyHeader, "no")
	}
	return r, nil
}

// Remote is the endpoint of a running server.
type Remote struct {
	Base   string // [base]
	Token  string // bearer token; "": none. It is in no error
	Notify bool   // Subscriptions are notified of what is imported
	Client *http.Client
	// Wait waits before a request is repeated; nil: by the clock.
	Wait func(ctx context.Context, d time.Duration) error
}

const (
	tries       = 8
	firstWait   = 500 * time.Millisecond
	longestGap  = 30 * time.Second
	longestWait = 5 * time.Minute // that a Retry-After is followed
)

// Post repeats what got no answer, or one that asks to come again: a repeated batch does no harm.
func (t Remote) Post(ctx context.Context, body []byte) (Answer, error) {
	wait := t.Wait
	if wait == nil {
		wait = sleep
	}
	pause := firstWait
	for try := 1; ; try++ {
		answer, after, err := t.once(ctx, body)
		again := err != nil || answer.Status == http.StatusTooManyRequests || answer.Status == http.StatusBadGateway ||
			answer.Status == http.StatusServiceUnavailable || answer.Status == http.StatusGatewayTimeout
		if !again || try == tries || ctx.Err() != nil {
			if err != nil {
				err = fmt.Errorf("no answer after %d tries: %w", try, err)
			}
			return answer, errors.Join(ctx.Err(), err)
		}
		if err := wait(ctx, max(pause, after)); err != nil {
			return Answer{}, err
		}
		pause = min(2*pause, longestGap)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// once sends it. after is how long the server asks to wait before it is sent again.
func (t Remote) once(ctx context.Context, body []byte) (_ Answer, after time.Duration, err error) {
	r, err := request(ctx, strings.TrimRight(t.Base, "/"), body, t.Notify)
	if err != nil {
		return Answer{}, 0, err
	}
	if t.Token != "" {
		r.Header.Set("Authorization", "Bearer "+t.Token)
	}
	client := http.Client{}
	if t.Client != nil {
		client = *t.Client
	}
	// Neither patients nor a token must follow a redirect to wherever it leads.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := client.Do(r)
	if err != nil {
		return Answer{}, 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	seconds, _ := strconv.Atoi(res.Header.Get("Retry-After"))
	return Answer{res.StatusCode, text}, min(time.Duration(max(seconds, 0))*time.Second, longestWait), err
}

// Local is an endpoint in this process.
type Local struct {
	Handler http.Handler
	Base    string
	Notify  bool
}

// Post hands the Bundle to the endpoint.
func (t Local) Post(ctx context.Context, body []byte) (Answer, error) {
	r, err := request(ctx, t.Base, body, t.Notify)
	if err != nil {
		return Answer{}, err
	}
	w := recorder{header: http.Header{}, status: http.StatusOK}
	t.Handler.ServeHTTP(&w, r)
	return Answer{w.status, w.body.Bytes()}, ctx.Err()
}

// recorder is a ResponseWriter in memory.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header         { return w.header }
func (w *recorder) WriteHeader(status int)      { w.status = status }
func (w *recorder) Write(b []byte) (int, error) { return w.body.Write(b) }
