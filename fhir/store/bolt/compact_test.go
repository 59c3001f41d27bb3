package bolt

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"fhirhook/fhir/store"
)

// compactFolder names the environment variable that makes the test binary compact a folder, to be killed meanwhile.
const compactFolder = "FHIRHOOK_TEST_COMPACT_FOLDER"

// written makes a store in which most was purged, and closes it.
func written(t *testing.T, opts Options) (dir string) {
	t.Helper()
	dir = t.TempDir()
	opts.noSync = true
	db := mustOpen(t, dir, opts)
	var last store.Commit
	text := strings.Repeat("x", 500)
	purge := store.Purge{}
	for round := range 40 {
		var err error
		last, err = db.Update(t.Context(), store.Origin{RequestKey: fmt.Sprint(round)}, func(w store.Writer) error {
			var errs []error
			for id := range 25 {
				errs = append(errs, appendPatient(fmt.Sprint(id), text)(w))
			}
			return errors.Join(errs...)
		})
		if err != nil {
			t.Fatal(err)
		}
		for id := range 25 {
			if round > 0 && id > 0 {
				purge.Gone = append(purge.Gone, store.Version{Key: killKey(fmt.Sprint(id)), Number: uint64(round)})
			}
		}
	}
	purge.Horizon = last.Seq
	purge.Held = []store.Version{{Key: killKey("0"), Number: 1}}
	if _, err := db.Purge(t.Context(), purge); err != nil {
		t.Fatal(err)
	}
	for n := range 30 {
		if _, err := oweNext(db, store.Lane{Tenant: "t", Subscription: fmt.Sprint(n % 3)}, store.Seq(n+1)); err != nil {
			t.Fatal(err)
		}
	}
	err := errors.Join(
		db.Queue().Update(t.Context(), store.Lease{}, func(w store.QueueWriter) error {
			return w.Record(store.Attempt{Lane: store.Lane{Tenant: "t", Subscription: "0"}, Number: 1, Time: last.Time, State: store.Failed})
		}),
		db.Index().Update(t.Context(), store.Lease{}, func(w store.IndexWriter) error {
			return errors.Join(w.Put("shelf", []byte("key"), []byte("value")), w.Put("another", []byte("key"), []byte("value")))
		}),
		db.Close())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// rowsOf is a digest of all that a folder's files hold, but for how often they were opened.
func rowsOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, h := range []half{resourcesHalf, queueHalf, indexHalf} {
		db, err := bbolt.Open(filepath.Join(dir, h.name), 0o600, &bbolt.Options{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		digest := sha256.New()
		var walk func(name string, b *bbolt.Bucket) error
		walk = func(name string, b *bbolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				if string(k) == string(metaOpened) {
					return nil
				}
				fmt.Fprintf(digest, "%s %q %q\n", name, k, v)
				if nested := b.Bucket(k); v == nil && nested != nil {
					return walk(name+"/"+string(k), nested)
				}
				return nil
			})
		}
		err = db.View(func(tx *bbolt.Tx) error {
			return tx.ForEach(func(name []byte, b *bbolt.Bucket) error { return walk(string(name), b) })
		})
		if err = errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		all[h.name] = hex.EncodeToString(digest.Sum(nil))
	}
	return all
}

func TestCompact_keepsEverythingInLessSpace(t *testing.T) {
	t.Parallel()
	sealing := Sealing{Ring: ringOf(t), Types: every}
	dir := written(t, Options{Sealing: sealing})
	before := rowsOf(t, dir)
	sizes := map[string]Compaction{}
	steps := 0
	err := Compact(t.Context(), dir, Options{copying: 16 << 10}, func(p Compaction) { // without the key
		if p.Copied > p.Live || p.After > 0 && sizes[p.File].After > 0 {
			t.Errorf("%+v behind %+v", p, sizes[p.File])
		}
		sizes[p.File] = p
		steps++
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, rowsOf(t, dir)); diff != "" {
		t.Errorf("other contents: %s", diff)
	}
	if len(sizes) != 3 || steps < 10 {
		t.Errorf("%d reports of %d files", steps, len(sizes))
	}
	if log := sizes[resourcesHalf.name]; log.After == 0 || log.After > log.Before/2 {
		t.Errorf("%s: %d bytes were %d", log.File, log.After, log.Before)
	}
	db := mustOpen(t, dir, Options{noSync: true, Sealing: sealing})
	if err := db.Check(t.Context(), nil); err != nil {
		t.Error(err)
	}
	put(t, db, "25", "0")
}

func TestCompact_refusesWhileTheStoreIsInUse(t *testing.T) {
	t.Parallel()
	dir := written(t, Options{})
	before := rowsOf(t, dir)
	db := mustOpen(t, dir, Options{noSync: true})
	if err := Compact(t.Context(), dir, Options{}, func(Compaction) {}); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("%v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, rowsOf(t, dir)); diff != "" {
		t.Error(diff)
	}
}

func TestCompact_refusesAFolderWithoutAStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := Compact(t.Context(), dir, Options{}, func(Compaction) {}); err == nil {
		t.Error("it was compacted")
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
		t.Errorf("%v, %v", names, err)
	}
}

