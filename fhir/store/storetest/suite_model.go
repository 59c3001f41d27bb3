package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

var modelTests = []promise{
	{"behavesAsTheModelDoes", func(t *testing.T, f *fixture) {
		rapid.Check(t, func(rt *rapid.T) {
			p := &pair{rt: rt, ctx: f.ctx, engine: f.open(t), model: newModel(time.Now)}
			defer func() { _ = p.engine.Close() }()
			rt.Repeat(map[string]func(*rapid.T){
				"write":  p.write,
				"read":   p.read,
				"queue":  p.queue,
				"purge":  p.purge,
				"reopen": func(*rapid.T) { p.engine, p.model = f.reopen(t, p.engine), p.model.reopen() },
				"":       p.compare,
			})
			if err := p.engine.Check(p.ctx, nil); err != nil {
				rt.Fatal(err)
			}
		})
	}},
}

// pair is an engine and the model, to which the same is done.
type pair struct {
	rt     *rapid.T
	ctx    context.Context
	engine store.DB
	model  *model
}

var (
	someTenants = rapid.SampledFrom([]string{"t", "t.", "tt"})
	someTypes   = rapid.SampledFrom([]fhir.Type{"Patient", "PatientX", "Subscription"})
	someIDs     = rapid.SampledFrom([]string{"a", "a-", "a.b", "b", "B"})
	someKeys    = rapid.Custom(func(t *rapid.T) fhir.Key {
		return fhir.Key{Tenant: someTenants.Draw(t, "tenant"), Type: someTypes.Draw(t, "type"), ID: someIDs.Draw(t, "id")}
	})
	someWrites = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) write {
		return write{
			key: someKeys.Draw(t, "key"), text: rapid.StringMatching(`[a-z]{0,12}`).Draw(t, "text"),
			delete: rapid.IntRange(0, 4).Draw(t, "delete") == 0,
		}
	}), 0, 5)
)

// same fails unless both said the same.
func (p *pair) same(what string, engine, model any) {
	if reflect.DeepEqual(engine, model) { // the common case, and quicker to see
		return
	}
	if diff := cmp.Diff(model, engine); diff != "" {
		p.rt.Fatalf("%s: model -, engine +\n%s", what, diff)
	}
}

// text turns an error into what can be compared.
func text(err error) string {
	for _, known := range []error{store.ErrPurged, store.ErrNotReplaced, store.ErrNotFound, store.ErrRepeated, errRefused} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	if err != nil {
		return "another error"
	}
	return ""
}

func (p *pair) write(rt *rapid.T) {
	writes := someWrites.Draw(rt, "writes")
	fails := rapid.IntRange(0, 4).Draw(rt, "fails") == 0
	origin := store.Origin{
		Actor:      rapid.SampledFrom([]string{"", "Ada"}).Draw(rt, "actor"),
		RequestKey: rapid.SampledFrom([]string{"", "", "k1", "k2", "k3"}).Draw(rt, "request key"),
		Server:     rapid.Bool().Draw(rt, "server"),
	}
	tenant := someTenants.Draw(rt, "seen tenant")
	apply := func(db store.DB) (commit store.Commit, seen []string, err error) {
		commit, err = db.Update(p.ctx, origin, func(w store.Writer) error {
			seen = nil
			for _, x := range writes {
				if err := x.append(w); err != nil {
					return err
				}
				seen = append(seen, tell(w.Read(x.key, w.Last()-1)), fmt.Sprint(w.Last()))
			}
			for _, x := range writes[max(0, len(writes)-1):] {
				uses, err := w.Usage(x.key.Tenant)
				seen = append(seen, fmt.Sprint(uses, err))
				seen = append(seen, names(w.Type(tenant, x.key.Type, "", w.Last())), changes(w.History(store.Scope{Tenant: tenant}, 0)))
			}
			if fails {
				return errRefused
			}
			return nil
		})
		return commit, seen, err
	}
	commit, seen, err := apply(p.engine)
	p.model.now = func() time.Time { return commit.Time }
	modelCommit, modelSeen, modelErr := apply(p.model)
	p.same("outcome", text(err), text(modelErr))
	p.same("seen inside", seen, modelSeen)
	p.same("commit", commit, modelCommit)
}

