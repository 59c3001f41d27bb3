package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"

	"fhirhook/cmd/internal/edge"
	"fhirhook/subscription"
)

// A start has two parts. While New opens the store, the listener answers already: that the process lives, how far it
// is, and to all else 503. From then on everything is served, and what is written is durable and owed; but the server is
// ready, and says so, only once the matcher has read all Subscriptions.

// openingText is what it waits for that has a big store.
const openingText = "starting: opening the store"

// front is where a listener leads: to what there is to say during the start, and then to the whole.
type front struct {
	starting http.Handler
	whole    atomic.Pointer[http.Handler] // nil: the start is not that far
}

func newFront() *front {
	mux := http.NewServeMux()
	mux.Handle("/", edge.Unready(func() string { return "the server is starting, and is opening its store: repeat the request" }))
	mux.HandleFunc("GET /healthz", healthy)
	opening := func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusServiceUnavailable, openingText) }
	mux.HandleFunc("GET /readyz", opening)
	mux.HandleFunc("GET /metrics", opening)
	return &front{starting: mux}
}

// lead makes it lead to the whole. A nil front leads nowhere.
func (f *front) lead(to http.Handler) {
	if f != nil {
		f.whole.Store(&to)
	}
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if whole := f.whole.Load(); whole != nil {
		(*whole).ServeHTTP(w, r)
		return
	}
	f.starting.ServeHTTP(w, r)
}

// listen opens the addresses and begins to answer there.
func (s *Server) listen(ctx context.Context, o Options, set settings) (err error) {
	var config net.ListenConfig
	if s.listener, err = config.Listen(ctx, "tcp", o.Listen); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	s.front = newFront()
	if s.edge, err = o.edge(set, s.front); err != nil {
		return err
	}
	if o.AdminListen != "" {
		s.adminFront = newFront()
		if s.adminListener, s.adminEdge, err = o.listenAdmin(ctx, s.adminFront); err != nil {
			return fmt.Errorf("--admin-listen: %w", err)
		}
	}
	s.serve(s.edge, s.listener)
	if s.adminEdge != nil {
		s.serve(s.adminEdge, s.adminListener)
	}
	return nil
}

// serve answers a listener's clients until Shutdown or Close.
func (s *Server) serve(e *edge.Server, l net.Listener) {
	s.serving.Go(func() { // stops at Shutdown, or at Close
		if err := e.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.lost <- err // there is room for each
		}
	})
}

// announce says that the server is ready, as soon as it is.
func (s *Server) announce(ctx context.Context) {
	select {
	case <-s.matcher.Loaded():
		s.log.Info("server.ready", "base", s.base)
		if s.whenReady != nil {
			s.whenReady()
		}
	case <-ctx.Done():
	}
}

// loadingText tells how far the matcher is with its start.
func loadingText(l subscription.Loading) string {
	text := "starting: reading Subscriptions: " + grouped(l.Read)
	if l.Of > 0 {
		text += " of " + grouped(l.Of)
	}
	return text
}

// grouped writes a number as people read it: 40,000.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}
