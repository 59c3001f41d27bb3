package load_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirhook/cmd/internal/load"
)

// TestRemote_comesAgain after no answer and after answers that ask for it, waiting longer each time.
func TestRemote_comesAgain(t *testing.T) {
	t.Parallel()
	seen := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen++
		switch seen {
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 2:
			panic(http.ErrAbortHandler) // hangs up
		case 3:
			w.WriteHeader(http.StatusTooManyRequests)
		default:
			if r.Header.Get("X-Fhirhook-Notify") != "no" || r.Header.Get("Prefer") != "return=minimal" {
				t.Errorf("headers %v", r.Header)
			}
			_, _ = w.Write([]byte("{}"))
		}
	}))
	defer server.Close()
	var waits []time.Duration
	target := load.Remote{Base: server.URL + "/", Wait: func(_ context.Context, d time.Duration) error {
		waits = append(waits, d)
		return nil
	}}
	answer, err := target.Post(t.Context(), []byte("{}"))
	if err != nil || answer.Status != http.StatusOK || string(answer.Body) != "{}" {
		t.Errorf("%+v, %v", answer, err)
	}
	if diff := cmp.Diff([]time.Duration{time.Second / 2, time.Second, 2 * time.Second}, waits); diff != "" {
		t.Error(diff)
	}
}

// TestRemote_givesUp in the end, and at once when the import is stopped.
func TestRemote_givesUp(t *testing.T) {
	t.Parallel()
	waits := 0
	target := load.Remote{Base: "http://127.0.0.1:1", Wait: func(context.Context, time.Duration) error { waits++; return nil }}
	if _, err := target.Post(t.Context(), nil); err == nil || waits != 7 {
		t.Errorf("%v after %d waits", err, waits)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := target.Post(ctx, nil); err == nil || waits != 7 {
		t.Errorf("%v after %d waits", err, waits)
	}
}

// TestRemote_sendsTheTokenToTheServerAlone: a redirect is not followed, and no error holds the token. Where the server says
// when to come again, that is when.
func TestRemote_sendsTheTokenToTheServerAlone(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("somebody else was sent %v", r.Header)
	}))
	defer elsewhere.Close()
	seen := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer sesame" {
			t.Errorf("headers %v", r.Header)
		}
		if seen++; seen == 1 {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	var waits []time.Duration
	target := load.Remote{Base: server.URL, Token: "sesame", Wait: func(_ context.Context, d time.Duration) error {
		waits = append(waits, d)
		return nil
	}}
	answer, err := target.Post(t.Context(), []byte("{}"))
	if err != nil || answer.Status != http.StatusTemporaryRedirect {
		t.Errorf("%+v, %v", answer, err)
	}
	if diff := cmp.Diff([]time.Duration{7 * time.Second}, waits); diff != "" {
		t.Error(diff)
	}
	server.Close()
	if _, err := target.Post(t.Context(), nil); err == nil || strings.Contains(err.Error(), "sesame") {
		t.Errorf("%v", err)
	}
}
