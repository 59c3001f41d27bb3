package criteria

import "sync"

// mostRecent is how many filed queries of a Set are kept compiled: some megabytes.
const mostRecent = 4096

// recent holds the queries that were compiled from their text last, by the numbers of their entries.
type recent struct {
	mu       sync.Mutex // guards what follows
	compiled map[uint32]*Query
	ring     []uint32
	next     int // the oldest, once the ring is full
}

// query is what an entry's text says.
func (r *recent) query(number uint32, text string, table *Definitions) (*Query, error) {
	r.mu.Lock()
	q := r.compiled[number]
	r.mu.Unlock()
	if q != nil {
		return q, nil
	}
	q, err := Parse(text, table)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ring) < mostRecent {
		r.ring = append(r.ring, number)
	} else {
		delete(r.compiled, r.ring[r.next])
		r.ring[r.next] = number
		r.next = (r.next + 1) % mostRecent
	}
	r.compiled[number] = q
	return q, nil
}

// forget makes room for another entry with the same number.
func (r *recent) forget(number uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.compiled, number)
}
