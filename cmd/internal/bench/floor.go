package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"go.etcd.io/bbolt"

	"fhirhook/fhir"
)

// floorSecret signs the floor's notifications.
const floorSecret = "floor-secret"

// The server has so many requests under way per Subscription at most, and so many per endpoint origin; and so
// has the floor, whose receivers are one origin.
const (
	inFlight       = 16
	inFlightOrigin = 64
)

// FloorOptions say where the floor keeps its files, and whom it notifies.
type FloorOptions struct {
	Data     string
	Endpoint string // "": nobody is notified
	FanOut   int    // notifications of each write
}

// Floor is the least that keeps the same promises: POST a body, make it durable in a group with its neighbours,
// answer; make durable what is owed; sign and send it, and again if it fails; make durable, in batches, an attempt
// record and that nothing is owed any more. It knows no FHIR: nothing is parsed, stamped, versioned, indexed or matched.
// Each of its two files has one committer, so that verdicts and results share their groups.
type Floor struct {
	o                FloorOptions
	resources, queue *bbolt.DB
	writes           chan *item
	steps            chan step
	due              backlog
	client           *http.Client
}

// item is one body on its way.
type item struct {
	id    string
	seq   uint64
	body  []byte
	quiet bool
	done  chan error
}

// notice is one notification of an item.
type notice struct {
	*item
	subscription int
	tries        int
}

func (n notice) key() []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, n.seq), uint32(n.subscription))
}

// step is a row of the queue's next group: a verdict, where owing is set, or else the result of an attempt.
type step struct {
	owing *item
	of    notice
	result
}

type result struct {
	record
	delivered bool
}

// OpenFloor makes one, or opens one that was made.
func OpenFloor(o FloorOptions) (*Floor, error) {
	f := &Floor{
		o: o, writes: make(chan *item, 4096), steps: make(chan step, 4096), due: backlog{come: make(chan struct{}, 1)},
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: inFlightOrigin, DisableCompression: true}},
	}
	for _, file := range []struct {
		name    string
		db      **bbolt.DB
		buckets [][]byte
	}{
		{"resources.db", &f.resources, [][]byte{floorBucket}},
		{"queue.db", &f.queue, [][]byte{owedBucket, attemptBucket}},
	} {
		db, err := bbolt.Open(filepath.Join(o.Data, file.name), 0o600, &bbolt.Options{
			FreelistType: bbolt.FreelistMapType, NoFreelistSync: true, InitialMmapSize: 8 << 30,
		})
		if err != nil {
			return nil, fmt.Errorf("open the floor: %w", err)
		}
		*file.db = db
		if err := db.Update(func(tx *bbolt.Tx) error {
			for _, name := range file.buckets {
				if _, err := tx.CreateBucketIfNotExists(name); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return nil, fmt.Errorf("open the floor: %w", err)
		}
	}
	return f, nil
}

var floorBucket, owedBucket, attemptBucket = []byte("rows"), []byte("owed"), []byte("attempts")

// Serve serves on a listener until ctx ends.
func (f *Floor) Serve(ctx context.Context, l net.Listener) error {
	var wg sync.WaitGroup
	wg.Go(func() { grouped(ctx, f.resources, f.writes, f.write, func(i *item) { f.written(ctx, i) }) })
	wg.Go(func() { grouped(ctx, f.queue, f.steps, f.put, f.stepped) })
	senders := 0
	if f.o.Endpoint != "" {
		senders = min(inFlight*f.o.FanOut, inFlightOrigin)
	}
	for range senders {
		wg.Go(func() { f.deliver(ctx) }) // ends with ctx
	}
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.POST("/:type", f.create)
	server := &http.Server{Handler: e} //nolint:gosec // it talks to nobody but the load beside it
	context.AfterFunc(ctx, func() { _ = server.Close() })
	err := server.Serve(l)
	wg.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return errors.Join(err, f.resources.Close(), f.queue.Close())
}

// create is the write.
func (f *Floor) create(c echo.Context) error {
	body := bytes.NewBuffer(make([]byte, 0, c.Request().ContentLength+bytes.MinRead))
	if _, err := body.ReadFrom(c.Request().Body); err != nil {
		return err
	}
	i := &item{id: fhir.NewID(), body: body.Bytes(), quiet: c.Request().Header.Get(quietHeader) != "", done: make(chan error, 1)}
	f.writes <- i
	if err := <-i.done; err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderLocation, "/"+c.Param("type")+"/"+i.id+"/_history/1")
	return c.Blob(http.StatusCreated, "application/fhir+json", i.body)
}

