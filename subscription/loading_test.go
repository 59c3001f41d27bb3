package subscription

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/storetest"
)

// watched is a store that calls a function at each View of the log.
type watched struct {
	store.DB
	view func()
}

func (w watched) View(ctx context.Context, fn func(store.Reader) error) error {
	w.view()
	return w.DB.View(ctx, fn)
}

func TestMatcher_tellsHowManySubscriptionsItHasRead(t *testing.T) {
	db := storetest.NewModel()
	w := &world{t: t, db: db, gate: NewGate(testOptions(t))}
	const n = 2*startRows + 7
	_, err := db.Update(t.Context(), store.Origin{}, func(tx store.Writer) error {
		for i := range n {
			key := fhir.Key{Tenant: fhir.DefaultTenant, Type: fhir.Subscription, ID: fmt.Sprint("s", i)}
			in, err := fhir.Read(everydaySubscription(i).JSON, 0)
			if err == nil {
				_, err = store.Update(tx, key, in, "", nil)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	matchAll(t, w, MatcherOptions{Parse: testOptions(t)})

	var m *Matcher
	var seen []Loading
	m = NewMatcher(watched{db, func() {
		if now := m.Loading(); !slices.Contains(seen, now) {
			seen = append(seen, now)
		}
	}}, MatcherOptions{Parse: testOptions(t)})
	if err := m.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-m.Loaded()
	seen = append(seen, m.Loading())
	want := []Loading{{}, {0, n, false}, {startRows, n, false}, {2 * startRows, n, false}, {n, n, true}}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Error("(-want +got)\n" + diff)
	}
	if got := len(m.set.tenants[fhir.DefaultTenant].subs); got != n {
		t.Errorf("%d Subscriptions, want %d", got, n)
	}
}
