package e2e_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// seeds holds the receivers of the product pages, which seeds_all_test.go runs.
const seeds = "../../../testdata/seeds/"

// A diff beside a sample tells all that was done to what the page prints.
func TestSeeds_diffsTellEveryRepair(t *testing.T) {
	t.Parallel()
	diffs, err := filepath.Glob(seeds + "*/*.diff")
	if err != nil || len(diffs) != 3 {
		t.Fatalf("%d diffs, %v", len(diffs), err)
	}
	for _, path := range diffs {
		text := contents(t, path)
		_, hunk, found := strings.Cut(text, "@@\n")
		if !found || strings.Contains(hunk, "@@ -") {
			t.Fatalf("%s isn't one hunk", path)
		}
		var printed, repaired strings.Builder
		for line := range strings.Lines(hunk) {
			if line[0] != '+' {
				printed.WriteString(line[1:])
			}
			if line[0] != '-' {
				repaired.WriteString(line[1:])
			}
		}
		name := strings.TrimSuffix(path, ".diff")
		if printed.String() != contents(t, name+".printed.txt") {
			t.Errorf("%s is not against what is printed", path)
		}
		runs, err := filepath.Glob(name + ".[jp]*[sy]")
		if err != nil || len(runs) != 1 {
			t.Fatalf("%s is of %v, %v", path, runs, err)
		}
		if repaired.String() != contents(t, runs[0]) {
			t.Errorf("%s does not lead to what is run", path)
		}
	}
}

func contents(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Seed 0's "retry after 1s, 2s" with a real clock, and a list of waits with one. The bound above is wide, for a
// machine may be busy; the fake clock of the package subscription is where waits are exact.
func TestSeeds_firstTwoWaitsInRealTime(t *testing.T) {
	t.Parallel()
	refuse := func(times int) http.HandlerFunc {
		return func(w http.ResponseWriter, q *http.Request) {
			if q.Header.Get("X-Fhirhook-Attempt") <= string(rune('0'+times)) {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}
	}
	kit, list := newReceiver(t, refuse(2)), newReceiver(t, refuse(9))
	server := start(t, t.TempDir())
	server.create("Subscription", strings.Replace(seed0Plain, "ENDPOINT", kit.URL, 1))
	id := server.create("Subscription", strings.Replace(strings.Replace(seed0Plain, "ENDPOINT", list.URL, 1), `"channel"`,
		`"extension":[{"url":"https://fhirhook.dev/StructureDefinition/subscription-retry","valueString":"200ms,400ms"}],"channel"`, 1))
	server.create("DiagnosticReport", report)

	waited := func(r *receiver, jitter float64, waits ...time.Duration) {
		t.Helper()
		got := r.await(t, "every attempt", atLeast(len(waits)+1))
		for i, wait := range waits {
			// Times are stored in milliseconds, so that a wait may come out one short.
			least := time.Duration(float64(wait)*(1-jitter)) - time.Millisecond
			most := time.Duration(float64(wait)*(1+jitter)) + time.Minute
			if gap := got[i+1].at.Sub(got[i].at); gap < least || gap > most {
				t.Errorf("wait %d was %s, want %s", i+1, gap, wait)
			}
			if got[i].id != got[0].id {
				t.Errorf("attempt %d has another id", i+1)
			}
		}
	}
	waited(list, 0, 200*time.Millisecond, 400*time.Millisecond)
	waited(kit, 0.1, time.Second, 2*time.Second)
	eventually(t, "the end of the list", func() bool {
		page := string(server.must(200, "GET", "/Subscription/"+id+"/$deliveries?status=failed", "").body)
		return strings.Contains(page, `"total":1`)
	})
	if n := len(list.all()); n != 3 {
		t.Errorf("a list of two waits made %d requests, want 3", n)
	}
	if n := len(kit.all()); n != 3 {
		t.Errorf("%d requests, though the third was answered with 200", n)
	}
}
