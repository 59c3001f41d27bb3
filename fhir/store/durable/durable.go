// Package durable makes names of files outlast a power failure. Syncing a file makes its bytes durable, and not its name:
// that is part of the folder, which has to be synced as well whenever a file in it was made, renamed or removed, before
// anything relies on that.
package durable

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// Folder makes durable which files are in a folder, and under which names. An error means that nobody knows whether they are.
func Folder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil && !needless(err) {
		return errors.Join(err, d.Close())
	}
	return d.Close()
}

// Rename gives a file another name in its folder, of which it may deprive another file, and makes that durable. The bytes of
// the file must be synced before.
func Rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return Folder(filepath.Dir(to))
}

// needless tells whether a system refused to sync a folder because it syncs none: some network file systems (EINVAL,
// ENOTSUP; fsync(2)), and Windows, which opens folders for reading only.
func needless(err error) bool {
	return errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) || errors.Is(err, os.ErrPermission)
}
