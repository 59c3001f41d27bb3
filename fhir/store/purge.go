package store

import (
	"errors"
	"fmt"
	"time"

	"fhirhook/fhir"
)

// ErrPurged says that a version existed and is no longer kept: its time was over (package retention). It is an ErrNotFound too,
// for to most who look for a version it comes to the same. Whoever asks for a version to learn whether there was
// a later one has to tell them apart.
var ErrPurged = fmt.Errorf("no longer kept: %w", ErrNotFound)

// PurgedError is the ErrPurged of one version. What is not content is still known.
type PurgedError struct {
	Key     fhir.Key
	Version uint64
	Updated time.Time
}

// Error names the version.
func (e *PurgedError) Error() string {
	return fmt.Sprintf("version %d of %s is %s", e.Version, e.Key, ErrPurged)
}

// Unwrap makes it an ErrPurged.
func (e *PurgedError) Unwrap() error { return ErrPurged }

// Version names one version of a resource.
type Version struct {
	Key    fhir.Key
	Number uint64
}

// Purge is one step of removing old versions, in one transaction. Each version it names must have been replaced by
// another at or below Horizon; only its content goes. Its row, its number and who wrote it stay, so that rows and
// versions are counted without gaps for ever. A tombstone has no content, and one that was purged already has none
// any more: both are left as they are.
type Purge struct {
	Horizon Seq       // every state from here on can be read whole still; it never falls
	Gone    []Version // lose their content
	Held    []Version // ought to, and are needed still: Reader.Held remembers them until they are Gone
}

// Check is what every engine asks of a step before it looks at the versions.
func (p Purge) Check(horizon, last Seq) error {
	switch {
	case p.Horizon < horizon:
		return fmt.Errorf("purge: the horizon can't fall from %d to %d", horizon, p.Horizon)
	case p.Horizon > last:
		return fmt.Errorf("purge: the horizon can't be %d, for the log ends with row %d", p.Horizon, last)
	}
	return nil
}

// ErrNotReplaced says that a version was to be purged that is current at the horizon.
var ErrNotReplaced = errors.New("it is current at the horizon")

// Purged is what a Purge removed.
type Purged struct {
	Versions int
	Bytes    int64 // of JSON, as it was served
}
