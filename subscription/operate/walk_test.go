package operate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/storetest"
)

func line(lane store.Lane, number uint64, try int, state store.State) store.Attempt {
	return store.Attempt{
		Lane: lane, Number: number, ID: fmt.Sprintf("id%d", number), Focus: fhir.Key{Tenant: lane.Tenant, Type: "Patient", ID: "p"},
		Version: number, Interaction: fhir.Update, Try: try, State: state,
		Time: time.Date(2026, 1, 1+try%3, 0, 0, int(number%86400), try, time.UTC),
	}
}

// However the numbers of a lane lie, and however much is on the record of each, a walk shows each once, in order.
func TestWalk_showsEachOnceInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		db := storetest.NewModel()
		lane := store.Lane{Tenant: fhir.DefaultTenant, Subscription: "s"}
		numbers := rapid.SliceOfNDistinct(rapid.OneOf(rapid.Uint64Range(1, 200), rapid.Uint64Range(1, 1<<45)), 0, 60, rapid.ID[uint64]).Draw(rt, "numbers")
		heavy := rapid.IntRange(0, 60).Draw(rt, "heavy")
		err := db.Queue().Update(t.Context(), store.Lease{}, func(w store.QueueWriter) error {
			if err := w.PutLane(store.LaneRecord{Lane: lane, Next: 1 << 46, Head: 1}); err != nil {
				return err
			}
			for i, n := range numbers {
				tries := 1 + i%3
				if i == heavy {
					tries = mostRows/2 + 1
				}
				for try := range tries {
					if err := w.Record(line(lane, n, try+1, store.Failed)); err != nil {
						return err
					}
				}
				if i%4 == 0 {
					if err := w.Owe(store.Notification{Lane: lane, Number: n, Version: n}); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			rt.Fatal(err)
		}
		from := rapid.Uint64Range(1, 300).Draw(rt, "from")
		below := from + rapid.OneOf(rapid.Uint64Range(0, 200), rapid.Uint64Range(0, 1<<45)).Draw(rt, "more")
		var want []uint64
		for _, n := range numbers {
			if n >= from && n < below {
				want = append(want, n)
			}
		}
		slices.Sort(want)
		for _, down := range []bool{false, true} {
			var got []uint64
			w := walk{lane: lane, from: from, below: below, down: down, size: firstSize}
			err := db.Queue().View(t.Context(), func(q store.QueueReader) error {
				for !w.over() {
					some, _, err := w.next(q, db.Epoch())
					if err != nil {
						return err
					}
					for _, d := range some {
						got = append(got, d.number)
						if d.id == "" || d.owed != nil != (d.state == store.Owed) {
							rt.Errorf("%d is %+v", d.number, d)
						}
					}
				}
				return nil
			})
			if err != nil {
				rt.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				rt.Fatalf("down %v: %s", down, diff)
			}
			slices.Reverse(want)
		}
	})
}

// One request looks at so much and no more, and the next link goes on where it stopped.
func TestDeliveries_oneRequestIsBounded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.subscribe("s", "Patient", noRetries)
		lane := store.Lane{Tenant: fhir.DefaultTenant, Subscription: "s"}
		const many = 2*mostScanned + 500
		err := w.desk.update(t.Context(), func(q store.QueueWriter) error {
			r, err := q.Lane(lane)
			if err != nil {
				return err
			}
			r.Next = many + 1
			for n := range uint64(many) {
				state := store.Delivered
				if n < 2 {
					state = store.Failed
				}
				if err := q.Record(line(lane, n+1, 0, state)); err != nil {
					return err
				}
			}
			return q.PutLane(r)
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"Subscription/s/$deliveries?status=failed", "Subscription/$deliveries?status=failed&_count=1"} {
			first := w.must(200, "GET", path, "").bundle(t)
			if len(first.Entry) != 0 || first.Total != nil || len(first.Link) != 2 || !strings.Contains(first.Link[1].URL, "_cursor=") {
				t.Errorf("%s: the first page is %+v", path, first)
			}
			all, pages := w.list(path)
			if diff := cmp.Diff([]string{"2", "1"}, sequences(all)); diff != "" || pages < 3 || pages > 4 {
				t.Errorf("%s: %d pages: %s", path, pages, diff)
			}
		}
	})
}
