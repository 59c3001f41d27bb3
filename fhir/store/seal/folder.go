package seal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"fhirhook/fhir/store/durable"
)

// MasterFile is where a master key stands that nobody chose: in the folder that it protects. That keeps secrets out
// of copies of single files, and not out of copies of the folder.
const MasterFile = "master.key"

const nextFile = MasterFile + ".next"

// FolderMaster returns the master key of a folder whose operator named none, and draws one if the folder has no
// data keys yet. It also ends a RekeyFolder that was cut short.
func FolderMaster(dir string) (Master, error) {
	path := filepath.Join(dir, MasterFile)
	m, err := ReadMaster(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return firstMaster(dir, path)
	case err != nil:
		return Master{}, err
	}
	if _, _, err = load(dir, m); !errors.Is(err, ErrMaster) {
		return m, err
	}
	next, nextErr := ReadMaster(filepath.Join(dir, nextFile))
	if nextErr != nil {
		return m, err
	}
	if _, _, err := load(dir, next); err != nil {
		return m, err
	}
	return next, settle(dir)
}

func firstMaster(dir, path string) (Master, error) {
	there, err := Exists(dir)
	switch {
	case err != nil:
		return Master{}, err
	case there:
		return Master{}, fmt.Errorf("%w: %s is missing: put it back, or name the key that its data keys were wrapped with by --key-file or FHIRHOOK_KEY", ErrMaster, path)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Master{}, fmt.Errorf("write the key: %w", err)
	}
	m := NewMaster()
	return m, WriteMaster(path, m)
}

// RekeyFolder is Rekey from one of a folder's own master keys to a new one.
func RekeyFolder(dir string, rekey func(from, to Master) error) error {
	from, err := FolderMaster(dir)
	if err != nil {
		return err
	}
	next := filepath.Join(dir, nextFile)
	if err := os.Remove(next); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("write the key: %w", err)
	}
	to := NewMaster()
	if err := WriteMaster(next, to); err != nil {
		return err
	}
	if err := rekey(from, to); err != nil {
		return err
	}
	return settle(dir)
}

// settle makes the next master key the folder's.
func settle(dir string) error {
	if err := durable.Rename(filepath.Join(dir, nextFile), filepath.Join(dir, MasterFile)); err != nil {
		return fmt.Errorf("write the key: %w", err)
	}
	return nil
}
