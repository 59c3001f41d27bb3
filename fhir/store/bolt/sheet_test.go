package bolt

import (
	"encoding/binary"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"
	"pgregory.net/rapid"
)

// A group's writes, of many more keys than a leaf holds and in any order, are read from every place and in both
// directions as a sorted map is, while they lie over committed rows, and after some were undone.
func TestOverlay_isASortedMap(t *testing.T) {
	db := mustOpen(t, t.TempDir(), Options{noSync: true})
	const bucket = "some"
	key := func(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }
	committedKeys := map[int]int{}
	err := db.queueFile.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte(bucket))
		for n := 0; err == nil && n < 4000; n += 37 {
			committedKeys[n] = n
			err = b.Put(key(n), key(n))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
		tx, err := db.queueFile.Begin(true)
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }()
		o, model := newOverlay(tx), maps.Clone(committedKeys)
		write := func(model map[int]int, keys int) {
			start := random.IntN(4000)
			for i := range random.IntN(1500) {
				n := start + i // in order, or not
				if keys > 0 {
					n = random.IntN(keys)
				}
				if random.IntN(5) == 0 {
					o.remove(bucket, key(n))
					delete(model, n)
				} else if err := o.put(bucket, key(n), key(n+i)); err != nil {
					rt.Fatal(err)
				} else {
					model[n] = n + i
				}
			}
		}
		for range random.IntN(4) {
			keys := []int{0, 600, 6000}[random.IntN(3)]
			write(model, keys)
			o.settle()
			write(maps.Clone(model), keys)
			o.undo()
		}
		sorted := slices.Sorted(maps.Keys(model))
		read := func(rows iter.Seq2[[]byte, []byte]) (keys []int) {
			for k, v := range rows {
				n := int(binary.BigEndian.Uint16(k))
				if got := int(binary.BigEndian.Uint16(v)); got != model[n] {
					rt.Fatalf("key %d has %d, want %d", n, got, model[n])
				}
				keys = append(keys, n)
			}
			return keys
		}
		for range 20 {
			n := random.IntN(7000)
			at, found := slices.BinarySearch(sorted, n)
			if _, ok := o.get(bucket, key(n)); ok != found {
				rt.Fatalf("key %d: %v, want %v", n, ok, found)
			}
			down := slices.Clone(sorted[:at])
			slices.Reverse(down)
			if diff := cmp.Diff(append([]int(nil), sorted[at:]...), read(o.ascend(bucket, key(n), nil))); diff != "" {
				rt.Fatal("up from", n, diff)
			}
			if diff := cmp.Diff(append([]int(nil), down...), read(o.descend(bucket, key(n), nil))); diff != "" {
				rt.Fatal("down from", n, diff)
			}
			if k, _ := o.before(bucket, key(n), nil); (k == nil) != (at == 0) || k != nil && int(binary.BigEndian.Uint16(k)) != sorted[at-1] {
				rt.Fatalf("before %d: %v", n, k)
			}
		}
	})
}
