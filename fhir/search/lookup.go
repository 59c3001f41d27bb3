package search

import (
	"slices"
	"sort"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// lookup is the index at one moment.
type lookup struct {
	r     store.IndexReader
	runs  []run
	mem   []memoryRun
	floor store.Seq // it can't be used as of places below
	place store.Seq // it knows the rows up to here
}

// window is the rows that count, both ends included.
type window struct{ first, last store.Seq }

func (w window) meets(first, last store.Seq) bool { return first <= w.last && w.first <= last }

func (w window) holds(seq store.Seq) bool { return w.first <= seq && seq <= w.last }

// stretch is values of a field that lie side by side.
type stretch struct{ field, low, high uint64 }

func stretchesOf(tenant string, t fhir.Type, code string, reaches []criteria.Reach) []stretch {
	out := make([]stretch, len(reaches))
	for i, r := range reaches {
		out[i] = stretch{fieldOf(tenant, t, code, r.Class), r.Low, r.High}
		if r.Class == criteria.MarkText {
			out[i].low = number(r.Text)
			out[i].high = out[i].low
		}
	}
	return out
}

// rows returns the rows within a window that have a value within one of the stretches, sorted; false if there
// are more than most.
func (l lookup) rows(stretches []stretch, in window, most int) ([]store.Seq, bool, error) {
	var out []store.Seq
	take := func(seq store.Seq) bool {
		if in.holds(seq) {
			out = append(out, seq)
		}
		return len(out) <= most
	}
	for _, s := range stretches {
		for _, run := range l.runs {
			if !in.meets(run.First, run.Last) {
				continue
			}
			if err := l.scan(run, s, in, take); err != nil {
				return nil, false, err
			}
		}
		for _, run := range l.mem {
			if in.meets(run.first, run.last) {
				run.scan(s, in, take)
			}
		}
		if len(out) > most {
			return nil, false, nil
		}
	}
	slices.Sort(out)
	return slices.Compact(out), true, nil
}

// start is the first posting that a scan can take.
func (s stretch) start(in window) posting {
	p := posting{field: s.field, value: s.low}
	if s.low == s.high {
		p.seq = in.first
	}
	return p
}

func (s stretch) end(p posting, in window) bool {
	return p.field != s.field || p.value > s.high || s.low == s.high && p.seq > in.last
}

func (l lookup) scan(run run, s stretch, in window, take func(store.Seq) bool) error {
	all, p, ok, err := postingsFrom(l.r, run.shelf(), s.start(in))
	for ok && err == nil && !s.end(p, in) && take(p.seq) {
		p, ok, err = all.next()
	}
	return err
}

func (r memoryRun) scan(s stretch, in window, take func(store.Seq) bool) {
	from := s.start(in)
	i := sort.Search(len(r.postings), func(i int) bool { return r.postings[i].compare(from) >= 0 })
	for ; i < len(r.postings) && !s.end(r.postings[i], in) && take(r.postings[i].seq); i++ {
	}
}

// common returns what two sorted lists share.
func common(a, b []store.Seq) []store.Seq {
	out := a[:0]
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] < b[0]:
			a = a[1:]
		case a[0] > b[0]:
			b = b[1:]
		default:
			out = append(out, a[0])
			a, b = a[1:], b[1:]
		}
	}
	return out
}
