package app

import (
	"errors"
	"fmt"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store/bolt"
	"fhirhook/fhir/store/seal"
)

// Keys says where the master key of a data folder comes from: from a file, from a text, or, with the zero value, from
// the folder itself.
type Keys struct {
	File string
	Text string `json:"-"` // of an environment variable
}

// master finds the master key of a folder. ok is false if nobody names one.
func (k Keys) master() (m seal.Master, ok bool, err error) {
	switch {
	case k.File != "" && k.Text != "":
		return m, false, errors.New("--key-file and FHIRHOOK_KEY both name a key: leave one out")
	case k.File != "":
		m, err = seal.ReadMaster(k.File)
		return m, true, err
	case k.Text != "":
		if m, err = seal.ParseMaster(k.Text); err != nil {
			err = fmt.Errorf("FHIRHOOK_KEY: %w", err)
		}
		return m, true, err
	default:
		return m, false, nil
	}
}

// of is the master key of a folder, its own if nobody names one.
func (k Keys) of(dir string) (seal.Master, error) {
	m, named, err := k.master()
	switch {
	case err != nil:
		return m, fmt.Errorf("%w: %w", ErrConfiguration, err)
	case !named:
		m, err = seal.FolderMaster(dir)
		return m, keyProblem(err)
	default:
		return m, nil
	}
}

// sealing opens the data keys of a folder. Subscriptions are always encrypted, for they hold secrets; whatever else
// is stored is if all is set.
func (k Keys) sealing(dir string, all bool) (bolt.Sealing, error) {
	m, err := k.of(dir)
	if err != nil {
		return bolt.Sealing{}, err
	}
	ring, err := seal.Open(dir, m, time.Now())
	if err != nil {
		return bolt.Sealing{}, keyProblem(err)
	}
	return bolt.Sealing{Ring: ring, Types: func(t fhir.Type) bool { return all || t == fhir.Subscription }}, nil
}

// reading is sealing for whoever only reads: it makes no key.
func (k Keys) reading(dir string) (bolt.Sealing, error) {
	there, err := seal.Exists(dir)
	if err != nil || !there {
		return bolt.Sealing{}, err
	}
	m, err := k.of(dir)
	if err != nil {
		return bolt.Sealing{}, err
	}
	ring, err := seal.OpenOnly(dir, m)
	return bolt.Sealing{Ring: ring}, keyProblem(err)
}

// keyProblem marks what the operator mends by naming another key.
func keyProblem(err error) error {
	if errors.Is(err, seal.ErrMaster) {
		return fmt.Errorf("%w: %w: start with the key that this folder was used with, by --key-file or FHIRHOOK_KEY", ErrConfiguration, err)
	}
	return err
}

// Rekey gives a data folder that no server is using another master key: to, or with nobody naming one a new one of
// the folder's own. Whatever was written stays readable, with the new key alone.
func Rekey(dir string, from, to Keys) error {
	if there, err := seal.Exists(dir); err != nil {
		return err
	} else if !there {
		return fmt.Errorf("%w: %s has no %s: nothing in it is encrypted", ErrConfiguration, dir, seal.KeysFile)
	}
	db, err := bolt.Open(dir, bolt.Options{}) // it fails while a server uses the folder
	if err != nil {
		return err
	}
	return errors.Join(rekey(dir, from, to), db.Close())
}

func rekey(dir string, from, to Keys) error {
	next, named, err := to.master()
	if err != nil {
		return fmt.Errorf("%w: the new key: %w", ErrConfiguration, err)
	}
	old, given, err := from.master()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfiguration, err)
	}
	switch {
	case !named && given:
		return fmt.Errorf("%w: name the file with the new key by --new-key-file", ErrConfiguration)
	case !named:
		return keyProblem(seal.RekeyFolder(dir, func(from, to seal.Master) error { return seal.Rekey(dir, from, to, time.Now()) }))
	case !given:
		if old, err = seal.FolderMaster(dir); err != nil {
			return keyProblem(err)
		}
	}
	return keyProblem(seal.Rekey(dir, old, next, time.Now()))
}
