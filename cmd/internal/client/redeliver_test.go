package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// jobServer sends three notifications again, one each time it is asked how far it is.
type jobServer struct {
	server
	total, failing int
	done           int
	cancelled      bool
	broken         bool // it fails when it is asked how far it is
}

func newJobServer(total, failing int) *jobServer {
	s := &jobServer{total: total, failing: failing}
	job := func(status string) string {
		return fmt.Sprintf(`{"parameter":[{"name":"id","valueId":"j1"},{"name":"status","valueCode":%q},{"name":"counted","valueBoolean":true},`+
			`{"name":"total","valueInteger":%d},{"name":"done","valueInteger":%d},{"name":"failed","valueInteger":%d},{"name":"reason","valueString":"it was cancelled"}]}`,
			status, s.total, max(s.done-s.failing, 0), min(s.done, s.failing))
	}
	s.HandleFunc("POST /fhir/R4/Subscription/labs/$redeliver", func(w http.ResponseWriter, _ *http.Request) {
		if last := s.last(); strings.Contains(last, "dry-run") {
			fmt.Fprintf(w, `{"parameter":[{"name":"total","valueInteger":%d}]}`, s.total)
			return
		}
		w.Header().Set("Content-Location", "https://proxied.example/fhir/R4/Subscription/labs/$job?_id=j1")
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprint(w, job("in-progress"))
	})
	s.HandleFunc("GET /fhir/R4/Subscription/labs/$job", func(w http.ResponseWriter, _ *http.Request) {
		switch {
		case s.broken:
			refuse(w, 503, "not now")
			return
		case s.cancelled:
			fmt.Fprint(w, job("cancelled"))
			return
		}
		s.done++
		if s.done == s.total {
			fmt.Fprint(w, job("completed"))
		} else {
			fmt.Fprint(w, job("in-progress"))
		}
	})
	s.HandleFunc("DELETE /fhir/R4/Subscription/labs/$job", func(w http.ResponseWriter, r *http.Request) {
		s.cancelled = r.URL.Query().Get("_id") == "j1"
		w.WriteHeader(http.StatusNoContent)
	})
	return s
}

func (s *jobServer) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[len(s.asked)-1]
}

// redeliver runs the command with the fake clock.
func redeliver(t *testing.T, s *jobServer, o RedeliverOptions, change func(*Client)) (out, errs string, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c, o1, e1 := open(t, &s.server, change)
		c.now = time.Now
		o.Subscription = "labs"
		err = c.Redeliver(t.Context(), o)
		out, errs = o1.String(), e1.String()
	})
	return out, errs, err
}

func TestRedeliver_countsStartsAndWatches(t *testing.T) {
	t.Parallel()
	s := newJobServer(3, 0)
	out, errs, err := redeliver(t, s, RedeliverOptions{Delivery: []string{"a", "b"}, Rate: 2.5, Yes: true}, nil)
	if err != nil || out != "3 of 3 sent again, 3 delivered, 0 failed, 2.0/s\n" || errs != "" {
		t.Errorf("%v, %q, %q", err, out, errs)
	}
	ask := `[{"name":"delivery","valueString":"a"},{"name":"delivery","valueString":"b"},{"name":"rate","valueDecimal":2.5}`
	want := []string{
		`POST /fhir/R4/Subscription/labs/$redeliver {"parameter":` + ask + `,{"name":"dry-run","valueBoolean":true}],"resourceType":"Parameters"}`,
		`POST /fhir/R4/Subscription/labs/$redeliver {"parameter":` + ask + `],"resourceType":"Parameters"}`,
		"GET /fhir/R4/Subscription/labs/$job?_id=j1", "GET /fhir/R4/Subscription/labs/$job?_id=j1", "GET /fhir/R4/Subscription/labs/$job?_id=j1",
	}
	if diff := cmp.Diff(want, s.take()); diff != "" {
		t.Error(diff)
	}
}

