package bolt

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// killFolder names the environment variable that makes the test binary a writer to be killed.
const killFolder = "FHIRHOOK_TEST_KILL_FOLDER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(compactFolder); dir != "" {
		fmt.Println("ready")
		err := Compact(context.Background(), dir, Options{copying: 8 << 10}, func(p Compaction) { fmt.Println(p.File, p.Rows, p.After) })
		fmt.Println("done", err)
		os.Exit(0)
	}
	if dir := os.Getenv(killFolder); dir != "" {
		fmt.Fprintln(os.Stderr, writeUntilKilled(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeUntilKilled writes from some goroutines, to both halves, and prints each commit when it is acknowledged.
func writeUntilKilled(dir string) error {
	db, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	failed := make(chan error)
	for n := range 6 {
		go func() {
			for {
				id := fhir.NewID()
				c, err := db.Update(context.Background(), store.Origin{RequestKey: id}, func(w store.Writer) error {
					return errors.Join(appendPatient(id, "first")(w), appendPatient(id, "second")(w))
				})
				if err == nil && n == 0 {
					if _, err = db.Purge(context.Background(), store.Purge{Horizon: c.Seq, Gone: []store.Version{{Key: killKey(id), Number: 1}}}); err == nil {
						fmt.Printf("purged %s\n", id)
					}
				}
				if err == nil {
					fmt.Printf("row %d %s\n", c.Seq, id)
					err = owe(db, store.Lane{Tenant: "t", Subscription: fmt.Sprint(n)}, c.Seq)
				}
				if err != nil {
					failed <- err
				}
			}
		}()
	}
	return <-failed
}

func killKey(id string) fhir.Key { return fhir.Key{Tenant: "t", Type: "Patient", ID: id} }

// owe gives a lane its next number, and settles every third.
func owe(db *DB, lane store.Lane, seq store.Seq) error {
	number, err := oweNext(db, lane, seq)
	if err == nil {
		fmt.Printf("owed %s %d\n", lane.Subscription, number)
	}
	return err
}

func oweNext(db *DB, lane store.Lane, seq store.Seq) (number uint64, err error) {
	err = db.Queue().Update(context.Background(), store.Lease{}, func(w store.QueueWriter) error {
		r, err := w.Lane(lane)
		if err != nil {
			return err
		}
		number = r.Next
		r.Next++
		err = errors.Join(w.PutLane(r), w.Owe(store.Notification{Lane: lane, Number: number, Version: uint64(seq)}),
			w.SetCursor(lane.Subscription, store.Cursor{Seq: seq}))
		if number%3 == 0 {
			err = errors.Join(err, w.Settle(lane, number-1))
		}
		return err
	})
	return number, err
}

// Acknowledged means durable: in each round a process writes and is killed at a random moment, and every
// commit that it printed must be there.
func TestDB_survivesKill(t *testing.T) {
	const rounds = 20
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	acknowledged := 0
	for round := range rounds {
		lines := killedRound(t, self, dir, 1+rand.IntN(200))
		acknowledged += len(lines)
		db := mustOpen(t, dir, Options{})
		for _, line := range lines {
			if err := proveThere(db, line); err != nil {
				t.Errorf("round %d: %q was acknowledged: %v", round, line, err)
			}
		}
		if err := db.Check(t.Context(), nil); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d rounds, %d commits acknowledged, all there", rounds, acknowledged)
}

// killedRound starts a writer, kills it after some acknowledged commits and returns all it printed.
func killedRound(t *testing.T, self, dir string, after int) (lines []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), killFolder+"="+dir)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	var once sync.Once
	for {
		line, err := r.ReadString('\n')
		if err != nil { // what comes behind a cut line was never acknowledged
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			break
		}
		if line != "ready\n" {
			lines = append(lines, strings.TrimSpace(line))
		}
		if len(lines) == after {
			once.Do(func() { _ = cmd.Process.Kill() })
		}
	}
	_ = cmd.Wait() // it was killed
	if len(lines) < after {
		t.Fatalf("the writer ended by itself: %s", stderr.String())
	}
	return lines
}

func proveThere(db *DB, line string) error {
	var seq store.Seq
	var id, lane string
	var number uint64
	if n, _ := fmt.Sscanf(line, "row %d %s", &seq, &id); n == 2 {
		return db.View(context.Background(), func(r store.Reader) error {
			got, err := r.Read(killKey(id), seq)
			if err != nil {
				return err
			}
			if _, err := r.Version(killKey(id), 1); err != nil && !errors.Is(err, store.ErrPurged) {
				return err
			}
			if at, err := r.Request(id); err != nil || at != seq || got.Version != 2 {
				return fmt.Errorf("request at %d, %w; version %d", at, err, got.Version)
			}
			return nil
		})
	}
	if n, _ := fmt.Sscanf(line, "purged %s", &id); n == 1 {
		return db.View(context.Background(), func(r store.Reader) error {
			if _, err := r.Version(killKey(id), 1); !errors.Is(err, store.ErrPurged) {
				return fmt.Errorf("version 1: %w", err)
			}
			return nil
		})
	}
	if n, _ := fmt.Sscanf(line, "owed %s %d", &lane, &number); n != 2 {
		return errors.New("the line makes no sense")
	}
	return db.Queue().View(context.Background(), func(r store.QueueReader) error {
		record, err := r.Lane(store.Lane{Tenant: "t", Subscription: lane})
		if err == nil && record.Next <= number {
			err = fmt.Errorf("next is %d", record.Next)
		}
		return err
	})
}
