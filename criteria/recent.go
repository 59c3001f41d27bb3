package criteria

import "sync"

// mostRecent is how many queries of a Set are kept compiled beside their text: some megabytes.
const mostRecent = 4096

// recent holds the entries that were compiled from their text last, and takes what was compiled away from the
// oldest.
type recent struct {
	mu   sync.Mutex // guards what follows
	ring []*entry
	next int // the oldest, once the ring is full
}

// query is what an entry's text says.
func (r *recent) query(e *entry) (*Query, error) {
	if q := e.query.Load(); q != nil {
		return q, nil
	}
	q, err := Parse(e.text, e.table)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ring) < mostRecent {
		r.ring = append(r.ring, e)
	} else {
		r.ring[r.next].query.Store(nil)
		r.ring[r.next] = e
		r.next = (r.next + 1) % mostRecent
	}
	e.query.Store(q)
	return q, nil
}