func TestRedeliver_whatFailedAgainIsAFailure(t *testing.T) {
	t.Parallel()
	s := newJobServer(3, 1)
	out, errs, err := redeliver(t, s, RedeliverOptions{Failed: true, Since: "2026-01-31T10:00:00Z", Until: "2026-01-31T11:00:00Z", Yes: true}, func(c *Client) {
		c.JSON, c.Terminal = true, true
	})
	if err == nil || errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "1 of 3 notifications failed again") {
		t.Error(err)
	}
	if want := `{"id":"j1","url":"https://proxied.example/fhir/R4/Subscription/labs/$job?_id=j1","status":"completed","total":3,"done":2,"failed":1,"reason":"it was cancelled"}` + "\n"; out != want {
		t.Errorf("printed %s", out)
	}
	if !strings.Contains(errs, "\r\x1b[K2 of 3 sent again, 1 delivered, 1 failed") {
		t.Errorf("progress was %q", errs)
	}
	if asked := s.take(); !strings.Contains(asked[1], `[{"name":"status","valueCode":"failed"},{"name":"since","valueInstant":"2026-01-31T10:00:00.000Z"},{"name":"until","valueInstant":"2026-01-31T11:00:00.000Z"}]`) {
		t.Errorf("asked %s", asked[1])
	}
}

func TestRedeliver_tellsProgressNowAndThen(t *testing.T) {
	t.Parallel()
	_, errs, err := redeliver(t, newJobServer(50, 0), RedeliverOptions{Sequence: "1-50", Yes: true}, nil)
	if want := "20 of 50 sent again, 20 delivered, 0 failed, 2.0/s\n40 of 50 sent again, 40 delivered, 0 failed, 2.0/s\n"; err != nil || errs != want {
		t.Errorf("%v, %q", err, errs)
	}
}

func TestRedeliver_asksFirst(t *testing.T) {
	t.Parallel()
	for answer, sends := range map[string]bool{"y\n": true, " YES \n": true, "n\n": false, "\n": false, "yep\n": false, "y": true} {
		s := newJobServer(1, 0)
		_, errs, err := redeliver(t, s, RedeliverOptions{Sequence: "4"}, func(c *Client) { c.In = strings.NewReader(answer) })
		if !strings.HasPrefix(errs, "Send 1 notification of Subscription/labs again? [y/N] ") {
			t.Errorf("asked %q", errs)
		}
		if sent := len(s.take()) > 1; sent != sends || (err == nil) != sends || errors.Is(err, ErrUsage) {
			t.Errorf("%q: sent %v, %v", answer, sent, err)
		}
	}
	for _, in := range []io.Reader{nil, strings.NewReader("")} {
		s := newJobServer(1, 0)
		_, _, err := redeliver(t, s, RedeliverOptions{Sequence: "4"}, func(c *Client) { c.In = in })
		wantUsage(t, err, "Send 1 notification of Subscription/labs again?", "--yes")
		if asked := s.take(); len(asked) != 1 {
			t.Errorf("asked %q", asked)
		}
	}
}

func TestRedeliver_dryRunAndNothing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		total int
		o     RedeliverOptions
		json  bool
		want  string
	}{
		{3, RedeliverOptions{Sequence: "4-", DryRun: true}, false, "3 notifications of Subscription/labs would be sent again\n"},
		{3, RedeliverOptions{Sequence: "4-", DryRun: true}, true, `{"total":3,"done":0,"failed":0}` + "\n"},
		{0, RedeliverOptions{Failed: true}, false, "0 notifications of Subscription/labs would be sent again\n"},
		{0, RedeliverOptions{Failed: true}, true, `{"total":0,"done":0,"failed":0}` + "\n"},
	} {
		s := newJobServer(tt.total, 0)
		out, _, err := redeliver(t, s, tt.o, func(c *Client) { c.JSON = tt.json })
		if err != nil || out != tt.want || len(s.take()) != 1 {
			t.Errorf("%+v: %v, %q", tt.o, err, out)
		}
	}
}

