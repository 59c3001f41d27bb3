package app

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"fhirhook/fhir/rest"
	"fhirhook/fhir/store"
	"fhirhook/subscription/webhook"
)

// slowMatcher is how many rows the matcher may be behind before the server says that it isn't ready: a load
// balancer then leaves it time to catch up. Writes are taken all the same.
const slowMatcher = 100_000

// routes puts the operator's endpoints beside the FHIR endpoint.
func (s *Server) routes(fhirEndpoint *rest.Server, m *metrics, hooks webhook.Options) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", fhirEndpoint)
	webhooks := webhook.New(hooks)
	for _, path := range webhook.Paths() {
		mux.Handle(path, webhooks)
		mux.Handle(path+"/", webhooks)
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.HandleFunc("GET /openapi.json", fhirEndpoint.OpenAPI)
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The mux would redirect a path with a slash too many, which few clients follow with a POST.
		if strings.HasPrefix(r.URL.Path, rest.Prefix+"/") {
			fhirEndpoint.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// ready answers 200 once the store can be read and the matcher is near the end of the log.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	last, err := s.last(ctx)
	switch behind := uint64(last - min(last, s.matcher.Place())); {
	case err != nil:
		plain(w, http.StatusServiceUnavailable, "the store can't be read")
	case behind > slowMatcher:
		plain(w, http.StatusServiceUnavailable, fmt.Sprintf("matching is %d changes behind", behind))
	default:
		text := fmt.Sprintf("ready, matching is %d changes behind", behind)
		if p := s.own.Progress(); !p.Built {
			text += fmt.Sprintf("; search parameters that clients define are indexed up to change %d of %d", p.Done, p.Of)
		}
		plain(w, http.StatusOK, text)
	}
}

func (s *Server) last(ctx context.Context) (last store.Seq, err error) {
	err = s.db.View(ctx, func(r store.Reader) error {
		last = r.Last()
		return nil
	})
	return last, err
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintln(w, text)
}
