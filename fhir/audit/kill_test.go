package audit_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fhirhook/fhir/audit"
	"fhirhook/fhir/rest"
)

// killFolder names the environment variable that makes the test binary a writer to be killed.
const killFolder = "FHIRHOOK_TEST_KILL_FOLDER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(killFolder); dir != "" {
		fmt.Fprintln(os.Stderr, recordUntilKilled(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// recordUntilKilled records from some goroutines, and prints what is durable.
func recordUntilKilled(dir string) error {
	l, err := audit.Open(audit.Options{Dir: dir, Sync: true})
	if err != nil {
		return err
	}
	for n := range 4 {
		go func() { // stops with the process
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), n, i)
				d := deed("default", id)
				d.Query = strings.Repeat("x", rand.IntN(3000))
				l.Record([]rest.Deed{d})
				fmt.Println(id)
			}
		}()
	}
	return l.Run(context.Background())
}

// TestLog_survivesKill: in each round a process records and is killed at a random moment. Everything of which it was told
// that it is durable is found, and what was being written then is in nobody's way, wherever it was cut off.
func TestLog_survivesKill(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "audit")
	durable := map[string]bool{}
	for range 5 {
		for _, id := range killed(t, self, dir, 1+rand.IntN(100)) {
			durable[id] = true
		}
		names, err := filepath.Glob(filepath.Join(dir, "*.log"))
		if err != nil || len(names) == 0 {
			t.Fatalf("%v, %v", names, err)
		}
		appendTo(t, names[len(names)-1], `9f2c01aa 1769860800000 default {"r":"x","i":"re`[:rand.IntN(40)])
		w := &world{t: t, dir: dir}
		w.set(time.Now())
		w.open()
		missing := len(durable)
		for _, r := range w.all("default") {
			id, _ := strings.CutPrefix(told(r), "Patient/")
			if id, _, _ = strings.Cut(id, "/"); durable[id] {
				missing--
			}
		}
		w.stop()
		if missing > 0 {
			t.Errorf("%d of %d are gone", missing, len(durable))
		}
		if err := audit.Check(dir, nil); err != nil {
			t.Error(err)
		}
	}
}

// killed starts a writer, kills it after some were durable, and returns those that it printed.
func killed(t *testing.T, self, dir string, after int) (ids []string) {
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
	for {
		line, err := r.ReadString('\n')
		if err != nil { // what comes behind a cut line was not told
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			break
		}
		if ids = append(ids, strings.TrimSpace(line)); len(ids) == after {
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Wait() // it was killed
	if len(ids) < after {
		t.Fatalf("the writer ended by itself: %s", stderr.String())
	}
	return ids
}
