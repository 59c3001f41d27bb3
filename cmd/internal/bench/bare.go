package bench

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

// Bare is the least that delivers: it signs and POSTs bodies that are in memory, over connections that are kept,
// and makes one attempt record for each durable, in batches. It reads nothing, orders nothing and retries nothing.
type Bare struct {
	db       *bbolt.DB
	endpoint string
	client   *http.Client
	seq      uint64
}

// OpenBare makes one in a folder.
func OpenBare(dir, endpoint string) (*Bare, error) {
	db, err := bbolt.Open(filepath.Join(dir, "attempts.db"), 0o600, &bbolt.Options{
		FreelistType: bbolt.FreelistMapType, NoFreelistSync: true, InitialMmapSize: 1 << 30,
	})
	if err != nil {
		return nil, fmt.Errorf("open the bare loop: %w", err)
	}
	if err := db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(floorBucket)
		return err
	}); err != nil {
		return nil, err
	}
	return &Bare{
		db: db, endpoint: endpoint,
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: inFlight, DisableCompression: true}},
	}, nil
}

// Close ends it.
func (b *Bare) Close() error {
	b.client.CloseIdleConnections()
	return b.db.Close()
}

// record is what is kept of an attempt.
type record struct {
	seq      uint64
	began    time.Time
	duration time.Duration
	status   int
}

// value is what stands in the store of it.
func (r record) value() []byte {
	v := binary.AppendVarint(nil, r.began.UnixNano())
	return binary.AppendVarint(binary.AppendVarint(v, int64(r.duration)), int64(r.status))
}

// Deliver sends a body so many times, and returns when every attempt's record is durable.
func (b *Bare) Deliver(ctx context.Context, body []byte, times int) error {
	var senders, storing sync.WaitGroup
	work, records, failed := make(chan uint64, times), make(chan record, 4096), make(chan error, inFlight+1)
	for range times {
		b.seq++
		work <- b.seq
	}
	close(work)
	for range inFlight {
		senders.Go(func() { // until there is no more work
			for seq := range work {
				r, err := b.post(ctx, seq, body)
				if err != nil {
					failed <- err
					return
				}
				records <- r
			}
		})
	}
	storing.Go(func() { // until records is closed
		if err := b.store(records); err != nil {
			failed <- err
		}
	})
	senders.Wait()
	close(records)
	storing.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// store makes durable, in one transaction, whatever has come while the last one was made durable.
func (b *Bare) store(in <-chan record) error {
	for r := range in {
		batch := []record{r}
		for more := true; more && len(batch) < 1024; {
			select {
			case r, open := <-in:
				if more = open; open {
					batch = append(batch, r)
				}
			default:
				more = false
			}
		}
		err := b.db.Update(func(tx *bbolt.Tx) error {
			bucket := tx.Bucket(floorBucket)
			for _, r := range batch {
				if err := bucket.Put(binary.BigEndian.AppendUint64(nil, r.seq), r.value()); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			for range in { // let the senders end
			}
			return err
		}
	}
	return nil
}

// post signs and sends.
func (b *Bare) post(ctx context.Context, seq uint64, body []byte) (record, error) {
	began := time.Now()
	request, err := signed(ctx, b.endpoint, body)
	if err != nil {
		return record{}, err
	}
	response, err := b.client.Do(request)
	if err != nil {
		return record{}, err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return record{}, err
	}
	return record{seq, began, time.Since(began), response.StatusCode}, nil
}

// signed is a POST of a body with its signature.
func signed(ctx context.Context, endpoint string, body []byte) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, []byte(floorSecret))
	mac.Write(body)
	request.Header.Set("Content-Type", "application/fhir+json")
	request.Header.Set("X-Signature", hex.EncodeToString(mac.Sum(nil)))
	return request, nil
}
