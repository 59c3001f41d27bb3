package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// format is the version of the layout that new files get. A resources.db gets purgedFormat with its first purge, for
// programs from before would take purged rows for damage, and a queue.db gets trayFormat with its first tray.
const (
	format       = 1
	purgedFormat = 2
)

// The keys of the meta bucket, in text.
var (
	metaFormat   = []byte("format")
	metaEpoch    = []byte("epoch")
	metaHalf     = []byte("half")     // which file it is, so that swapped files are noticed
	metaComplete = []byte("complete") // in queue.db: its twin exists since
	metaOpened   = []byte("opened")   // in queue.db: how often the store was opened, the upper half of lease tokens
)

// half is one of the two files.
type half struct {
	name    string // resources.db
	newest  int    // the newest format that is understood
	buckets []string
	mmap    int // InitialMmapSize: far above any file, for growing the map waits for readers
	// A synced freelist makes opening a big file quick; without one commits stay cheap after mass deletes,
	// and opening reads the whole file, which must therefore stay small.
	noFreelistSync bool
}

const gib = 1 << 30

var (
	resourcesHalf = half{
		name: "resources.db", newest: purgedFormat, mmap: reserve(256),
		buckets: []string{logBucket, versionBucket, typeBucket, tenantBucket, requestBucket},
	}
	queueHalf = half{
		name: "queue.db", newest: trayFormat, mmap: reserve(64), noFreelistSync: true,
		buckets: []string{cursorBucket, laneBucket, owedBucket, waitingBucket, numberBucket, jobBucket, attemptBucket},
	}
)

// reserve is address space in GiB where there is plenty and reserving it doesn't make the file as large.
func reserve(n int64) int {
	if runtime.GOOS == "windows" || math.MaxInt == math.MaxInt32 {
		return 0
	}
	return int(n * gib)
}

func (h half) open(path string, opts Options) (*bbolt.DB, error) {
	o := &bbolt.Options{
		Timeout: opts.LockTimeout, NoFreelistSync: h.noFreelistSync, FreelistType: bbolt.FreelistMapType,
		InitialMmapSize: h.mmap, MaxSize: opts.maxSize, NoSync: opts.noSync,
	}
	db, err := guarded(func() (*bbolt.DB, error) { return bbolt.Open(path, 0o600, o) })
	if errors.Is(err, syscall.ENOMEM) { // the address space is limited: do without the reserve
		o.InitialMmapSize = 0
		db, err = guarded(func() (*bbolt.DB, error) { return bbolt.Open(path, 0o600, o) })
	}
	if err != nil {
		return nil, h.explain(path, err)
	}
	return db, nil
}

// make writes a new, empty file.
func (h half) make(path, epoch string, opts Options) error {
	db, err := h.open(path, opts)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range h.buckets {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		meta, err := tx.CreateBucketIfNotExists([]byte(metaBucket))
		if err != nil {
			return err
		}
		return errors.Join(
			meta.Put(metaFormat, strconv.AppendInt(nil, format, 10)),
			meta.Put(metaEpoch, []byte(epoch)),
			meta.Put(metaHalf, []byte(h.name)))
	})
	return errors.Join(err, db.Close())
}

// header is what a file says of itself.
type header struct {
	epoch    string
	complete bool
}

// inspect reads a file without changing it and tells whether it can be opened for writing.
func (h half) inspect(path string, opts Options) (header, error) {
	head, err := guarded(func() (header, error) {
		info, err := os.Stat(path)
		if err != nil {
			return header{}, err
		}
		if !info.Mode().IsRegular() {
			return header{}, errors.New("it is not a file")
		}
		if info.Size() == 0 { // bbolt would begin a new file in its place
			return header{}, errors.New("it is empty")
		}
		if h.walksWhole(info.Size()) {
			readAhead(path)
		}
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{
			ReadOnly: true, Timeout: opts.LockTimeout, FreelistType: bbolt.FreelistMapType,
		})
		if err != nil {
			return header{}, err
		}
		defer func() { _ = db.Close() }()
		var head header
		err = db.View(func(tx *bbolt.Tx) error {
			if tx.Size() > info.Size() {
				return fmt.Errorf("it has %d bytes and should have %d: its end is missing", info.Size(), tx.Size())
			}
			head, err = h.readHeader(tx)
			if err == nil {
				err = h.walk(tx, info.Size())
			}
			return err
		})
		return head, err
	})
	if err != nil {
		return header{}, h.explain(path, err)
	}
	return head, nil
}

func (h half) readHeader(tx *bbolt.Tx) (header, error) {
	meta := tx.Bucket([]byte(metaBucket))
	if meta == nil {
		return header{}, errors.New("it was not made by fhirhook")
	}
	version, err := strconv.Atoi(string(meta.Get(metaFormat)))
	switch {
	case err != nil || version < 1:
		return header{}, fmt.Errorf("its format is %q, which is no number", meta.Get(metaFormat))
	case version > h.newest:
		return header{}, fmt.Errorf("its format is %d, and this program knows formats up to %d: run the newer fhirhook that made it", version, h.newest)
	case string(meta.Get(metaHalf)) != h.name:
		return header{}, fmt.Errorf("it is a %s under another name", meta.Get(metaHalf))
	case len(meta.Get(metaEpoch)) == 0:
		return header{}, errors.New("it has no epoch")
	}
	for _, name := range h.buckets {
		if tx.Bucket([]byte(name)) == nil {
			return header{}, fmt.Errorf("its bucket %q is missing", name)
		}
	}
	return header{epoch: string(meta.Get(metaEpoch)), complete: meta.Get(metaComplete) != nil}, nil
}

// walkAll is up to which size a file is read whole before it is opened.
const walkAll = 64 << 20

func (h half) walksWhole(size int64) bool { return size <= walkAll || h.noFreelistSync }

// walk visits every page of a file that is small, or whose opening reads every page anyway; of a big one
// the ends of each bucket. A damaged page makes bbolt panic, which guarded turns into an error.
func (h half) walk(tx *bbolt.Tx, size int64) error {
	whole := h.walksWhole(size)
	return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
		return walkBucket(string(name), b, whole)
	})
}

func walkBucket(name string, b *bbolt.Bucket, whole bool) error {
	c := b.Cursor()
	if !whole {
		c.First()
		c.Last()
		return nil
	}
	var last []byte
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if last != nil && bytes.Compare(k, last) <= 0 { // or a cycle of pages would never end
			return fmt.Errorf("the keys of its bucket %q are out of order", name)
		}
		last = k
		if v != nil {
			continue
		}
		if nested := b.Bucket(k); nested != nil {
			if err := walkBucket(name+"/"+string(k), nested, whole); err != nil {
				return err
			}
		}
	}
	return nil
}

// explain says what to do about a file that can't be opened.
func (h half) explain(path string, err error) error {
	dir := filepath.Dir(path)
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("the store in %s is in use by another process: stop that one, or use another folder", dir)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("open the store in %s: %w", dir, err)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		err = fmt.Errorf("it is damaged, or not a store's file (%w)", err)
	}
	return fmt.Errorf("open the store in %s: %s can't be used and was left as it is: %w", dir, h.name, err)
}

// guarded turns a panic over damaged pages, and a fault beyond the end of the file, into an error.
func guarded[T any](fn func() (T, error)) (out T, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("it is damaged (%v)", v)
		}
	}()
	return fn()
}

// defaultLockTimeout is enough for a predecessor that is just closing, on a busy machine.
const defaultLockTimeout = 3 * time.Second
