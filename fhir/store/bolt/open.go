package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"go.etcd.io/bbolt"

	"fhirhook/fhir/store/durable"
)

// Options change how a store works. The zero value is right.
type Options struct {
	Clock       func() time.Time // nil: time.Now
	Sealing     Sealing          // which rows are encrypted; zero: none
	LockTimeout time.Duration    // how long to wait for another process to let go; 0: three seconds

	maxSize int  // of a file in bytes, so that tests can fill a disk; 0: no limit
	noSync  bool // not durable, for tests of everything else
	copying int  // bytes of one transaction of Compact; 0: usualCopying
	tray    int  // lines of a tray of the attempt log; 0: usualTray
}

// Open opens the store in a folder, or makes a new one if neither the folder nor a file of the store is
// there. What can't be used, because it is damaged, incomplete, newer or in use, is left untouched, and
// the error says what to do.
func Open(dir string, opts Options) (*DB, error) {
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.LockTimeout <= 0 {
		opts.LockTimeout = defaultLockTimeout
	}
	if opts.tray <= 0 {
		opts.tray = usualTray
	}
	epoch, err := prepare(dir, opts)
	if err != nil {
		return nil, err
	}
	resources, err := resourcesHalf.open(filepath.Join(dir, resourcesHalf.name), opts)
	if err != nil {
		return nil, err
	}
	queue, err := queueHalf.open(filepath.Join(dir, queueHalf.name), opts)
	if err != nil {
		return nil, errors.Join(err, resources.Close())
	}
	opened, err := noteOpening(queue)
	if err == nil {
		err = removeLeftovers(dir)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the store in %s: %w", dir, err), resources.Close(), queue.Close())
	}
	index, err := openIndex(dir, epoch, opts)
	if err != nil {
		return nil, errors.Join(err, resources.Close(), queue.Close())
	}
	db := start(dir, epoch, opened, resources, queue, index, opts)
	if err := db.countBehind(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the store in %s: %w", dir, err), db.Close())
	}
	return db, nil
}

// prepare makes sure that both files are there and fit together, and returns their epoch.
func prepare(dir string, opts Options) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("open the store: %w", err)
	}
	resourcesPath, queuePath := filepath.Join(dir, resourcesHalf.name), filepath.Join(dir, queueHalf.name)
	haveResources, err := exists(resourcesPath)
	if err != nil {
		return "", err
	}
	haveQueue, err := exists(queuePath)
	switch {
	case err != nil:
		return "", err
	case !haveResources && !haveQueue:
		return create(dir, opts)
	case !haveQueue:
		return "", missing(dir, resourcesHalf, queueHalf)
	}
	queue, err := queueHalf.inspect(queuePath, opts)
	if err != nil {
		return "", err
	}
	if !haveResources {
		if queue.complete {
			return "", missing(dir, queueHalf, resourcesHalf)
		}
		// The making of the store was cut short between the two files, and nothing was written yet.
		if err := os.Remove(queuePath); err != nil {
			return "", fmt.Errorf("open the store: %w", err)
		}
		return create(dir, opts)
	}
	resources, err := resourcesHalf.inspect(resourcesPath, opts)
	if err != nil {
		return "", err
	}
	if resources.epoch != queue.epoch {
		return "", fmt.Errorf("open the store in %s: %s and %s belong to different stores (epochs %s and %s): put the two that belong together in one folder",
			dir, resourcesHalf.name, queueHalf.name, resources.epoch, queue.epoch)
	}
	return resources.epoch, nil
}

func missing(dir string, have, lost half) error {
	return fmt.Errorf("open the store in %s: %s is there and %s is missing: put both files of one store, from one copy, in the folder",
		dir, have.name, lost.name)
}

// create makes both files under other names first, so that none is ever half written under its own.
// queue.db comes first and is marked complete when resources.db exists: alone and without the mark it is
// known to be empty (prepare).
func create(dir string, opts Options) (string, error) {
	epoch := uuid.NewString()
	for _, h := range []half{queueHalf, resourcesHalf} {
		path := filepath.Join(dir, h.name)
		if err := os.Remove(path + ".new"); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("make a store: %w", err)
		}
		if err := h.make(path+".new", epoch, opts); err != nil {
			return "", err
		}
	}
	for _, h := range []half{queueHalf, resourcesHalf} {
		path := filepath.Join(dir, h.name)
		rename := durable.Rename
		if opts.noSync {
			rename = os.Rename
		}
		if err := rename(path+".new", path); err != nil {
			return "", fmt.Errorf("make a store: %w", err)
		}
	}
	return epoch, nil
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, os.ErrNotExist):
		return false, nil
	default:
		return false, fmt.Errorf("open the store: %w", err)
	}
}

// noteOpening counts openings, so that the tokens of leases rise over restarts.
func noteOpening(queue *bbolt.DB) (opened uint32, err error) {
	err = queue.Update(func(tx *bbolt.Tx) error {
		meta := tx.Bucket([]byte(metaBucket))
		if v := meta.Get(metaOpened); len(v) == 4 {
			opened = binary.BigEndian.Uint32(v)
		}
		opened++
		return errors.Join(
			meta.Put(metaOpened, binary.BigEndian.AppendUint32(nil, opened)),
			meta.Put(metaComplete, []byte("1")))
	})
	return opened, err
}
