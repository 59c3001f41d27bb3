package listen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
	"unicode/utf8"
)

// largestBody is what a receiver reads of a notification.
const largestBody = 64 << 20

// Run receives until ctx ends. What it prints goes to w, one notification at a time.
func Run(ctx context.Context, o Options, w io.Writer) error {
	if err := o.Check(); err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", o.Addr, err)
	}
	url := "http://" + l.Addr().String()
	r := &receiver{options: o, w: w}
	if o.JSON {
		fmt.Fprintf(w, "{\"listening\":%q}\n", url)
	} else {
		fmt.Fprintf(w, "listening on %s\n\n", url)
	}
	if o.Ready != nil {
		o.Ready(url)
	}
	s := &http.Server{
		Handler: r, ReadHeaderTimeout: 10 * time.Second,
		// A request under way ends with the receiver: Delay must not hold it up.
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stopped := make(chan error, 1) // the one result of Shutdown
	stop := context.AfterFunc(ctx, func() {
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		stopped <- errors.Join(s.Shutdown(drain), s.Close())
	})
	err = s.Serve(l)
	if stop() { // Serve failed by itself
		return err
	}
	if err := <-stopped; err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// receiver answers and prints.
type receiver struct {
	options Options

	mu sync.Mutex // guards what follows; held while printing, so that blocks don't mix
	n  int
	w  io.Writer
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	now := time.Now()
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, largestBody))
	if err != nil {
		http.Error(w, "the body is too large or broke off", http.StatusBadRequest)
		return
	}
	n := read(req, body, r.options, now)
	if r.options.Body && utf8.Valid(body) {
		n.Body = string(body)
	}
	if !r.take(&n) {
		http.Error(w, "nowhere to print to", http.StatusInternalServerError)
		return
	}
	if r.options.Delay > 0 {
		select {
		case <-time.After(r.options.Delay):
		case <-req.Context().Done():
			panic(http.ErrAbortHandler) // no answer: a sender that still waits must not take it for a success
		}
	}
	w.WriteHeader(n.Status)
}

// take numbers a notification, decides its answer and prints it.
func (r *receiver) take(n *notification) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	n.Status = r.options.status(r.n)
	return n.print(r.w, r.options.JSON) == nil
}
