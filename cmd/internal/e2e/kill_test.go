package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"fhirhook/cmd/internal/app"
)

// TestKill_nothingIsLost kills the server at random moments under load and starts it again. Every write that
// was acknowledged must be notified to both Subscriptions, under gap-free numbers, and every duplicate
// carries the id and number of the first.
func TestKill_nothingIsLost(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, flaky())
	data := t.TempDir()
	quick := func(o *app.Options) { o.Log = nil }
	server := start(t, data, quick)
	retry := `,"extension":[{"url":"https://fhirhook.dev/StructureDefinition/subscription-retry","valueString":"exp:50ms,2,1s,1h"}]`
	for _, status := range []string{"completed", "completed,final"} {
		body := strings.Replace(seed0Plain, "ENDPOINT", r.URL, 1)
		body = strings.Replace(body, "status=completed", "status="+status, 1)
		server.create("Subscription", strings.TrimSuffix(body, "}")+retry+"}")
	}

	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	acknowledged := map[string]bool{}
	for round := range rounds {
		if round > 0 {
			server = start(t, data, quick)
		}
		alive := time.Duration(30+random.IntN(170)) * time.Millisecond
		for _, id := range load(server, alive, random.IntN(4) > 0) {
			acknowledged[id] = true
		}
	}
	server = start(t, data, quick)
	got := r.await(t, "what is owed after the last kill", func(got []notification) bool {
		return len(missing(acknowledged, got)) == 0 && gapless(got)
	})
	retries, duplicates := judge(t, got)
	t.Logf("%d rounds: %d writes acknowledged, %d notifications owed for them, 0 lost; %d retries, %d duplicates, each with its first id and number",
		rounds, len(acknowledged), 2*len(acknowledged), retries, duplicates)
	if code := server.stop(); code != 0 {
		t.Errorf("exit code %d, want 0\n%s", code, server.log)
	}
	if _, err := app.Check(t.Context(), data, "", app.Keys{}, func(uint64, uint64) {}); err != nil {
		t.Errorf("the store is not sound after %d kills: %v", rounds, err)
	}
}

// flaky answers 503 to every seventh request, so that kills also meet retries.
func flaky() http.HandlerFunc {
	var mu sync.Mutex
	n := 0
	return func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if n++; n%7 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
}

// load writes from several clients until the server, killed after the time given, is gone. The time begins with the first
// write that is acknowledged, so that there is one however slow the machine is, or else at once. It returns the ids of the
// writes that were acknowledged.
func load(server *process, alive time.Duration, acknowledged bool) []string {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var ids []string
	die := sync.OnceFunc(func() { time.AfterFunc(alive, server.kill) })
	if !acknowledged {
		die()
	}
	for range 4 {
		wg.Go(func() {
			for {
				a, err := server.request(http.MethodPost, "/DiagnosticReport", report)
				if err != nil || a.status != http.StatusCreated {
					return
				}
				location := a.header.Get("Location")
				_, id, _ := strings.Cut(location, "/DiagnosticReport/")
				mu.Lock()
				ids = append(ids, "DiagnosticReport/"+id)
				mu.Unlock()
				die()
			}
		})
	}
	wg.Wait()
	server.kill()
	return ids
}

// missing lists what was acknowledged and has not come to both Subscriptions.
func missing(acknowledged map[string]bool, got []notification) []string {
	arrived := map[string]map[string]bool{}
	for _, n := range got {
		if arrived[n.resource] == nil {
			arrived[n.resource] = map[string]bool{}
		}
		arrived[n.resource][n.subscription] = true
	}
	var lost []string
	for resource := range acknowledged {
		if len(arrived[resource]) < 2 {
			lost = append(lost, resource)
		}
	}
	return lost
}

// gapless tells whether every number up to the highest has come: those of writes that were stored but not
// acknowledged, too.
func gapless(got []notification) bool {
	numbers, highest := map[string]map[int]bool{}, map[string]int{}
	for _, n := range got {
		if numbers[n.subscription] == nil {
			numbers[n.subscription] = map[int]bool{}
		}
		numbers[n.subscription][n.sequence] = true
		highest[n.subscription] = max(highest[n.subscription], n.sequence)
	}
	for subscription, high := range highest {
		if len(numbers[subscription]) < high {
			return false
		}
	}
	return true
}

// judge checks identities and numbers. What came again under a new number of attempt is a retry; under a number
// that was seen before it is a duplicate, whose first outcome a kill kept from being recorded.
func judge(t *testing.T, got []notification) (retries, duplicates int) {
	t.Helper()
	type first struct {
		id       string
		number   int
		attempts map[string]bool
	}
	events, holders := map[string]first{}, map[string]string{}
	for _, n := range got {
		event, attempt := n.subscription+" "+n.resource, n.header.Get("X-Fhirhook-Attempt")
		known, again := events[event]
		if !again {
			holder := fmt.Sprintf("number %d of %s", n.sequence, n.subscription)
			if other := holders[holder]; other != "" {
				t.Errorf("%s was given to %s and %s", holder, other, n.resource)
			}
			holders[holder] = n.resource
			events[event] = first{n.id, n.sequence, map[string]bool{attempt: true}}
			continue
		}
		if known.id != n.id || known.number != n.sequence {
			t.Errorf("%s came as %s number %d and again as %s number %d", event, known.id, known.number, n.id, n.sequence)
		}
		if known.attempts[attempt] {
			duplicates++
		} else {
			retries++
		}
		known.attempts[attempt] = true
	}
	return retries, duplicates
}
