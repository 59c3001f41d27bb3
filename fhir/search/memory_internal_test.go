package search

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fhirhook/fhir/store"
)

// drawRows draws postings of rows, in order of rows, some of them more than once; few fields and values make many meet.
func drawRows(t *rapid.T, from, to store.Seq) []posting {
	var all []posting
	for row := from; row <= to; row++ {
		for range rapid.IntRange(0, 4).Draw(t, "postings") {
			all = append(all, posting{rapid.Uint64Range(0, 3).Draw(t, "field"), rapid.SampledFrom([]uint64{0, 1, 2, 1 << 63, ^uint64(0)}).Draw(t, "value"), row})
		}
	}
	return all
}

func plainlySorted(all []posting) []posting {
	all = slices.Clone(all)
	slices.SortFunc(all, posting.compare)
	return slices.Compact(all)
}

var equalPostings = cmp.AllowUnexported(posting{})

func TestSorter_sortsAndTakesEachOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var s sorter
		for range 3 { // with what the time before left
			all := drawRows(t, 1, 10)
			before := slices.Clone(all)
			got := s.sorted(all)
			if diff := cmp.Diff(plainlySorted(all), got, equalPostings); diff != "" && len(all) > 0 {
				t.Fatalf("of %v: %s", all, diff)
			}
			if !slices.Equal(all, before) {
				t.Fatal("what was given is changed")
			}
		}
	})
}

// However rows were taken in, memory holds them in order, without gaps, in few runs, each as sorting would give it, and
// all of them together are what sorting gives.
func TestRemember_keepsFewRunsOfAllRows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		x := &Index{}
		var all []posting
		row := store.Seq(0)
		times := rapid.IntRange(1, 150).Draw(t, "times")
		for range times {
			last := row + store.Seq(rapid.SampledFrom([]int{1, 1, 1, 2, 20}).Draw(t, "rows"))
			rows := drawRows(t, row+1, last)
			mem := x.mem
			runs := slices.Clone(mem)
			x.remember(memoryRun{first: row + 1, last: last, postings: x.sorter.sorted(rows)})
			if !slices.EqualFunc(mem, runs, func(a, b memoryRun) bool { return a.first == b.first && a.last == b.last }) {
				t.Fatal("what readers hold is changed")
			}
			all, row = append(all, rows...), last
		}
		next := store.Seq(1)
		for _, r := range x.mem {
			if r.first != next || !slices.IsSortedFunc(r.postings, posting.compare) {
				t.Fatalf("rows %d to %d follow row %d, or are out of order", r.first, r.last, next-1)
			}
			next = r.last + 1
		}
		if next != row+1 || x.place != row {
			t.Fatalf("memory ends with row %d of %d", next-1, row)
		}
		if most := 3 * (memoryFanOut - 1); len(x.mem) > most { // 150 have three digits to the base eight
			t.Fatalf("%d runs after %d times, more than %d", len(x.mem), times, most)
		}
		var got []posting
		if err := inOrder(x.mem, func(some []posting) error {
			got = append(got, some...)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(plainlySorted(all), got, equalPostings); diff != "" && len(all) > 0 {
			t.Fatal(diff)
		}
	})
}
