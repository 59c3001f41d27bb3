package subscription

import (
	"container/heap"
	"hash/maphash"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// What an ordered lane keeps in memory at most, whatever its backlog.
const (
	mostTracks  = 1 << 16 // resources with an unfinished notification
	mostKnown   = 4096    // numbers behind those, of all resources
	refillKnown = 64      // numbers that a track without known ones looks for
	scanRows    = 1024    // rows read at a time
)

// sequence is the source of an ordered lane. It follows one track per resource (or one for all): the lowest
// unfinished number, which alone may be handed out, and the numbers known to follow it. Order is derived from
// the rows alone, from the lowest owed number on, so that a restart can't change it.
//
// Tracks go by a hash of the resource: a collision only makes two resources wait for each other.
type sequence struct {
	lane    store.Lane
	busy    map[uint64]*flight
	longest time.Duration
	single  bool // one track for the whole lane
	seed    maphash.Seed

	tracks  map[uint64]*track
	waiting trackHeap            // tracks whose number is neither ready nor busy
	ready   []store.Notification // due, read ahead
	search  []*track             // tracks that must look for their next number
	known   int                  // numbers in all track.later
	scan    uint64               // rows are read up to here

	// What was in flight when the sequence was built. A number below it may have become owed again since, by a
	// redelivery, and waits until it is settled, so that a track never has two in flight.
	foreign map[uint64]uint64             // number → key of its track
	held    map[uint64]int                // key → how many of foreign
	parked  map[uint64]store.Notification // key → what waits

	more bool   // there may be more behind scan
	upto uint64 // what was told so far has numbers below it
}

type track struct {
	key    uint64
	number uint64    // the lowest unfinished one
	due    time.Time // when it may go; zero: at once
	later  []uint64  // the numbers that follow it, as far as they are known
	more   bool      // others may follow last, below the sequence's scan
	last   uint64    // looked for up to here
}

func newSequence(lane store.Lane, order Order, busy map[uint64]*flight, longest time.Duration) *sequence {
	s := &sequence{
		lane: lane, busy: busy, longest: longest, single: order == BySubscription, seed: maphash.MakeSeed(),
		tracks: map[uint64]*track{}, scan: 1, more: true,
		foreign: map[uint64]uint64{}, held: map[uint64]int{}, parked: map[uint64]store.Notification{},
	}
	for number, f := range busy {
		key := s.keyOf(f.focus)
		s.foreign[number] = key
		s.held[key]++
	}
	return s
}

func (s *sequence) key(n store.Notification) uint64 { return s.keyOf(n.Focus) }

func (s *sequence) keyOf(focus fhir.Key) uint64 {
	if s.single {
		return 0
	}
	return maphash.String(s.seed, focus.String())
}

func (s *sequence) hungry(now time.Time) bool {
	return len(s.search) > 0 || s.loadable(now) || s.scannable()
}

func (s *sequence) loadable(now time.Time) bool {
	return len(s.ready) < windowSize && len(s.waiting) > 0 && due(s.waiting[0].due, now, s.longest)
}

func (s *sequence) scannable() bool {
	if !s.more || len(s.ready) >= windowSize || len(s.tracks) >= mostTracks {
		return false
	}
	if t := s.tracks[0]; s.single && t != nil {
		return len(t.later) == 0
	}
	return true
}

func (s *sequence) fill(r store.QueueReader, now time.Time) error {
	for rows := 0; len(s.search) > 0 && rows < scanRows; {
		read, found, err := s.look(r, s.search[0], scanRows-rows)
		if err != nil {
			return err
		}
		rows += read
		if found {
			t := s.search[0]
			s.search = s.search[1:]
			s.advance(t)
		}
	}
	for s.loadable(now) {
		if err := s.load(r, now); err != nil {
			return err
		}
	}
	if s.scannable() {
		return s.read(r, now)
	}
	return nil
}

// look searches the rows behind t.last, up to scan, for the numbers of a track. It is done when it has some
// or came to the end.
func (s *sequence) look(r store.QueueReader, t *track, most int) (rows int, done bool, err error) {
	for n, err := range r.Owed(s.lane, t.last+1) {
		switch {
		case err != nil:
			return rows, false, err
		case n.Number >= s.scan:
			t.more = false
			return rows, true, nil
		case len(t.later) == refillKnown:
			return rows, true, nil
		case rows == most:
			return rows, false, nil
		}
		rows++
		t.last = n.Number
		if s.key(n) == t.key {
			t.later = append(t.later, n.Number)
			s.known++
		}
	}
	t.more = false
	return rows, true, nil
}

// load reads the row of the track that is due first.
func (s *sequence) load(r store.QueueReader, now time.Time) error {
	t := heap.Pop(&s.waiting).(*track)
	for n, err := range r.Owed(s.lane, t.number) {
		if err != nil {
			heap.Push(&s.waiting, t)
			return err
		}
		if n.Number != t.number {
			break
		}
		if t.due = n.Next; due(n.Next, now, s.longest) {
			s.ready = append(s.ready, n)
		} else {
			heap.Push(&s.waiting, t)
		}
		return nil
	}
	s.advance(t) // it is no longer owed
	return nil
}

// read goes on through the rows and sorts them into tracks.
func (s *sequence) read(r store.QueueReader, now time.Time) error {
	most := scanRows
	if s.single {
		most = refillKnown
	}
	rows := 0
	for n, err := range r.Owed(s.lane, s.scan) {
		if err != nil {
			return err
		}
		if rows == most || len(s.ready) >= windowSize || len(s.tracks) >= mostTracks {
			return nil
		}
		rows++
		s.scan = n.Number + 1
		s.sort(n, now)
	}
	s.more = false
	return nil
}

func (s *sequence) sort(n store.Notification, now time.Time) {
	key := s.key(n)
	t, ok := s.tracks[key]
	switch {
	case ok && !t.more && (s.known < mostKnown || len(t.later) == 0):
		t.later = append(t.later, n.Number)
		t.last = n.Number
		s.known++
	case ok:
		t.more = true
	default:
		t = &track{key: key, number: n.Number, due: n.Next, last: n.Number}
		s.tracks[key] = t
		switch {
		case s.busy[n.Number] != nil:
		case due(n.Next, now, s.longest):
			s.ready = append(s.ready, n)
		default:
			heap.Push(&s.waiting, t)
		}
	}
}

// advance goes on to the next number of a track whose number is finished.
func (s *sequence) advance(t *track) {
	switch {
	case len(t.later) > 0:
		t.number, t.later, t.due = t.later[0], t.later[1:], time.Time{}
		s.known--
		if s.busy[t.number] == nil {
			heap.Push(&s.waiting, t)
		}
	case t.more:
		s.search = append(s.search, t)
	default:
		delete(s.tracks, t.key)
	}
}

func (s *sequence) take(time.Time) (store.Notification, bool) {
	for len(s.ready) > 0 {
		n := s.ready[0]
		if s.ready = s.ready[1:]; len(s.ready) == 0 {
			s.ready = nil
		}
		key := s.key(n)
		if s.held[key] == 0 {
			return n, true
		}
		s.parked[key] = n
	}
	return store.Notification{}, false
}

// release lets go what waits for a number that was in flight from before.
func (s *sequence) release(number uint64) {
	key, ok := s.foreign[number]
	if !ok {
		return
	}
	delete(s.foreign, number)
	if s.held[key]--; s.held[key] > 0 {
		return
	}
	delete(s.held, key)
	if n, ok := s.parked[key]; ok {
		delete(s.parked, key)
		s.ready = append(s.ready, n)
	}
}

func (s *sequence) settled(n store.Notification, owed bool) {
	s.release(n.Number)
	t, ok := s.tracks[s.key(n)]
	switch {
	case !ok || t.number != n.Number: // from before this sequence was built: its row tells, once it is its turn
	case owed:
		t.due = n.Next
		heap.Push(&s.waiting, t)
	default:
		s.advance(t)
	}
}

func (s *sequence) holds(n store.Notification) bool {
	if _, ok := s.foreign[n.Number]; ok {
		return true
	}
	t, ok := s.tracks[s.key(n)]
	return ok && (len(t.later) > 0 || t.more)
}

func (s *sequence) returned(n store.Notification) { s.settled(n, true) }

func (s *sequence) woken() { s.more = true }

func (s *sequence) heard(news *News, now time.Time) {
	follows := !s.more && news.follows(s.upto)
	s.upto, s.more = news.Record.Next, !follows || !news.complete()
	if !follows {
		return
	}
	for _, n := range news.Owed {
		if len(s.ready) >= windowSize || len(s.tracks) >= mostTracks {
			s.more = true
			return
		}
		if n.Number >= s.scan {
			s.scan = n.Number + 1
			s.sort(n, now)
		}
	}
}

func (s *sequence) next() time.Time {
	if len(s.waiting) == 0 {
		return time.Time{}
	}
	return s.waiting[0].due
}

func (s *sequence) fit(narrow bool) bool { return !narrow || len(s.tracks) <= 1 && s.known <= 1 }

func (s *sequence) head() (uint64, bool) { return 0, false }

func (s *sequence) drained() bool { return !s.more && len(s.tracks) == 0 }

func (s *sequence) oldest() time.Time {
	if len(s.ready) == 0 {
		return time.Time{}
	}
	if n := s.ready[0]; !n.Next.IsZero() {
		return n.Next
	}
	return s.ready[0].Updated
}

// trackHeap has the track that is due first on top; among those due at once, the lowest number.
type trackHeap []*track

func (h trackHeap) Len() int { return len(h) }
func (h trackHeap) Less(i, j int) bool {
	if c := h[i].due.Compare(h[j].due); c != 0 {
		return c < 0
	}
	return h[i].number < h[j].number
}
func (h trackHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *trackHeap) Push(t any)   { *h = append(*h, t.(*track)) }
func (h *trackHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return t
}
