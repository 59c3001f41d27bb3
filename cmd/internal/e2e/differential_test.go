package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestMeaning_notifiedEqualsFoundEqualsModel writes a random history of creates, updates, deletes and revivals
// under random criteria. For each write and each Subscription three answers must be the same: was it
// notified of that version, does the search with its criteria find that version at that place in the log, and
// what does a model say that works on the values themselves and knows no FHIR (invariant 5).
func TestMeaning_notifiedEqualsFoundEqualsModel(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	server, r := start(t, t.TempDir()), newReceiver(t, nil)

	const subscriptions, writes, ids = 40, 250, 12
	var subscribed []subscribedTo
	for range subscriptions {
		c := randomCriteria(random)
		text := strings.Replace(seed0Plain, "ENDPOINT", r.URL, 1)
		text = strings.Replace(text, "DiagnosticReport?status=completed", c.text(), 1)
		subscribed = append(subscribed, subscribedTo{server.create("Subscription", text), c})
	}

	expected, searches := map[string]bool{}, 0
	alive := map[string]bool{}
	for range writes {
		id := fmt.Sprintf("o%d", random.IntN(ids))
		if alive[id] && random.IntN(6) == 0 {
			server.must(http.StatusNoContent, http.MethodDelete, "/Observation/"+id, "")
			alive[id] = false
			continue // by default a delete notifies nobody
		}
		o := randomObservation(random)
		a, err := server.request(http.MethodPut, "/Observation/"+id, o.json(id))
		if err != nil || a.status != http.StatusOK && a.status != http.StatusCreated {
			t.Fatalf("PUT: %v %d %s", err, a.status, a.body)
		}
		alive[id] = true
		version := a.header.Get("ETag")
		reference := fmt.Sprintf("Observation/%s/_history/%s", id, strings.Trim(version, `W/"`))
		noop := expectedOnce(expected, reference)
		for _, s := range subscribed {
			searches++
			model := s.criteria.match(o)
			found := finds(t, server, s.criteria, id)
			if found != model {
				t.Errorf("GET %s finds %s: %t, the model says %t\n%s", s.criteria.text(), reference, found, model, a.body)
			}
			if !noop {
				expected[s.id+" "+reference] = model
			}
		}
	}

	owed := 0
	for _, yes := range expected {
		if yes {
			owed++
		}
	}
	events := func(got []notification) map[string]bool {
		all := map[string]bool{}
		for _, n := range got {
			all[n.subscription+" "+n.resource] = true
		}
		return all
	}
	got := events(r.await(t, "what is owed", func(got []notification) bool { return len(events(got)) >= owed }))
	for event := range got {
		if !expected[event] {
			t.Errorf("notified of %s, which the model doesn't match", event)
		}
	}
	for event, yes := range expected {
		if yes && !got[event] {
			t.Errorf("not notified of %s", event)
		}
	}
	t.Logf("%d writes, %d criteria: %d searches and %d notifications, 0 differences", writes, subscriptions, searches, owed)
}

type subscribedTo struct {
	id       string
	criteria criteriaModel
}

// expectedOnce tells whether a version was there before, which is so for an update that changed nothing.
func expectedOnce(expected map[string]bool, reference string) bool {
	for event := range expected {
		if strings.HasSuffix(event, " "+reference) {
			return true
		}
	}
	return false
}

// finds searches with the criteria, narrowed down to one resource.
func finds(t *testing.T, server *process, c criteriaModel, id string) bool {
	t.Helper()
	separator := "?"
	if len(c) > 0 {
		separator = "&"
	}
	a := server.must(http.StatusOK, http.MethodGet, "/"+c.query()+separator+"_id="+id, "")
	total, _ := a.json(t)["total"].(float64)
	return total == 1
}

// criteriaModel is a conjunction of terms.
type criteriaModel []term

// term is a search parameter with its value, and what it means.
type term struct {
	name, value string
	match       func(observation) bool
}

func (c criteriaModel) match(o observation) bool {
	for _, t := range c {
		if !t.match(o) {
			return false
		}
	}
	return true
}

func (c criteriaModel) join(escape func(string) string) string {
	var parts []string
	for _, t := range c {
		parts = append(parts, t.name+"="+escape(t.value))
	}
	text := "Observation"
	if len(parts) > 0 {
		text += "?" + strings.Join(parts, "&")
	}
	return text
}

// text is the Subscription's criteria, query the URL of the search.
func (c criteriaModel) text() string  { return c.join(func(s string) string { return s }) }
func (c criteriaModel) query() string { return c.join(url.QueryEscape) }
