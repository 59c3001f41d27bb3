package bench

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/labstack/echo/v4"
	"go.etcd.io/bbolt"

	"fhirhook/fhir"
)

// floorSecret signs the floor's notifications.
const floorSecret = "floor-secret"

// inFlight is how many requests the server has under way per Subscription at most, and so has the floor.
const inFlight = 16

// Floor is the least that keeps the same promises: POST a body, make it durable in a group with its neighbours,
// answer; make durable that a notification is owed; sign and send it; make durable, in batches, that it is
// settled. It knows no FHIR: nothing is parsed, stamped, versioned, indexed or matched.
type Floor struct {
	resources, queue *bbolt.DB
	writes           chan *item
	owed             chan *item
	send             chan *item
	settled          chan *item
	endpoint         string // "": nobody is notified
	client           *http.Client
}

// item is one body on its way.
type item struct {
	id   string
	seq  uint64
	body []byte
	done chan error
}

// OpenFloor makes one in a folder.
func OpenFloor(dir, endpoint string) (*Floor, error) {
	f := &Floor{
		writes: make(chan *item, 4096), owed: make(chan *item, 1<<20), send: make(chan *item, 1<<20), settled: make(chan *item, 4096),
		endpoint: endpoint,
		client:   &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: inFlight, DisableCompression: true}},
	}
	var err error
	for name, db := range map[string]**bbolt.DB{"resources.db": &f.resources, "queue.db": &f.queue} {
		if *db, err = bbolt.Open(filepath.Join(dir, name), 0o600, &bbolt.Options{
			FreelistType: bbolt.FreelistMapType, NoFreelistSync: true, InitialMmapSize: 8 << 30,
		}); err != nil {
			return nil, fmt.Errorf("open the floor: %w", err)
		}
		if err := (*db).Update(func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucketIfNotExists(floorBucket)
			return err
		}); err != nil {
			return nil, err
		}
	}
	return f, nil
}

var floorBucket = []byte("rows")

// Serve serves on a listener until ctx ends.
func (f *Floor) Serve(ctx context.Context, l net.Listener) error {
	var wg sync.WaitGroup
	wg.Go(func() { f.group(ctx, f.resources, f.writes, (*bbolt.Bucket).Put, f.written) })
	wg.Go(func() { f.group(ctx, f.queue, f.owed, putKey, f.verdict) })
	wg.Go(func() {
		f.group(ctx, f.queue, f.settled, func(b *bbolt.Bucket, k, _ []byte) error { return b.Delete(k) }, func(*item) {})
	})
	for range inFlight {
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

func putKey(b *bbolt.Bucket, k, _ []byte) error { return b.Put(k, nil) }

// create is the write.
func (f *Floor) create(c echo.Context) error {
	body := bytes.NewBuffer(make([]byte, 0, c.Request().ContentLength+bytes.MinRead))
	if _, err := body.ReadFrom(c.Request().Body); err != nil {
		return err
	}
	i := &item{id: fhir.NewID(), body: body.Bytes(), done: make(chan error, 1)}
	f.writes <- i
	if err := <-i.done; err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderLocation, "/"+c.Param("type")+"/"+i.id+"/_history/1")
	return c.Blob(http.StatusCreated, "application/fhir+json", i.body)
}

// group makes durable, in one transaction, whatever has come while the last one was made durable. It stops
// when ctx ends.
func (f *Floor) group(ctx context.Context, db *bbolt.DB, in <-chan *item, put func(b *bbolt.Bucket, k, v []byte) error, then func(*item)) {
	var group []*item
	for {
		group = group[:0]
		select {
		case i := <-in:
			group = append(group, i)
		case <-ctx.Done():
			return
		}
		for more := true; more && len(group) < 1024; {
			select {
			case i := <-in:
				group = append(group, i)
			default:
				more = false
			}
		}
		err := db.Update(func(tx *bbolt.Tx) error {
			b := tx.Bucket(floorBucket)
			for _, i := range group {
				if i.seq == 0 {
					var err error
					if i.seq, err = b.NextSequence(); err != nil {
						return err
					}
				}
				if err := put(b, binary.BigEndian.AppendUint64(nil, i.seq), i.body); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			panic(fmt.Sprintf("the floor's disk: %v", err)) // it is a measuring stick: no figure is better than a wrong one
		}
		for _, i := range group {
			then(i)
		}
	}
}

// written answers a write and hands it on.
func (f *Floor) written(i *item) {
	if f.endpoint != "" {
		f.owed <- i
	}
	i.done <- nil
}

// verdict hands a notification on that is durable now.
func (f *Floor) verdict(i *item) { f.send <- i }

func (f *Floor) deliver(ctx context.Context) {
	for {
		select {
		case i := <-f.send:
			if err := f.post(ctx, i); err != nil && ctx.Err() == nil {
				panic(fmt.Sprintf("the floor's receiver: %v", err))
			}
			f.settled <- i
		case <-ctx.Done():
			return
		}
	}
}

// post signs and sends.
func (f *Floor) post(ctx context.Context, i *item) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.endpoint, bytes.NewReader(i.body))
	if err != nil {
		return err
	}
	mac := hmac.New(sha256.New, []byte(floorSecret))
	mac.Write(i.body)
	request.Header.Set("Content-Type", "application/fhir+json")
	request.Header.Set("X-Signature", hex.EncodeToString(mac.Sum(nil)))
	request.Header.Set(resourceHeader, "DiagnosticReport/"+i.id+"/_history/1")
	request.Header.Set("X-Fhirhook-Sequence", strconv.FormatUint(i.seq, 10))
	response, err := f.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}