func TestRedeliver_detached(t *testing.T) {
	t.Parallel()
	s := newJobServer(3, 0)
	out, _, err := redeliver(t, s, RedeliverOptions{Sequence: "4-6", Yes: true, Detach: true}, nil)
	if err != nil || !strings.HasSuffix(out, "\nhttps://proxied.example/fhir/R4/Subscription/labs/$job?_id=j1\n") || len(s.take()) != 2 {
		t.Errorf("%v, %q", err, out)
	}
	out, _, err = redeliver(t, s, RedeliverOptions{Sequence: "4-6", Yes: true, Detach: true}, func(c *Client) { c.JSON = true })
	if err != nil || !strings.Contains(out, `"url":"https://proxied.example/fhir/R4/Subscription/labs/$job?_id=j1","status":"in-progress"`) {
		t.Errorf("%v, %q", err, out)
	}
}

func TestRedeliver_aSignalCancelsTheRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newJobServer(100, 1)
		c, _, _ := open(t, &s.server, func(c *Client) { c.now = time.Now })
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(5*jobEvery+jobEvery/2, cancel)
		err := c.Redeliver(ctx, RedeliverOptions{Subscription: "labs", Sequence: "1-", Yes: true})
		if err == nil || !strings.Contains(err.Error(), "the rest was cancelled") || !strings.Contains(err.Error(), "(5 of 100 sent, 4 delivered)") || !s.cancelled {
			t.Errorf("%v, cancelled: %v", err, s.cancelled)
		}
		if asked := s.take(); !slices.Contains(asked, "DELETE /fhir/R4/Subscription/labs/$job?_id=j1") {
			t.Errorf("asked %q", asked)
		}
	})
	synctest.Test(t, func(t *testing.T) { // while it asks
		s := newJobServer(100, 1)
		read, write := io.Pipe()
		c, _, _ := open(t, &s.server, func(c *Client) { c.In = read })
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		err := c.Redeliver(ctx, RedeliverOptions{Subscription: "labs", Sequence: "1-"})
		if !errors.Is(err, errDeclined) || len(s.take()) != 1 {
			t.Error(err)
		}
		_ = write.Close()
	})
}

func TestRedeliver_aJobThatCannotBeWatchedGoesOn(t *testing.T) {
	t.Parallel()
	s := newJobServer(3, 0)
	s.broken = true
	_, _, err := redeliver(t, s, RedeliverOptions{Sequence: "4-6", Yes: true}, nil)
	if err == nil || !strings.Contains(err.Error(), "not now. The job goes on: https://proxied.example/") || s.cancelled {
		t.Error(err)
	}
	s = newJobServer(3, 0)
	s.cancelled = true // by another
	out, _, err := redeliver(t, s, RedeliverOptions{Sequence: "4-6", Yes: true}, nil)
	if err == nil || !strings.Contains(err.Error(), "ended before its time: it was cancelled") || !strings.HasPrefix(out, "0 of 3 sent again") {
		t.Errorf("%v, %q", err, out)
	}
}

func TestRedeliver_namesAllThatIsWrong(t *testing.T) {
	t.Parallel()
	s := newJobServer(3, 0)
	c, _, _ := open(t, &s.server, nil)
	wantUsage(t, c.Redeliver(t.Context(), RedeliverOptions{Subscription: "a/b", Sequence: "1", Delivery: []string{"x"}, Since: "then", Rate: -1}),
		`"a/b" is not the id`, "in one way", "go with --failed", "--since then", "--rate -1")
	wantUsage(t, c.Redeliver(t.Context(), RedeliverOptions{Subscription: "labs"}), "in one way")
	if asked := s.take(); asked != nil {
		t.Errorf("asked %q", asked)
	}
}