func (p *pair) read(rt *rapid.T) {
	key, at := someKeys.Draw(rt, "key"), store.Seq(rapid.IntRange(0, 40).Draw(rt, "at"))
	after := rapid.SampledFrom([]string{"", "a", "a-", "a.b", "b", "0"}).Draw(rt, "after")
	version := rapid.Uint64Range(0, 6).Draw(rt, "version")
	request := rapid.SampledFrom([]string{"", "k1", "k2", "k3"}).Draw(rt, "request key")
	look := func(db store.DB) (seen []any) {
		err := db.View(p.ctx, func(r store.Reader) error {
			at1, err1 := r.Read(key, at)
			at2, err2 := r.Version(key, version)
			seq, err3 := r.Request(request)
			seen = append(seen, r.Last(), versionOf(at1), versionOf(at2), seq, text(err1), text(err2), text(err3),
				names(r.Type(key.Tenant, key.Type, after, at)), changes(r.Changes(at)))
			uses, err := r.Usage(key.Tenant)
			seen = append(seen, uses, text(err))
			for _, scope := range []store.Scope{store.Scope(key), {Tenant: key.Tenant, Type: key.Type}, {Tenant: key.Tenant}} {
				seen = append(seen, changes(r.History(scope, at)))
			}
			return nil
		})
		if err != nil {
			rt.Fatal(err)
		}
		return seen
	}
	p.same("read", look(p.engine), look(p.model))
}

var (
	someLanes = rapid.Custom(func(t *rapid.T) store.Lane {
		return store.Lane{Tenant: someTenants.Draw(t, "tenant"), Subscription: someIDs.Draw(t, "subscription")}
	})
	someSteps = rapid.SliceOfN(rapid.Custom(drawStep), 1, 8)
)

// drawStep draws one thing to do with the queue.
func drawStep(t *rapid.T) func(store.QueueWriter) error {
	l := someLanes.Draw(t, "lane")
	number := rapid.Uint64Range(1, 5).Draw(t, "number")
	at := noon.AddDate(0, 0, rapid.IntRange(0, 3).Draw(t, "day"))
	minutes := rapid.IntRange(0, 3).Draw(t, "minutes")
	switch rapid.IntRange(0, 7).Draw(t, "step") {
	case 0, 1, 2:
		return oweAll(owe(l, number, minutes))
	case 3, 4:
		return func(w store.QueueWriter) error { return w.Settle(l, number) }
	case 5:
		a := attempt(l, number, at)
		a.Cause = rapid.SampledFrom([]string{"", "Patient/p/_history/4"}).Draw(t, "cause")
		return func(w store.QueueWriter) error { return w.Record(a) }
	case 6:
		return func(w store.QueueWriter) error {
			_, err := w.Expire(at)
			return err
		}
	default:
		return func(w store.QueueWriter) error {
			r, err := w.Lane(l)
			r.Head, r.Failures, r.BreakerOpen, r.ProbeAt = number, minutes, minutes > 1, at
			r.FailingSince, r.OpenedAt, r.ClosedAt, r.Armed = at.Add(1), at.Add(2), at.Add(3), at.Add(4)
			return errors.Join(err, w.PutLane(r), w.SetCursor(l.Subscription, store.Cursor{Step: number}))
		}
	}
}

func (p *pair) queue(rt *rapid.T) {
	steps := someSteps.Draw(rt, "steps")
	fails := rapid.IntRange(0, 4).Draw(rt, "fails") == 0
	apply := func(db store.DB) (seen map[store.Lane]laneDump, err error) {
		err = db.Queue().Update(p.ctx, store.Lease{}, func(w store.QueueWriter) error {
			for _, step := range steps {
				if err := step(w); err != nil {
					return err
				}
			}
			var err error
			if seen, err = dumpQueue(w); err == nil && fails {
				err = errRefused
			}
			return err
		})
		return seen, err
	}
	seen, err := apply(p.engine)
	modelSeen, modelErr := apply(p.model)
	p.same("outcome", text(err), text(modelErr))
	p.same("seen inside", seen, modelSeen)
}

// compare reads everything.
func (p *pair) compare(rt *rapid.T) {
	look := func(db store.DB) (rows []row, lanes map[store.Lane]laneDump, cursors []store.Cursor, kept []any) {
		err := errors.Join(
			db.View(p.ctx, func(r store.Reader) error {
				all, err := collect(r.Changes(0))
				for _, c := range all {
					rows = append(rows, rowOf(c))
				}
				kept = append(kept, forgotten(r))
				return err
			}),
			db.Queue().View(p.ctx, func(r store.QueueReader) (err error) {
				lanes, err = dumpQueue(r)
				for _, l := range slices.SortedFunc(maps.Keys(lanes), compareLanes) {
					c, cursorErr := r.Cursor(l.Subscription)
					some, numbers, tracesErr := traces(r, l)
					cursors, err = append(cursors, c), errors.Join(err, cursorErr, tracesErr)
					kept = append(kept, some, numbers)
				}
				return err
			}))
		if err != nil {
			rt.Fatal(err)
		}
		return rows, lanes, cursors, kept
	}
	rows, lanes, cursors, kept := look(p.engine)
	modelRows, modelLanes, modelCursors, modelKept := look(p.model)
	p.same("log", rows, modelRows)
	p.same("queue", lanes, modelLanes)
	p.same("cursors", cursors, modelCursors)
	p.same("traces", kept, modelKept)
}
