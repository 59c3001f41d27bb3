package storetest

import (
	"context"
	"testing"

	"fhirhook/fhir/store"
)

// Run proves an engine. open makes a new, empty store; reopen closes one and opens it again on the same
// data. The suite closes what it opened. Everything runs twice, the second time through Rerun, and each
// test ends with the engine's own Check.
func Run(t *testing.T, open func(t *testing.T) store.DB, reopen func(t *testing.T, db store.DB) store.DB) {
	t.Helper()
	plain := engine{open, reopen}
	doubled := engine{
		open: func(t *testing.T) store.DB { return Rerun(open(t)) },
		reopen: func(t *testing.T, db store.DB) store.DB {
			return Rerun(reopen(t, db.(*rerun).DB))
		},
	}
	t.Run("once", plain.run)
	t.Run("twice", doubled.run)
}

// engine is what the suite runs on.
type engine struct {
	open   func(t *testing.T) store.DB
	reopen func(t *testing.T, db store.DB) store.DB
}

func (e engine) run(t *testing.T) {
	topics := []struct {
		name  string
		tests []promise
	}{
		{"commit", commitTests},
		{"log", logTests},
		{"versions", versionTests},
		{"type", typeTests},
		{"history", historyTests},
		{"usage", usageTests},
		{"purge", purgeTests},
		{"wait", waitTests},
		{"queue", queueTests},
		{"attempts", attemptTests},
		{"jobs", jobTests},
		{"index", indexTests},
		{"life", lifeTests},
		{"model", modelTests},
	}
	for _, topic := range topics {
		t.Run(topic.name, func(t *testing.T) {
			for _, p := range topic.tests {
				t.Run(p.name, func(t *testing.T) { e.prove(t, p) })
			}
		})
	}
}

// promise is one test: its name says what the engine promises.
type promise struct {
	name string
	test func(t *testing.T, f *fixture)
}

// fixture is a store under test.
type fixture struct {
	engine
	db  store.DB
	ctx context.Context
}

func (e engine) prove(t *testing.T, p promise) {
	f := &fixture{engine: e, db: e.open(t), ctx: t.Context()}
	defer func() { // also when the test fails, and whichever store stands there by then
		if err := f.db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	p.test(t, f)
	if f.ctx.Err() == nil && f.db.View(f.ctx, func(store.Reader) error { return nil }) == nil {
		if err := f.db.Check(f.ctx, nil); err != nil {
			t.Errorf("check at the end: %v", err)
		}
	}
}

func (f *fixture) again(t *testing.T) {
	t.Helper()
	f.db = f.reopen(t, f.db)
}
