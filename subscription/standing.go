package subscription

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/fhir/tape"
)

// deliveryTrouble opens the error text of a Subscription whose deliveries fail. By it the next success knows
// that the error is its own to clear, and not that of criteria which broke.
const deliveryTrouble = "Delivery is failing"

// statusCause is Origin.Cause of the versions that are written here.
const statusCause = "delivery"

// mostErrorText keeps a Subscription readable whatever an endpoint answers.
const mostErrorText = 600

// errOvertaken says that the Subscription changed after it was judged: the newer version wins.
var errOvertaken = errors.New("the Subscription has changed meanwhile")

// writeStatus writes the next version of a Subscription with another status and error text, if the version
// judged is still the current one (else errOvertaken). Status Active only takes back an error that is ours.
// The version is marked as the server's own, so that it notifies nobody.
func writeStatus(ctx context.Context, db store.DB, with func(*tape.Doc, Status, string) []byte, judged *Subscription, to Status, text string) (written bool, err error) {
	origin := store.Origin{Server: true, Cause: statusCause}
	commit, err := db.Update(ctx, origin, func(w store.Writer) error {
		now, err := w.Read(judged.Key, w.Last())
		if errors.Is(err, store.ErrNotFound) {
			return errOvertaken
		}
		if err != nil {
			return err
		}
		if now.Deleted || now.Version != judged.Version {
			return errOvertaken
		}
		if to == Active && !strings.HasPrefix(now.Doc().Root().Get("error").Text(), deliveryTrouble) {
			return nil
		}
		doc, err := tape.Parse(with(now.Doc(), to, text), 0)
		if err != nil {
			return fmt.Errorf("set the status of %s: %w", judged.Key, err)
		}
		next := &fhir.Resource{Key: now.Key, Version: now.Version + 1, Updated: w.Now()}
		next.JSON = fhir.Stamp(doc, now.Key.ID, next.Version, next.Updated)
		return w.Append(next, fhir.Update)
	})
	return commit.Seq > 0, err
}

// troubleText is the error text of a Subscription in error or switched off for failing. last is what came of
// the last attempt, in the channel's words, which hold no secrets.
func troubleText(to Status, h Health, last string, gone bool) string {
	var b strings.Builder
	b.WriteString(deliveryTrouble)
	switch {
	case gone:
		b.WriteString(": the endpoint answered 410 Gone, which asks not to be sent to again")
	case h.Failures == 1:
		fmt.Fprintf(&b, ": the attempt of %s failed", instant(h.Since))
	default:
		fmt.Fprintf(&b, ": %d attempts in a row since %s", h.Failures, instant(h.Since))
	}
	if last != "" && !gone {
		b.WriteString("; the last one: ")
		b.WriteString(last)
	}
	text := b.String()
	if len(text) > mostErrorText {
		text = strings.ToValidUTF8(text[:mostErrorText], "") + "…"
	}
	if to == Off {
		return text + ". The Subscription is switched off: what it is owed is kept. Check the endpoint, then write it with status active to go on."
	}
	return text + ". Attempts go on at growing intervals, and the next success clears this."
}

func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
