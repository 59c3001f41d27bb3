package store

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"fhirhook/fhir"
)

// maxName bounds tenants, types, ids and the names of lanes, leases and cursors: they stand in keys.
const maxName = 255

// maxRequestKey bounds Origin.RequestKey.
const maxRequestKey = 1024

// CheckAppend is what every engine asks of a version before it takes it, but for the order of versions.
func CheckAppend(r *fhir.Resource, i fhir.Interaction, now time.Time) error {
	err := errors.Join(
		checkName("tenant", r.Key.Tenant), checkName("type", string(r.Key.Type)), checkName("id", r.Key.ID))
	switch {
	case err != nil:
	case r.Version == 0:
		err = errors.New("versions count from 1")
	case i < fhir.Create || i > fhir.Delete:
		err = fmt.Errorf("%d is not an interaction", i)
	case r.Deleted != (i == fhir.Delete):
		err = fmt.Errorf("a tombstone is what a delete writes, and nothing else; this is a %s", i)
	case r.Deleted != (len(r.JSON) == 0):
		err = errors.New("a version has JSON, a tombstone has none")
	case !r.Updated.Equal(now), r.Updated.Location() != time.UTC: // readers may get r itself
		err = fmt.Errorf("lastUpdated is %s, and the transaction's time %s", fhir.Instant(r.Updated), fhir.Instant(now))
	}
	if err != nil {
		return fmt.Errorf("append %s: %w", r.Key, err)
	}
	return nil
}

// CheckOrigin is what every engine asks of an origin.
func CheckOrigin(o Origin) error {
	if len(o.RequestKey) > maxRequestKey {
		return fmt.Errorf("the request key is %d bytes long, and at most %d fit", len(o.RequestKey), maxRequestKey)
	}
	return nil
}

// Check is what every engine asks of a lane's name.
func (l Lane) Check() error {
	if err := errors.Join(checkName("tenant", l.Tenant), checkName("subscription", l.Subscription)); err != nil {
		return fmt.Errorf("lane %s/%s: %w", l.Tenant, l.Subscription, err)
	}
	return nil
}

// CheckCursor is what every engine asks of a cursor's name.
func CheckCursor(name string) error { return checkName("cursor", name) }

// Check is what every engine asks of a notification that is owed.
func (n Notification) Check() error {
	switch {
	case n.Number == 0:
		return errors.New("notifications are numbered from 1")
	case n.Tries < 0, n.Spared < 0, n.Spared > n.Tries:
		return errors.New("a notification can't have been tried less than never, nor spared more often than tried")
	}
	return errors.Join(checkFocus(n.Lane, n.Focus), checkTime("next", n.Next))
}

// Check is what every engine asks of an attempt.
func (a Attempt) Check() error {
	switch {
	case a.Time.IsZero():
		return errors.New("an attempt has a time")
	case a.Try < 0:
		return errors.New("tries count from 1, and 0 stands for none")
	}
	return errors.Join(checkFocus(a.Lane, a.Focus), checkTime("time", a.Time))
}

// Check is what every engine asks of a job.
func (j Job) Check() error { return errors.Join(j.Lane.Check(), checkName("job", j.ID)) }

// Check is what every engine asks of a lane's record.
func (r LaneRecord) Check() error {
	if r.Failures < 0 || r.BreakerStep < 0 {
		return errors.New("a lane counts its failures and its breaker's steps from 0")
	}
	return r.Lane.Check()
}

// checkFocus keeps tenants apart (invariant 9): a lane speaks of its own tenant's resources, or of none.
func checkFocus(l Lane, focus fhir.Key) error {
	if err := l.Check(); err != nil {
		return err
	}
	if focus != (fhir.Key{}) && focus.Tenant != l.Tenant {
		return fmt.Errorf("lane %s/%s can't speak of %s of tenant %q", l.Tenant, l.Subscription, focus, focus.Tenant)
	}
	return nil
}

// checkTime bounds times that stand in keys, where they are nanoseconds in 64 bits.
func checkTime(what string, t time.Time) error {
	if year := t.Year(); !t.IsZero() && (year < 1700 || year > 2200) {
		return fmt.Errorf("the %s lies in the year %d", what, year)
	}
	return nil
}

func checkName(what, s string) error {
	switch {
	case s == "":
		return fmt.Errorf("the %s is empty", what)
	case len(s) > maxName:
		return fmt.Errorf("the %s is %d bytes long, and at most %d fit", what, len(s), maxName)
	case strings.IndexByte(s, 0) >= 0:
		return fmt.Errorf("the %s holds a zero byte", what)
	}
	return nil
}
