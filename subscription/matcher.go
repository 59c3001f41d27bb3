package subscription

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// MatcherName is the name of the Matcher's cursor and of its lease.
const MatcherName = "matcher"

// bounds of one step, so that memory stays the same whatever the log and the fan-out are.
type bounds struct {
	rows     int
	bytes    int // of JSON; a single bigger row goes alone
	verdicts int
	quiet    store.Seq // rows that owed nothing, before the cursor is stored all the same
}

var usual = bounds{rows: 256, bytes: 4 << 20, verdicts: 4096, quiet: 4096}

// quietTime is how long the Matcher rests before it stores the place of rows that owed nothing.
const quietTime = time.Second

// Notifier is told of lanes where something changed: there is more to send, or the Subscription changed. It
// must not block, and may keep the news. A call may be lost in a crash; what is owed is in the queue.
type Notifier interface{ Notify(news []*News) }

// MatcherOptions is what a Matcher needs.
type MatcherOptions struct {
	Parse  Options
	Env    criteria.Env // as in searches; Now and Lookup are set for each change
	Notify Notifier
	Log    *slog.Logger
	// Referrers is Resolve for finding all resources that a change concerns through links, however many they are.
	// nil: Resolve.
	Referrers func(ctx context.Context, tenant string, at store.Seq, env criteria.Env) criteria.Resolver
	// Catalogue tells the definitions in force at each place. nil: Parse.Definitions at all.
	Catalogue Catalogue
	// Resolve looks at a tenant's resources as they were at a place, for criteria that go further than the
	// resource that changed. nil: those can't be decided.
	Resolve func(ctx context.Context, tenant string, at store.Seq, env criteria.Env) criteria.Resolver
}

// Matcher follows the change log and decides who is owed which version under which number. Its verdicts and
// its cursor are stored in one transaction, which is what makes them final. One Matcher works on a store at
// a time; the lease sees to that.
//
// The cursor of rows that owed nothing is stored now and then only: judging them once more after a crash
// finds the same.
type Matcher struct {
	db     store.DB
	o      MatcherOptions
	bounds bounds
	place  atomic.Uint64
	moves  moves // of place
	broken atomic.Int64
	asked  conditions

	loading loading

	// What follows belongs to Run.
	lease   store.Lease
	set     *active
	cursor  store.Cursor // everything up to here is decided
	durable store.Cursor // as the queue has it
	pending pending
	sights  sights
}

// pending is the rest of a row's fan-out, when a step ended inside it.
type pending struct {
	seq store.Seq
	ids []string
}

// NewMatcher makes a Matcher; Run starts it.
func NewMatcher(db store.DB, o MatcherOptions) *Matcher {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Matcher{db: db, o: o, bounds: usual, asked: conditions{log: o.Log}, loading: loading{done: make(chan struct{})}}
}

// Place is how far the Matcher has come: every row up to it is decided.
func (m *Matcher) Place() store.Seq { return store.Seq(m.place.Load()) }

// Broken is how many Subscriptions can't be compiled, and so wait at their place in the log.
func (m *Matcher) Broken() int { return int(m.broken.Load()) }

// Undecided is how many times an expression could not be evaluated since the start.
func (m *Matcher) Undecided() uint64 { return m.asked.failed.Load() }

// Run follows the log until ctx ends, which is no error.
func (m *Matcher) Run(ctx context.Context) error {
	err := m.run(ctx)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // whatever failed, failed because the Matcher was told to stop
	}
	return err
}

func (m *Matcher) run(ctx context.Context) error {
	if err := m.start(ctx); err != nil {
		return fmt.Errorf("start the matcher: %w", err)
	}
	for {
		moved, err := m.step(ctx)
		if err != nil {
			return fmt.Errorf("match the changes behind %d: %w", m.cursor.Seq, err)
		}
		if now := time.Now(); m.set.ended(now) {
			if err := m.expire(ctx, now); err != nil {
				return err
			}
		}
		if moved {
			continue
		}
		if err := m.rest(ctx); err != nil {
			return err
		}
	}
}

// step decides the next rows and stores the verdicts. It returns false if there are no rows.
func (m *Matcher) step(ctx context.Context) (moved bool, err error) {
	rows, err := m.read(ctx, m.cursor.Seq)
	if err != nil || len(rows) == 0 {
		return false, err
	}
	b := &batch{from: m.durable, to: m.cursor}
	for _, row := range rows {
		ready, err := m.redefine(ctx, b, row)
		if err != nil {
			return false, err
		}
		if ready {
			ready, err = m.reconsider(ctx, b, row)
		}
		if err != nil {
			return false, err
		}
		if !ready {
			break
		}
		if row.Resource.Key.Type == fhir.Subscription {
			t := m.set.look(row.Resource)
			again := t.entry != nil && !t.first && m.set.entry(t.lane).version >= t.entry.version
			if !again { // a row that a step was cut in is here for the second time
				ready, err := m.prepare(ctx, b, &t, row)
				if err != nil {
					return false, err
				}
				if !ready {
					break
				}
				m.apply(t)
				b.turn(t, row.Change)
				if !row.Origin.Server {
					m.asked.forget(t.lane)
				}
			}
		}
		more, err := m.decide(ctx, b, row)
		if err != nil {
			return false, err
		}
		if !more {
			break
		}
	}
	return true, m.commit(ctx, b)
}

