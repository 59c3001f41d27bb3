package receiver

import (
	"fmt"
	"slices"
	"strings"
)

// Seen remembers the latest ids, so many. It lives in memory; a receiver that must not do a thing twice keeps the
// ids where it keeps what it did, in the same transaction. The zero value remembers nothing.
type Seen struct {
	most  int
	ids   map[string]bool
	order []string // as a ring
	next  int
}

// NewSeen remembers so many ids.
func NewSeen(most int) *Seen { return &Seen{most: most, ids: map[string]bool{}} }

// Has tells whether an id is remembered.
func (s *Seen) Has(id string) bool { return s.ids[id] }

// Add remembers an id, and forgets the oldest where there are too many.
func (s *Seen) Add(id string) {
	switch {
	case s.ids[id] || s.most <= 0:
		return
	case len(s.order) < s.most:
		s.order = append(s.order, id)
	default:
		delete(s.ids, s.order[s.next])
		s.order[s.next] = id
		s.next = (s.next + 1) % s.most
	}
	s.ids[id] = true
}

// Gaps finds the numbers of a Subscription that have not come. Numbers begin with 1 and have no gaps, but they
// may come in another order: what is missing now is on its way, or waits for a retry, or failed for good. Look at
// what stays missing. The zero value has seen nothing; Last lets a receiver go on where it was.
type Gaps struct {
	Last    uint64  // highest number that came
	Missing []Range // below it, ascending
}

// Range is numbers From to To, both included.
type Range struct{ From, To uint64 }

// Note takes in a number.
func (g *Gaps) Note(n uint64) {
	if n > g.Last {
		if n > g.Last+1 {
			g.Missing = append(g.Missing, Range{g.Last + 1, n - 1})
		}
		g.Last = n
		return
	}
	i := slices.IndexFunc(g.Missing, func(r Range) bool { return r.From <= n && n <= r.To })
	if i < 0 {
		return // a duplicate
	}
	r, rest := g.Missing[i], []Range(nil)
	if r.From < n {
		rest = append(rest, Range{r.From, n - 1})
	}
	if n < r.To {
		rest = append(rest, Range{n + 1, r.To})
	}
	g.Missing = slices.Replace(g.Missing, i, i+1, rest...)
}

// String writes the missing numbers as "2,5-7".
func (g *Gaps) String() string {
	var parts []string
	for _, r := range g.Missing {
		if r.From == r.To {
			parts = append(parts, fmt.Sprint(r.From))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", r.From, r.To))
		}
	}
	return strings.Join(parts, ",")
}