func TestCompact_leavesAllAsItWasWhenItIsStopped(t *testing.T) {
	t.Parallel()
	dir := written(t, Options{})
	before := rowsOf(t, dir)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	err := Compact(ctx, dir, Options{copying: 8 << 10}, func(Compaction) { stop() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if diff := cmp.Diff(before, rowsOf(t, dir)); diff != "" {
		t.Error(diff)
	}
	noLeftovers(t, dir)
}

func TestCompact_failsWhenTheDiskIsFull(t *testing.T) {
	t.Parallel()
	dir := written(t, Options{})
	before := rowsOf(t, dir)
	if err := Compact(t.Context(), dir, Options{maxSize: 64 << 10}, func(Compaction) {}); err == nil {
		t.Error("it was compacted")
	}
	if diff := cmp.Diff(before, rowsOf(t, dir)); diff != "" {
		t.Error(diff)
	}
	noLeftovers(t, dir)
}

func TestCompact_leavesAnIndexToTheNextStartThatItCantRead(t *testing.T) {
	t.Parallel()
	dir := written(t, Options{})
	if err := os.WriteFile(filepath.Join(dir, indexHalf.name), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	files := map[string]bool{}
	if err := Compact(t.Context(), dir, Options{}, func(p Compaction) { files[p.File] = true }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]bool{resourcesHalf.name: true, queueHalf.name: true}, files); diff != "" {
		t.Error(diff)
	}
	mustOpen(t, dir, Options{noSync: true})
}

// Killed at any moment it leaves each file as it was or compact, and the next start clears up.
func TestCompact_survivesKill(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := written(t, Options{})
	want := rowsOf(t, dir)
	for range 12 {
		killedCompaction(t, self, dir, rand.IntN(100))
		if diff := cmp.Diff(want, rowsOf(t, dir)); diff != "" {
			t.Fatal(diff)
		}
		db := mustOpen(t, dir, Options{noSync: true})
		if err := errors.Join(db.Check(t.Context(), nil), db.Close()); err != nil {
			t.Fatal(err)
		}
		noLeftovers(t, dir)
	}
}

// killedCompaction kills a compaction behind some of its reports; 0: as soon as it begins.
func killedCompaction(t *testing.T, self, dir string, after int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), compactFolder+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		if n == after {
			_ = cmd.Process.Kill()
		}
		if text, done := strings.CutPrefix(lines.Text(), "done "); done && text != "<nil>" {
			t.Errorf("it failed: %s", text)
		}
	}
	_ = cmd.Wait() // it was killed, or had ended
}

func noLeftovers(t *testing.T, dir string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, "*"+compactSuffix))
	if err != nil || len(left) > 0 {
		t.Errorf("%v are left: %v", left, err)
	}
}

func TestDB_purgesWhatIsSealed(t *testing.T) {
	t.Parallel()
	dir, sealing := t.TempDir(), Sealing{Ring: ringOf(t), Types: every}
	db := mustOpen(t, dir, Options{noSync: true, Sealing: sealing})
	put(t, db, "a", "a")
	step := store.Purge{Horizon: 2, Gone: []store.Version{{Key: killKey("a"), Number: 1}}}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	locked := mustOpen(t, dir, Options{noSync: true})
	if _, err := locked.Purge(t.Context(), step); err == nil {
		t.Error("what nobody can read was purged, and nobody knows how large it was")
	}
	if err := locked.Close(); err != nil {
		t.Fatal(err)
	}
	db = mustOpen(t, dir, Options{noSync: true, Sealing: sealing})
	if _, err := db.Purge(t.Context(), step); err != nil {
		t.Fatal(err)
	}
	err := db.View(t.Context(), func(r store.Reader) error {
		newest, err := r.Read(killKey("a"), r.Last())
		if err != nil {
			return err
		}
		u, err := r.Usage("t")
		if want := (store.Usage{Resources: 1, Bytes: int64(len(newest.JSON))}); u != want {
			t.Errorf("%+v is used, want %+v", u, want)
		}
		return err
	})
	if err := errors.Join(err, db.Check(t.Context(), nil)); err != nil {
		t.Error(err)
	}
}