// decide adds a row's verdicts to the batch. It returns false if the batch is full; the row may be part done.
func (m *Matcher) decide(ctx context.Context, b *batch, row row) (more bool, err error) {
	ids := m.pending.ids
	if m.pending.seq != row.Seq && b.to.Step < linking {
		var undecided []criteria.Undecided
		if ids, undecided, err = m.set.owing(m.cross(ctx, row, 0)); err != nil {
			return false, err
		}
		if len(undecided) > 0 {
			m.suspend(b, row, undecided)
			return false, nil
		}
		ids = m.set.from(row.Resource.Key.Tenant, b.to.Step, ids)
	}
	m.pending = pending{}
	if room := m.bounds.verdicts - len(b.owed); len(ids) > room {
		b.owe(row.Change, ids[:room])
		b.to.Step = m.set.rank(row.Resource.Key.Tenant, ids[room])
		m.pending = pending{row.Seq, ids[room:]}
		return false, nil
	}
	b.owe(row.Change, ids)
	if ready, err := m.concern(ctx, b, row); !ready || err != nil {
		return false, err
	}
	b.to = store.Cursor{Seq: row.Seq}
	return true, nil
}

// cross looks at a row from both sides; terms is the place of terminology, if that is later.
func (m *Matcher) cross(ctx context.Context, row row, terms store.Seq) *crossing {
	at := func(v View) look {
		return look{
			after:  func() criteria.Env { return m.env(ctx, row.Change, terms, v) },
			before: func() (criteria.Env, error) { return m.envBefore(ctx, row.Change, terms, v) },
		}
	}
	return newCrossing(row, at, func(key fhir.Key, version uint64) (*fhir.Resource, error) {
		return m.version(ctx, key, version)
	})
}

// version reads a version as criteria see it. It may be a deletion.
func (m *Matcher) version(ctx context.Context, key fhir.Key, version uint64) (r *fhir.Resource, err error) {
	err = m.db.View(ctx, func(tx store.Reader) error {
		r, err = tx.Version(key, version)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read version %d of %s: %w", version, key, err)
	}
	return masked(r), nil
}

// commit stores what a batch decided, or only remembers the place where nothing was.
func (m *Matcher) commit(ctx context.Context, b *batch) error {
	if b.empty() && b.to.Seq-m.durable.Seq < m.bounds.quiet {
		m.moved(b.to)
		return m.showStopped(ctx)
	}
	if err := m.db.Queue().Update(ctx, m.lease, b.write); err != nil {
		return err
	}
	m.durable = b.to
	m.notify(b.news...) // before anybody hears that it has come so far
	m.moved(b.to)
	for _, t := range b.turns {
		if t.to == broken {
			if err := m.show(ctx, t.lane, t.entry.version, Erroneous, troubled(t.entry.trouble.problem)); err != nil {
				return err
			}
		}
		if t.from == broken && t.to == live && t.redefined {
			if err := m.show(ctx, t.lane, t.entry.version, Active, ""); err != nil {
				return err
			}
		}
	}
	return m.showStopped(ctx)
}

// showStopped tells on the Subscriptions themselves that their expressions are not evaluated any more.
func (m *Matcher) showStopped(ctx context.Context) error {
	for _, lane := range m.asked.stopped {
		if e := m.set.entry(lane); e != nil {
			if err := m.show(ctx, lane, e.version, Erroneous, slowText); err != nil {
				return err
			}
		}
	}
	m.asked.stopped = nil
	return nil
}

func (m *Matcher) moved(to store.Cursor) {
	m.cursor = to
	m.place.Store(uint64(to.Seq))
	m.moves.made()
}

func (m *Matcher) notify(news ...*News) {
	if m.o.Notify != nil && len(news) > 0 {
		m.o.Notify.Notify(news)
	}
}

// rest waits for the next row, for the end of a Subscription, or for the time to store the cursor.
func (m *Matcher) rest(ctx context.Context) error {
	var deadline time.Time
	if m.cursor != m.durable {
		deadline = time.Now().Add(quietTime)
	}
	if end := m.set.next; !end.IsZero() && (deadline.IsZero() || end.Before(deadline)) {
		deadline = end
	}
	wait, cancel := ctx, context.CancelFunc(func() {})
	if !deadline.IsZero() {
		// At least a little while, for an end between two milliseconds of the store's clock.
		wait, cancel = context.WithTimeout(ctx, max(time.Until(deadline), time.Millisecond))
	}
	err := m.db.Wait(wait, m.cursor.Seq)
	cancel()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case wait.Err() == nil || err == nil:
		return err
	}
	if m.cursor != m.durable {
		b := &batch{from: m.durable, to: m.cursor}
		if err := m.db.Queue().Update(ctx, m.lease, b.write); err != nil {
			return fmt.Errorf("store the matcher's place: %w", err)
		}
		m.durable = m.cursor
	}
	return nil
}

// row is a change with the version that criteria are held against.
type row struct {
	store.Change
	judged *fhir.Resource
	defs   *criteria.Definitions // in force from here on; nil: as before
}

// read copies the next rows, so that no View is open while they are judged.
func (m *Matcher) read(ctx context.Context, after store.Seq) ([]row, error) {
	var rows []row
	err := m.db.View(ctx, func(r store.Reader) error {
		rows = rows[:0]
		size := 0
		defining := defining{catalogue: m.o.Catalogue, reader: r}
		for c, err := range r.Changes(after) {
			if err != nil {
				return err
			}
			next := row{Change: c, judged: c.Resource}
			if next.defs, err = defining.at(c); err != nil {
				return err
			}
			if c.Interaction == fhir.Delete {
				if next.judged, err = r.Version(c.Resource.Key, c.Resource.Version-1); err != nil {
					return fmt.Errorf("read what %s ended: %w", c.Resource.VersionedReference(), err)
				}
			}
			next.judged = masked(next.judged)
			rows = append(rows, next)
			if size += len(next.judged.JSON); len(rows) == m.bounds.rows || size >= m.bounds.bytes {
				break
			}
		}
		return nil
	})
	return rows, err
}
