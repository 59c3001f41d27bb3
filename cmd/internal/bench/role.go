package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"fhirhook/cmd/internal/profile"
)

// The roles that a process of the benchmark can have, beside the server's, which is `fhirhook serve`.
const (
	roleFloor   = "floor"
	roleReceive = "receive"
	roleLoad    = "load"
)

// floorRole are the options of the floor's process.
type floorRole struct {
	Floor FloorOptions
	Pprof string // address for profiles; "": none
}

// receiveRole are the options of the receivers' process.
type receiveRole struct {
	Listen    string
	Receivers ReceiversOptions
}

// loadRole are the options of the load's process.
type loadRole struct {
	URL         string
	Body, Quiet []byte
	Match       float64
	Writers     int
}

// ServeRole is the main function of a process of the benchmark: it prints a line that ends with its address and
// serves until ctx or its input ends. options is JSON, as Arms give it.
func ServeRole(ctx context.Context, role, options string, in io.Reader, out io.Writer) error {
	switch role {
	case roleFloor:
		return serveFloor(ctx, options, in, out)
	case roleReceive:
		return serveReceivers(ctx, options, in, out)
	case roleLoad:
		return serveLoad(ctx, options, in, out)
	default:
		return fmt.Errorf("%q is no role of a benchmark", role)
	}
}

func serveFloor(ctx context.Context, options string, in io.Reader, out io.Writer) (err error) {
	var o floorRole
	if err := json.Unmarshal([]byte(options), &o); err != nil {
		return fmt.Errorf("options of the floor: %w", err)
	}
	f, err := OpenFloor(o.Floor)
	if err != nil {
		return err
	}
	l, err := listen(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "the floor serves http://"+l.Addr().String())
	ctx, end := context.WithCancel(ctx)
	defer end()
	if o.Pprof != "" {
		profiles, failed := profile.Serve(ctx, o.Pprof)
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, profiles.Close()) }()
		fmt.Fprintln(out, "profiles: "+profiles.URL)
	}
	go func() { // ends with the input, that is with the parent
		_, _ = io.Copy(io.Discard, in)
		end()
	}()
	return f.Serve(ctx, l)
}

func serveReceivers(ctx context.Context, options string, in io.Reader, out io.Writer) (err error) {
	var o receiveRole
	if err := json.Unmarshal([]byte(options), &o); err != nil {
		return fmt.Errorf("options of the receivers: %w", err)
	}
	r, err := OpenReceivers(ctx, o.Listen, o.Receivers)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	fmt.Fprintln(out, "receivers serve", r.URL)
	for _, url := range r.Hanging {
		fmt.Fprintln(out, "hanging:", url)
	}
	return obey(in, out, func(o order, _ func(answer)) (answer, error) {
		switch {
		case o.Count:
			return answer{Came: r.count()}, nil
		case o.Collect:
			return answer{Came: r.collect()}, nil
		default:
			return answer{}, errors.New("receivers have nothing to do with that order")
		}
	})
}

// progressEvery is how often a load tells how far it is.
const progressEvery = 200 * time.Millisecond

func serveLoad(ctx context.Context, options string, in io.Reader, out io.Writer) error {
	var o loadRole
	if err := json.Unmarshal([]byte(options), &o); err != nil {
		return fmt.Errorf("options of the load: %w", err)
	}
	load := NewLoad(o.URL, o.Body, o.Writers)
	load.Quiet, load.Match, load.Token = o.Quiet, o.Match, os.Getenv(tokenVariable)
	fmt.Fprintln(out, "the load goes to", o.URL)
	return obey(in, out, func(order order, tell func(answer)) (answer, error) {
		if order.Load == nil {
			return answer{}, errors.New("the load has nothing to do with that order")
		}
		before := load.Written()
		var telling sync.WaitGroup
		done := make(chan struct{})
		telling.Go(func() { // until done
			tick := time.NewTicker(progressEvery)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					tell(answer{Written: load.Written() - before})
				case <-done:
					return
				}
			}
		})
		var acks []Ack
		var err error
		if l := order.Load; l.Rate > 0 {
			acks, err = load.Open(ctx, o.Writers, l.Rate, l.During)
		} else {
			acks, err = load.Closed(ctx, o.Writers, l.During, l.Most)
		}
		close(done)
		telling.Wait()
		a := answer{Written: len(acks), Acks: make([]ack, len(acks))}
		for i, one := range acks {
			a.Acks[i] = ack{one.ID, one.Due.UnixNano(), one.At.UnixNano(), one.Took, one.Quiet}
		}
		return a, err
	})
}

func listen(ctx context.Context, addr string) (net.Listener, error) {
	var l net.ListenConfig
	return l.Listen(ctx, "tcp", addr)
}
