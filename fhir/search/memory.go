package search

import (
	"cmp"
	"slices"

	"fhirhook/fhir/store"
)

// memoryRun is a run that is not on a shelf yet. It is never changed.
type memoryRun struct {
	first, last store.Seq
	postings    []posting
	height      int // how often its rows were merged
}

// memoryFanOut is how many neighbours of a height become one run: few, and lookups look at few runs; many, and a
// posting is seldom copied.
const memoryFanOut = 8

// remember adds a run to memory.
func (x *Index) remember(r memoryRun) {
	mem := append(slices.Clip(x.mem), r)
	for from := len(mem) - memoryFanOut; from >= 0 && mem[from].height == r.height; from = len(mem) - memoryFanOut {
		r = united(mem[from:])
		mem = append(mem[:from], r)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mem, x.place = mem, r.last
}

// united makes one run of neighbours.
func united(runs []memoryRun) memoryRun {
	n := 0
	for _, r := range runs {
		n += len(r.postings)
	}
	out := memoryRun{first: runs[0].first, last: runs[len(runs)-1].last, height: runs[0].height + 1, postings: make([]posting, 0, n)}
	_ = inOrder(runs, func(some []posting) error {
		out.postings = append(out.postings, some...)
		return nil
	})
	return out
}

// inOrder gives all postings of neighbouring runs to a function, in order, as many at a time as stand together.
func inOrder(runs []memoryRun, take func([]posting) error) error {
	type head struct {
		run      int
		postings []posting
	}
	before := func(a, b *head) bool {
		p, q := &a.postings[0], &b.postings[0]
		switch {
		case p.field != q.field:
			return p.field < q.field
		case p.value != q.value:
			return p.value < q.value
		default:
			return a.run < b.run // its rows are the older ones
		}
	}
	heads := make([]head, 0, len(runs)) // by what comes first
	settle := func(i int) {
		for ; i+1 < len(heads) && before(&heads[i+1], &heads[i]); i++ {
			heads[i], heads[i+1] = heads[i+1], heads[i]
		}
	}
	for i, r := range slices.Backward(runs) {
		if len(r.postings) > 0 {
			heads = slices.Insert(heads, 0, head{i, r.postings})
			settle(0)
		}
	}
	for len(heads) > 0 {
		all, n := heads[0].postings, 1
		if len(heads) == 1 {
			n = len(all)
		} else {
			next := heads[1].postings[0]
			older := heads[0].run < heads[1].run
			for n < len(all) && all[n].precedes(next, older) {
				n++
			}
		}
		if err := take(all[:n]); err != nil {
			return err
		}
		if heads[0].postings = all[n:]; n == len(all) {
			heads = heads[1:]
		} else {
			settle(0)
		}
	}
	return nil
}

// precedes tells whether a posting comes before one of another run, which has later rows if older is set, and earlier ones
// if not.
func (p *posting) precedes(q posting, older bool) bool {
	if p.field != q.field {
		return p.field < q.field
	}
	return p.value < q.value || p.value == q.value && older
}

// sorter puts postings in order. It keeps its memory from one time to the next and belongs to one goroutine.
type sorter struct {
	numbers map[uint64]int // of fields, from 0
	fields  []fieldCount
	which   []int32 // the number of each posting's field
}

// fieldCount is how many postings of a field there are, then where its next one goes.
type fieldCount struct {
	field uint64
	n     int
}

// sorted returns postings in order, each once, in memory of their own. They must come in order of rows: then those of a
// field are mostly in order once they stand together.
func (s *sorter) sorted(all []posting) []posting {
	if s.numbers == nil {
		s.numbers = map[uint64]int{}
	}
	clear(s.numbers)
	s.fields, s.which = s.fields[:0], s.which[:0]
	for i := range all {
		number, ok := s.numbers[all[i].field]
		if !ok {
			number = len(s.fields)
			s.numbers[all[i].field] = number
			s.fields = append(s.fields, fieldCount{field: all[i].field})
		}
		s.fields[number].n++
		s.which = append(s.which, int32(number))
	}
	order := slices.SortedFunc(slices.Values(s.fields), func(a, b fieldCount) int { return cmp.Compare(a.field, b.field) })
	at := 0
	for _, f := range order {
		s.fields[s.numbers[f.field]].n = at
		at += f.n
	}
	out := make([]posting, len(all))
	for i, number := range s.which {
		to := &s.fields[number].n
		out[*to] = all[i]
		*to++
	}
	from := 0
	for _, f := range order {
		if of := out[from : from+f.n]; !slices.IsSortedFunc(of, posting.compare) {
			slices.SortFunc(of, posting.compare)
		}
		from += f.n
	}
	return slices.Compact(out)
}
