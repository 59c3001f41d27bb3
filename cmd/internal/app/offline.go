package app

import (
	"context"
	"net/http"
)

// Offline is a data folder that is worked on without a server: the whole FHIR endpoint over its store, but no
// listener, and nobody who matches or delivers. What is written meanwhile is matched when a server next starts.
type Offline struct{ server *Server }

// OpenOffline opens the data folder, which no server may be using; Options.Listen doesn't count. It must be closed.
func OpenOffline(ctx context.Context, o Options) (*Offline, error) {
	o.offline = true
	s, err := New(ctx, o)
	if err != nil {
		return nil, err
	}
	return &Offline{s}, nil
}

// ServeHTTP answers requests as the server would.
func (o *Offline) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.server.handler.ServeHTTP(w, r)
}

// BaseURL is what stands for [base] in requests to ServeHTTP.
func (o *Offline) BaseURL() string { return o.server.base }

// Close closes the store.
func (o *Offline) Close() error { return o.server.Close() }
