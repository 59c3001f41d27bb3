package subscription

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// told is a Notifier that counts what is owed.
type told struct {
	mu   sync.Mutex
	owed int
}

func (n *told) Notify(news []*News) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, one := range news {
		n.owed += len(one.Owed)
	}
}

func (n *told) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.owed
}

func (w *world) last() (at store.Seq) {
	w.t.Helper()
	err := w.db.View(context.Background(), func(r store.Reader) error {
		at = r.Last()
		return nil
	})
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	return at
}

// Whoever has waited finds the verdicts in the queue, and the lanes told, however many wait at once.
func TestPassed_verdictsAreThereAndLanesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, testOptions(t))
		notify := &told{}
		m := NewMatcher(w.db, MatcherOptions{Parse: testOptions(t), Notify: notify})
		ctx, stop := context.WithCancel(context.Background())
		var parts sync.WaitGroup
		parts.Go(func() {
			if err := m.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		w.write("t", fhir.Subscription, "s", `{"resourceType":"Subscription","id":"s","status":"requested","reason":"test","criteria":"Patient","channel":{"type":"rest-hook","endpoint":"https://a.example/hook"}}`)
		for n := 1; n <= 50; n++ {
			id := fmt.Sprint("p", n)
			w.write("t", "Patient", id, `{"resourceType":"Patient","id":"`+id+`"}`)
			at := w.last()
			var waiting sync.WaitGroup
			for range 4 {
				waiting.Go(func() {
					if err := m.Passed(context.Background(), at); err != nil {
						t.Error(err)
					}
					if got := w.lane(store.Lane{Tenant: "t", Subscription: "s"}).Owed; got != uint64(n) || notify.count() != n {
						t.Errorf("behind write %d %d are owed, and the lane was told of %d", n, got, notify.count())
					}
				})
			}
			waiting.Wait()
		}
		stop()
		parts.Wait()
	})
}

func TestPassed_endsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMatcher(newWorld(t, testOptions(t)).db, MatcherOptions{Parse: testOptions(t)})
		if err := m.Passed(context.Background(), 0); err != nil {
			t.Errorf("at a place that is passed: %v", err)
		}
		began := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := m.Passed(ctx, 1); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("while nobody matches: %v after %s", err, time.Since(began))
		}
	})
}
