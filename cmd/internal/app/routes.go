package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"fhirhook/fhir/auth"
	"fhirhook/fhir/rest"
	"fhirhook/fhir/store"
	"fhirhook/subscription/webhook"
)

// slowMatcher is how many rows the matcher may be behind before the server says that it isn't ready: a load
// balancer then leaves it time to catch up. Writes are taken all the same.
const slowMatcher = 100_000

// routes puts the operator's endpoints beside the FHIR endpoint. Metrics are for whoever runs the server: where requests are
// authenticated they are an administrator's, and where they have an address of their own they are only there.
func (s *Server) routes(fhirEndpoint *rest.Server, m *metrics, elsewhere bool, hooks webhook.Options) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", fhirEndpoint)
	webhooks := webhook.New(hooks)
	for _, path := range webhook.Paths() {
		mux.Handle(path, webhooks)
		mux.Handle(path+"/", webhooks)
	}
	mux.HandleFunc("GET /healthz", healthy)
	mux.HandleFunc("GET /readyz", s.ready(s.auth == nil))
	mux.HandleFunc("GET /openapi.json", fhirEndpoint.OpenAPI)
	if !elsewhere {
		mux.Handle("GET /metrics", s.administrators(m.handler()))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The mux would redirect a path with a slash too many, which few clients follow with a POST.
		if strings.HasPrefix(r.URL.Path, rest.Prefix+"/") {
			fhirEndpoint.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// adminRoutes are the operator's endpoints, for an address of their own, where nobody is asked who they are.
func (s *Server) adminRoutes(m *metrics) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", healthy)
	mux.HandleFunc("GET /readyz", s.ready(true))
	mux.Handle("GET /metrics", m.handler())
	return mux
}

// administrators lets nobody else through, if anybody is authenticated at all.
func (s *Server) administrators(next http.Handler) http.Handler {
	if s.auth == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := s.auth.Authenticate(r.Context(), r.Header.Values("Authorization")...)
		if refused, ok := errors.AsType[*auth.RefusedError](err); ok {
			w.Header().Set("WWW-Authenticate", refused.Challenge())
		}
		switch {
		case err != nil:
			plain(w, http.StatusUnauthorized, "metrics are for administrators: send an administrator's token, or read them at --admin-listen")
		case !who.Admin:
			plain(w, http.StatusForbidden, "metrics are for administrators")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func healthy(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok") }

// ready answers 200 once the matcher has read all Subscriptions, the store can be read and the matcher is near the end of
// the log. Figures are for those who may know how much is written here.
func (s *Server) ready(figures bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		status, text := s.readiness(r.Context())
		switch {
		case figures:
		case status == http.StatusOK:
			text = "ready"
		default:
			text = "not ready"
		}
		plain(w, status, text)
	}
}

func (s *Server) readiness(ctx context.Context) (status int, text string) {
	if l := s.matcher.Loading(); !l.Done {
		return http.StatusServiceUnavailable, loadingText(l)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	last, err := s.last(ctx)
	switch behind := uint64(last - min(last, s.matcher.Place())); {
	case err != nil:
		return http.StatusServiceUnavailable, "the store can't be read"
	case s.audit.Stats().Failing:
		return http.StatusServiceUnavailable, "the audit trail can't be written"
	case behind > slowMatcher:
		return http.StatusServiceUnavailable, fmt.Sprintf("matching is %d changes behind", behind)
	default:
		text = fmt.Sprintf("ready, matching is %d changes behind", behind)
		if p := s.own.Progress(); !p.Built {
			text += fmt.Sprintf("; search parameters that clients define are indexed up to change %d of %d", p.Done, p.Of)
		}
		return http.StatusOK, text
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
