package bolt

import (
	"bytes"
	"slices"

	"go.etcd.io/bbolt"

	"fhirhook/fhir/store"
)

// cursors proves that no follower is ahead of the log.
func (c *checker) cursors() error {
	var ahead []store.Cursor
	var names []string
	err := c.walk(c.db.queueFile, cursorBucket, func(_ source, k, v []byte) {
		cursor, err := decodeCursor(v)
		if err != nil {
			c.problem("cursor %q: %w", k, err)
			return
		}
		ahead, names = append(ahead, cursor), append(names, string(k))
	})
	if err != nil {
		return err
	}
	// The log is read behind the cursors, for followers go on meanwhile.
	return c.db.view(c.ctx, c.db.resources, func(tx *bbolt.Tx) error {
		last := (&logReader{source: &committed{tx: tx}}).Last()
		for i, cursor := range ahead {
			if cursor.Seq > last {
				c.problem("cursor %q is at row %d, and the log ends with row %d", names[i], cursor.Seq, last)
			}
		}
		return nil
	})
}

// lanes proves that each lane's count is the number of notifications that it owes.
func (c *checker) lanes() error {
	return c.walk(c.db.queueFile, laneBucket, func(s source, k, v []byte) {
		lane, record, ok := c.lane(k, v)
		if !ok {
			return
		}
		owed, prefix := uint64(0), lanePrefix(lane)
		for range s.ascend(owedBucket, prefix, prefix) {
			owed++
		}
		if owed != record.Owed {
			c.problem("lane %s/%s counts %d owed notifications and has %d", lane.Tenant, lane.Subscription, record.Owed, owed)
		}
	})
}

func (c *checker) lane(k, v []byte) (store.Lane, store.LaneRecord, bool) {
	tenant, subscription, _ := bytes.Cut(k, []byte{0})
	lane := store.Lane{Tenant: string(tenant), Subscription: string(subscription)}
	record, err := decodeLane(lane, v)
	if err != nil {
		c.problem("%w", err)
	}
	return lane, record, err == nil
}

// owed proves: each owed notification can be read, its lane knows a higher next number, its number can be
// looked up, and it stands in the waiting index if it has been tried or deferred.
func (c *checker) owed() error {
	var of []byte // the key of the lane whose record is record
	var record store.LaneRecord
	return c.walk(c.db.queueFile, owedBucket, func(s source, k, v []byte) {
		if len(k) < 9 {
			c.problem("owed: the key %q is malformed", k)
			return
		}
		if key := k[:len(k)-9]; !bytes.Equal(key, of) {
			of = bytes.Clone(key)
			value, _ := s.get(laneBucket, key)
			_, record, _ = c.lane(key, value)
		}
		number := lastNumber(k)
		// The record may be of an earlier page; next numbers only rise.
		if number >= record.Next {
			value, _ := s.get(laneBucket, of)
			if _, record, _ = c.lane(of, value); number >= record.Next {
				c.problem("lane %q owes number %d, and its next number is %d", of, number, record.Next)
			}
		}
		n, err := decodeNotification(record.Lane, number, v)
		if err != nil {
			c.problem("%w", err)
			return
		}
		if v, ok := s.get(numberBucket, numberKey(n)); !ok || !bytes.Equal(v, encodeNumber(number)) {
			c.problem("lane %q owes number %d, and the number index doesn't know it", of, number)
		}
		if v, ok := s.get(numberBucket, causedKey(n)); n.Cause != "" && (!ok || !bytes.Equal(v, encodeNumber(number))) {
			c.problem("lane %q owes number %d, and the number index doesn't know it by its cause", of, number)
		}
		if _, ok := s.get(waitingBucket, waitingKey(n)); !n.Next.IsZero() && !ok {
			c.problem("lane %q, number %d waits until %s and is not in the waiting index", of, number, n.Next)
		}
	})
}

// waiting proves that each entry of the index leads to a notification that waits until then.
func (c *checker) waiting() error {
	return c.walk(c.db.queueFile, waitingBucket, func(s source, k, _ []byte) {
		if len(k) < 17 {
			c.problem("waiting: the key %q is malformed", k)
			return
		}
		prefix := k[:len(k)-16]
		lane, _, _ := cutLane(prefix)
		v, _ := s.get(owedBucket, numbered(prefix, lastNumber(k)))
		n, err := decodeNotification(lane, lastNumber(k), v)
		if err != nil || n.Next.IsZero() || !bytes.Equal(waitingKey(n), k) {
			c.problem("waiting: the entry %q leads to no notification that waits until then", k)
		}
	})
}

// attempts proves that each line of the attempt log can be read and stands under its day, and that its trays are those that it
// is said to have.
func (c *checker) attempts() error {
	var names []string
	err := c.db.view(c.ctx, c.db.queueFile, func(tx *bbolt.Tx) error {
		s := &committed{tx: tx}
		names = s.children(attemptBucket)
		return c.trays(s, names)
	})
	if err != nil {
		return err
	}
	for _, name := range names {
		err := c.walk(c.db.queueFile, attemptBucket+"/"+name, func(_ source, k, v []byte) {
			lane, rest, ok := cutLane(k)
			a, err := decodeAttempt(lane, rest, v)
			switch {
			case !ok || len(rest) != lineBehindLane:
				c.problem("attempts of %s: the key %q is malformed", name, k)
			case err != nil:
				c.problem("%w", err)
			case a.Time.Format(dayLayout) != dayOf(name):
				c.problem("attempts of %s: one is of %s", name, a.Time)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) trays(s source, names []string) error {
	trays, err := readTrays(s)
	if err != nil {
		c.problem("%w", err)
		return nil
	}
	for _, name := range names {
		at := slices.IndexFunc(trays, func(t tray) bool { return t.name == name })
		switch {
		case name == dayOf(name):
		case at < 0:
			c.problem("attempts of %s: no such tray is known of", name)
		default:
			n := 0
			for range s.ascend(attemptBucket+"/"+name, nil, nil) {
				n++
			}
			if n != trays[at].lines {
				c.problem("attempts of %s: the tray counts %d lines and has %d", name, trays[at].lines, n)
			}
			trays = slices.Delete(trays, at, at+1)
		}
	}
	for _, t := range trays {
		c.problem("attempts of %s: the tray is missing", t.name)
	}
	return nil
}

// cutLane takes the lane off the front of a key.
func cutLane(k []byte) (lane store.Lane, rest []byte, ok bool) {
	tenant, rest, ok := bytes.Cut(k, []byte{0})
	if !ok {
		return store.Lane{}, nil, false
	}
	subscription, rest, ok := bytes.Cut(rest, []byte{0})
	return store.Lane{Tenant: string(tenant), Subscription: string(subscription)}, rest, ok
}
