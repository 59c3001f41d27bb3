// Package profile serves a process's own profiles over HTTP, on loopback only: they tell much about what goes through
// a server, and taking one costs CPU time.
//
// The trap: the standard library's handlers register themselves on http.DefaultServeMux, too. Nothing here may
// ever serve that.
package profile

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"runtime"
	"sync"
	"time"
)

// Of the time that goroutines spend blocked one event for so many nanoseconds is kept, and of contended locks
// one in so many: little enough that a profiled server runs like any other.
const (
	blockRate     = 100_000
	mutexFraction = 100
)

// Server serves profiles until it is closed.
type Server struct {
	URL    string // of the index, as in http://127.0.0.1:6060/debug/pprof/
	server *http.Server
	done   sync.WaitGroup
}

// Check says whether profiles may be served at an address: it must name a loopback address and a port.
func Check(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%s: name host and port, as in 127.0.0.1:6060", addr)
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return fmt.Errorf("%s is reachable from outside: profiles are served on loopback only, as in 127.0.0.1:6060", addr)
	}
	return nil
}

// Serve listens and serves, and lets the process sample where goroutines block. The Server must be closed.
func Serve(ctx context.Context, addr string) (*Server, error) {
	if err := Check(addr); err != nil {
		return nil, err
	}
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("serve profiles: %w", err)
	}
	runtime.SetBlockProfileRate(blockRate)
	runtime.SetMutexProfileFraction(mutexFraction)
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	s := &Server{
		URL:    "http://" + l.Addr().String() + "/debug/pprof/",
		server: &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second},
	}
	s.done.Go(func() { // ends with Close
		if err := s.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			panic(fmt.Sprintf("profiles: %v", err)) // whoever asked for them must not wait for them in vain
		}
	})
	return s, nil
}

// Close ends it, and what it has under way.
func (s *Server) Close() error {
	err := s.server.Close()
	s.done.Wait()
	runtime.SetBlockProfileRate(0)
	runtime.SetMutexProfileFraction(0)
	return err
}
