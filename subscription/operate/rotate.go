package operate

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"fhirhook/channel/resthook"
	"fhirhook/fhir"
	"fhirhook/fhir/rest"
	"fhirhook/fhir/store"
	"fhirhook/fhir/tape"
	"fhirhook/subscription"
)

// Bounds of the overlap of a rotation.
const (
	usualOverlap = 24 * time.Hour
	mostOverlap  = 30 * 24 * time.Hour
)

// rotateSecret gives the Subscription another key and answers it, this once. Both keys stand in the new version
// (subscription.Rotated), so that what is signed is the same on every node and after every restart.
func (d *Desk) rotateSecret(ctx context.Context, r rest.OperationRequest) (rest.OperationAnswer, error) {
	in, err := read(r, "secret", "overlap")
	if err != nil {
		return rest.OperationAnswer{}, err
	}
	key, secret, err := in.text("secret")
	switch {
	case err != nil:
		return rest.OperationAnswer{}, err
	case key != "" && secret.member == "":
		return rest.OperationAnswer{}, secret.refuse(fhir.Invalid, "a key must not stand in a URL, which is kept in many logs: send it in a Parameters resource")
	case key == subscription.Mask:
		return rest.OperationAnswer{}, secret.refuse(fhir.Value, "the mask is no key: send one, or none to have it made")
	case key == "":
		key = resthook.NewSecret()
	default:
		if err := resthook.CheckSecret(key); err != nil {
			return rest.OperationAnswer{}, secret.refuse(fhir.BusinessRule, "%s", err)
		}
	}
	overlap, err := in.overlap()
	if err != nil {
		return rest.OperationAnswer{}, err
	}
	if _, _, err := d.subscription(ctx, r.Key()); err != nil {
		return rest.OperationAnswer{}, err
	}
	origin := r.Origin
	origin.Cause = "$rotate-secret"
	var saved store.Saved
	var until time.Time
	_, err = d.o.DB.Update(ctx, origin, func(w store.Writer) error {
		now, err := w.Read(r.Key(), w.Last())
		if err != nil || now.Deleted {
			return errors.Join(err, fhir.Errorf(fhir.Conflict, "", "%s was deleted meanwhile", r.Key()))
		}
		s, err := d.compile(ctx, now)
		if err != nil {
			return err
		}
		if s.Rotating(w.Now()) {
			return fhir.Errorf(fhir.Conflict, "", "the key before the last one is still good until %s: rotate again after that, or write the Subscription to end it sooner", fhir.Instant(s.PreviousUntil))
		}
		if len(s.Target.Secrets) > 0 && s.Target.Secrets[0] == key {
			return secret.refuse(fhir.BusinessRule, "is the key that is in use: give another, or none to have one made")
		}
		until = w.Now().Add(overlap)
		doc, err := tape.Parse(subscription.Rotated(now.Doc(), key, until), 0)
		if err != nil {
			return err
		}
		if len(s.Target.Secrets) == 0 {
			until = time.Time{}
		}
		saved, err = store.Update(w, r.Key(), fhir.Incoming{Type: fhir.Subscription, ID: r.ID, Doc: doc}, "", nil)
		return err
	})
	if err != nil {
		return rest.OperationAnswer{}, err
	}
	var o output
	o.text("secret", "valueString", key)
	o.instant("previous-until", until)
	return rest.OperationAnswer{Status: http.StatusOK, Body: o.parameters(""), Resource: saved.Resource}, nil
}

// overlap reads how long the old key goes on: a Duration, or a text as in 90m, 24h or 2d.
func (in inputs) overlap() (time.Duration, error) {
	v, ok, err := in.one("overlap")
	if err != nil || !ok {
		return usualOverlap, err
	}
	text := v.text
	if v.member == "valueDuration" {
		unit := v.node.Get("code").Text()
		if unit == "" {
			unit = v.node.Get("unit").Text()
		}
		text = string(v.node.Get("value").Raw()) + strings.TrimSuffix(unit, "in") // UCUM's min
	}
	overlap, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n float64
		n, err = strconv.ParseFloat(days, 64)
		overlap = time.Duration(min(max(n, -1), 1e4) * float64(24*time.Hour))
	}
	if err != nil || !(overlap >= 0 && overlap <= mostOverlap) {
		return 0, v.refuse(fhir.Value, "must be a time from 0s to 30d, as in 90m, 24h or 2d, or a valueDuration in s, min, h or d")
	}
	return overlap, nil
}

// clip makes a text fit for the attempt log.
func clip(b []byte) string {
	return strings.ToValidUTF8(string(b[:min(len(b), mostReply)]), "\uFFFD")
}
