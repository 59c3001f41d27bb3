package e2e_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestDelivery_badReceiversHurtOnlyThemselves sets a receiver that hangs, one that answers 500, one that refuses
// connections and one that drips a byte a second beside a healthy one. The healthy one gets everything while
// the others are still at their first attempts. (How its latency fares is a benchmark: BenchmarkHealthyBesideBad.)
func TestDelivery_badReceiversHurtOnlyThemselves(t *testing.T) {
	t.Parallel()
	server := start(t, t.TempDir())
	bad := subscribeBad(t, server)
	healthy := newReceiver(t, nil)
	subscribe(server, healthy.URL)
	const writes = 300
	for range writes {
		server.create("DiagnosticReport", report)
	}
	healthy.await(t, "all reports to the healthy receiver", atLeast(writes))
	for _, id := range bad {
		status := server.must(http.StatusOK, http.MethodGet, "/Subscription/"+id, "").json(t)["status"]
		if status == "off" {
			t.Errorf("Subscription/%s is off: a lane that fails keeps trying", id)
		}
	}
}

func subscribe(server *process, endpoint string) string {
	return server.create("Subscription", strings.Replace(seed0Plain, "ENDPOINT", endpoint, 1))
}

// subscribeBad makes Subscriptions to four receivers that misbehave, and returns their ids.
func subscribeBad(tb testing.TB, server *process) []string {
	tb.Helper()
	release := make(chan struct{})
	hang := badReceiver(tb, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	failing := badReceiver(tb, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	drip := badReceiver(tb, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100000")
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			_, _ = w.Write([]byte("x"))
			_ = http.NewResponseController(w).Flush()
			select {
			case <-ticker.C:
			case <-release:
				return
			case <-r.Context().Done():
				return
			}
		}
	})
	tb.Cleanup(func() { close(release) }) // before the receivers close, for cleanups run last to first
	var ids []string
	for _, endpoint := range []string{hang, failing, drip, refusing} {
		ids = append(ids, subscribe(server, endpoint))
	}
	return ids
}

// refusing is where nothing listens: port 1 is given to nobody who asks for any, as one that was given back could be.
const refusing = "http://127.0.0.1:1/hook"

func badReceiver(tb testing.TB, handler http.HandlerFunc) string {
	tb.Helper()
	s := httptest.NewServer(handler)
	tb.Cleanup(s.Close)
	return s.URL
}
