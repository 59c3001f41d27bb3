package seal

import (
	"crypto/cipher"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"fhirhook/fhir/store/durable"
)

// KeysFile is the name of the file with the wrapped data keys, in the folder of the store.
const KeysFile = "keys.json"

// keyAge is how old a data key may be when a store is opened, before another takes its place.
const keyAge = 30 * 24 * time.Hour

// ErrMaster says that the master key is not the one that a folder's data keys are wrapped with.
var ErrMaster = errors.New("the key does not belong to this data folder")

// keysFile is what KeysFile holds.
type keysFile struct {
	Format int       `json:"format"`
	Keys   []wrapped `json:"keys"`
}

const format = 1

// wrapped is a data key that only the master key opens.
type wrapped struct {
	ID      uint32    `json:"id"` // from 1
	Created time.Time `json:"created"`
	Key     []byte    `json:"key"`
}

// about binds a wrapped key to its number.
func (w wrapped) about() []byte {
	return []byte("fhirhook data key " + strconv.FormatUint(uint64(w.ID), 10))
}

// Exists tells whether a folder has data keys, so that its master key has to be known.
func Exists(dir string) (bool, error) {
	_, err := os.Stat(filepath.Join(dir, KeysFile))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Open reads the data keys of a folder and adds one if there is none, or none that is young enough. The error is an
// ErrMaster if the master key is another than they were wrapped with.
func Open(dir string, m Master, now time.Time) (*Ring, error) {
	file, keys, err := load(dir, m)
	if err != nil {
		return nil, err
	}
	if n := len(file.Keys); n == 0 || now.Sub(file.Keys[n-1].Created) > keyAge {
		keys = append(keys, newKey())
		file.add(m, keys[len(keys)-1], now)
		if err := file.write(dir); err != nil {
			return nil, err
		}
	}
	return ringOf(file, keys), nil
}

// OpenOnly is Open for whoever changes nothing: the folder must have data keys.
func OpenOnly(dir string, m Master) (*Ring, error) {
	file, keys, err := load(dir, m)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s is not in %s", KeysFile, dir)
	}
	return ringOf(file, keys), nil
}

// Rekey wraps the data keys of a folder with another master key, and adds a data key for what is written from now
// on. It either happens or doesn't, whenever the process ends.
func Rekey(dir string, from, to Master, now time.Time) error {
	file, keys, err := load(dir, from)
	if err != nil {
		return err
	}
	fresh := keysFile{Format: format}
	for i, key := range keys {
		fresh.wrap(to, file.Keys[i].ID, key, file.Keys[i].Created)
	}
	fresh.add(to, newKey(), now)
	return fresh.write(dir)
}

func ringOf(file keysFile, keys [][]byte) *Ring {
	r := &Ring{}
	for i, key := range keys {
		r.set(file.Keys[i].ID, key)
	}
	return r
}

func (r *Ring) set(id uint32, key []byte) {
	if r.keys == nil {
		r.keys = map[uint32]cipher.AEAD{}
	}
	r.keys[id] = aead(key)
	r.newest = max(r.newest, id)
}

// load reads and unwraps; a folder without the file has no keys.
func load(dir string, m Master) (file keysFile, keys [][]byte, err error) {
	path := filepath.Join(dir, KeysFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return keysFile{Format: format}, nil, nil
	}
	if err != nil {
		return file, nil, fmt.Errorf("read the data keys: %w", err)
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return file, nil, fmt.Errorf("%s is damaged, and without it nothing encrypted can be read: put it back from a backup: %w", path, err)
	}
	if file.Format != format {
		return file, nil, fmt.Errorf("%s has format %d, and this version knows %d", path, file.Format, format)
	}
	master := aead(m.key[:])
	for i, w := range file.Keys {
		if w.ID == 0 || i > 0 && w.ID <= file.Keys[i-1].ID {
			return file, nil, fmt.Errorf("%s is damaged: its keys are out of order: put it back from a backup", path)
		}
		key, err := master.Open(nil, nil, w.Key, w.about())
		if err != nil || len(key) != masterSize {
			return file, nil, fmt.Errorf("%w: it doesn't open %s", ErrMaster, path)
		}
		keys = append(keys, key)
	}
	return file, keys, nil
}

func (f *keysFile) add(m Master, key []byte, now time.Time) {
	id := uint32(1)
	if n := len(f.Keys); n > 0 {
		id = f.Keys[n-1].ID + 1
	}
	f.wrap(m, id, key, now)
}

func (f *keysFile) wrap(m Master, id uint32, key []byte, created time.Time) {
	w := wrapped{ID: id, Created: created.UTC().Truncate(time.Second)}
	w.Key = aead(m.key[:]).Seal(nil, nil, key, w.about())
	f.Keys = append(f.Keys, w)
}

// write replaces the file as a whole.
func (f *keysFile) write(dir string) error {
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("write the data keys: %w", err)
	}
	path := filepath.Join(dir, KeysFile)
	if err := replace(path, append(text, '\n')); err != nil {
		return fmt.Errorf("write the data keys: %w", err)
	}
	return nil
}

// replace writes a file under another name first, so that it is never half written under its own.
func replace(path string, text []byte) error {
	fresh := path + ".new"
	f, err := os.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return durable.Rename(fresh, path)
}