// grouped makes durable, in one transaction, whatever has come while the last one was made durable. It stops
// when ctx ends.
func grouped[T any](ctx context.Context, db *bbolt.DB, in <-chan T, put func(*bbolt.Tx, T) error, then func(T)) {
	const most = 1024
	var group []T
	for {
		group = group[:0]
		select {
		case one := <-in:
			group = append(group, one)
		case <-ctx.Done():
			return
		}
		for more := true; more && len(group) < most; {
			select {
			case one := <-in:
				group = append(group, one)
			default:
				more = false
			}
		}
		err := db.Update(func(tx *bbolt.Tx) error {
			for _, one := range group {
				if err := put(tx, one); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			panic(fmt.Sprintf("the floor's disk: %v", err)) // it is a measuring stick: no figure is better than a wrong one
		}
		for _, one := range group {
			then(one)
		}
	}
}

func (f *Floor) write(tx *bbolt.Tx, i *item) (err error) {
	b := tx.Bucket(floorBucket)
	if i.seq == 0 {
		if i.seq, err = b.NextSequence(); err != nil {
			return err
		}
	}
	return b.Put(binary.BigEndian.AppendUint64(nil, i.seq), i.body)
}

// written hands a write on and answers it.
func (f *Floor) written(ctx context.Context, i *item) {
	if f.o.Endpoint != "" && !i.quiet {
		select {
		case f.steps <- step{owing: i}:
		case <-ctx.Done():
		}
	}
	i.done <- nil
}

func (f *Floor) put(tx *bbolt.Tx, s step) error {
	owed := tx.Bucket(owedBucket)
	if s.owing != nil {
		for subscription := range f.o.FanOut {
			if err := owed.Put(notice{item: s.owing, subscription: subscription}.key(), nil); err != nil {
				return err
			}
		}
		return nil
	}
	key := s.of.key()
	if s.delivered {
		if err := owed.Delete(key); err != nil {
			return err
		}
	}
	return tx.Bucket(attemptBucket).Put(append(key, byte(s.of.tries)), s.value())
}

// stepped hands notifications on that are durable now, and what failed once more, later.
func (f *Floor) stepped(s step) {
	switch {
	case s.owing != nil:
		for subscription := range f.o.FanOut {
			f.due.push(notice{item: s.owing, subscription: subscription})
		}
	case !s.delivered:
		again := s.of
		again.tries++
		time.AfterFunc(time.Second<<min(s.of.tries, 12), func() { f.due.push(again) }) // the server's ladder: 1 s ×2, at most about an hour
	}
}

func (f *Floor) deliver(ctx context.Context) {
	for {
		n, ok := f.due.pop(ctx)
		if !ok {
			return
		}
		r, err := f.post(ctx, n)
		if err != nil && ctx.Err() == nil {
			panic(fmt.Sprintf("the floor's receiver: %v", err))
		}
		select {
		case f.steps <- step{of: n, result: r}:
		case <-ctx.Done():
			return
		}
	}
}

// post signs and sends.
func (f *Floor) post(ctx context.Context, n notice) (result, error) {
	began := time.Now()
	request, err := signed(ctx, f.o.Endpoint, n.body)
	if err != nil {
		return result{}, err
	}
	seq := strconv.FormatUint(n.seq, 10)
	request.Header.Set(resourceHeader, "DiagnosticReport/"+n.id+"/_history/1")
	request.Header.Set("Webhook-Id", seq+"-"+strconv.Itoa(n.subscription))
	request.Header.Set("X-Fhirhook-Sequence", seq)
	response, err := f.client.Do(request)
	if err != nil {
		return result{}, err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return result{}, err
	}
	status := response.StatusCode
	return result{record{n.seq, began, time.Since(began), status}, status >= 200 && status < 300}, nil
}

// backlog is a queue without a bound.
type backlog struct {
	mu      sync.Mutex // guards waiting
	waiting []notice
	come    chan struct{} // holds one if there may be something
}

func (b *backlog) push(n notice) {
	b.mu.Lock()
	b.waiting = append(b.waiting, n)
	b.mu.Unlock()
	b.wake()
}

func (b *backlog) wake() {
	select {
	case b.come <- struct{}{}:
	default:
	}
}

// pop waits for the first; false: ctx ended.
func (b *backlog) pop(ctx context.Context) (n notice, ok bool) {
	for {
		b.mu.Lock()
		if len(b.waiting) > 0 {
			n, b.waiting = b.waiting[0], b.waiting[1:]
			more := len(b.waiting) > 0
			b.mu.Unlock()
			if more {
				b.wake()
			}
			return n, true
		}
		b.mu.Unlock()
		select {
		case <-b.come:
		case <-ctx.Done():
			return n, false
		}
	}
}
