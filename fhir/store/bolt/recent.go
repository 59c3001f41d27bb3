package bolt

import (
	"sync"

	"fhirhook/fhir/store"
)

// What bounds the rows in memory, in bytes. One that would push out many others is left to the file.
const (
	recentBytes = 8 << 20
	recentMost  = recentBytes / 8
	recentNone  = 256 // what one that was left out takes
)

// recent holds the newest durable rows of the log as their writers made them. Those who follow the log, and those who
// deliver what they find, share them: the bytes aren't copied out of the file for each, decrypted and parsed again.
//
// It decides nothing: a reader takes a row from here only where the state that it reads has that row, as long as it was
// written. A row of a group that failed is in no state, and one that was purged is shorter.
type recent struct {
	mu          sync.Mutex  // guards what follows
	ring        []recentRow // row n stands at n modulo the length, a power of two
	first, next store.Seq   // rows from first on and below next are there, but for those that were too large
	footprint   int         // of all, in bytes
}

type recentRow struct {
	store.Change
	encoded   int // bytes in the file
	footprint int // bytes in memory
}

// add takes in rows that have become durable, in order.
func (m *recent) add(rows []recentRow) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, row := range rows {
		if m.first == m.next {
			m.first, m.next = row.Seq, row.Seq
		}
		if int(m.next-m.first) == len(m.ring) {
			m.grow()
		}
		if row.footprint = row.Resource.Footprint(); row.footprint > recentMost {
			row = recentRow{footprint: recentNone}
		}
		*m.at(m.next) = row
		m.next++
		for m.footprint += row.footprint; m.footprint > recentBytes; m.first++ {
			oldest := m.at(m.first)
			m.footprint -= oldest.footprint
			*oldest = recentRow{}
		}
	}
}

// get returns a row that takes so many bytes in the file.
func (m *recent) get(seq store.Seq, encoded int) (store.Change, bool) {
	if m == nil {
		return store.Change{}, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if seq < m.first || seq >= m.next {
		return store.Change{}, false
	}
	row := m.at(seq)
	return row.Change, row.encoded == encoded
}

func (m *recent) at(seq store.Seq) *recentRow { return &m.ring[seq&store.Seq(len(m.ring)-1)] }

func (m *recent) grow() {
	old := m.ring
	m.ring = make([]recentRow, max(64, 2*len(old)))
	for i := range old {
		seq := m.first + store.Seq(i)
		*m.at(seq) = old[seq&store.Seq(len(old)-1)]
	}
}
