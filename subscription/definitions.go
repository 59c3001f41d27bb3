package subscription

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// Catalogue tells which search parameters are in force for a tenant at a place in the log, for clients define
// their own.
type Catalogue interface {
	// At returns what is in force at a place, in a state that is committed.
	At(r store.Reader, tenant string, at store.Seq) (*criteria.Definitions, error)
	// Lost names, in words for a person, a definition that uses is true for and that went or changed up to a
	// place; "" for none.
	Lost(r store.Reader, tenant string, at store.Seq, uses func(code string) bool) (string, error)
}

// A row is judged by the definitions in force at the end of its transaction, as a search right behind it is.
// So they change at the first row of a transaction that writes SearchParameters, and with them those
// Subscriptions that name a code whose meaning changed: as if each had been written anew there, with the same
// text. One that can't be compiled any more is held at that place (hold.go), and goes on from there when the
// definition is back.

// defining reads rows and finds out where definitions change.
type defining struct {
	catalogue Catalogue // nil: they never do
	reader    store.Reader
	until     map[string]store.Seq // by tenant: the transaction that was looked at last ends here
}

// at returns what is in force for a row, where that may differ from the row before; else nil.
func (d *defining) at(c store.Change) (*criteria.Definitions, error) {
	key := c.Resource.Key
	if d.catalogue == nil || c.Seq <= d.until[key.Tenant] {
		return nil, nil
	}
	if c.End == c.Seq && key.Type != fhir.SearchParameter && key.Type != fhir.Subscription {
		return nil, nil
	}
	if d.until == nil {
		d.until = map[string]store.Seq{}
	}
	d.until[key.Tenant] = c.End
	return d.catalogue.At(d.reader, key.Tenant, c.End)
}

// inForce returns what is in force for a tenant behind a place that a Matcher stopped at, which may be inside
// a transaction.
func (m *Matcher) inForce(ctx context.Context, tenant string, at store.Seq) (defs *criteria.Definitions, err error) {
	if m.o.Catalogue == nil || at == 0 {
		return m.o.Parse.Definitions, nil
	}
	err = m.db.View(ctx, func(r store.Reader) error {
		for c, err := range r.Changes(at - 1) {
			if err != nil {
				return err
			}
			at = c.End
			break
		}
		defs, err = m.o.Catalogue.At(r, tenant, at)
		return err
	})
	return defs, err
}

// redefine makes other definitions count from a row on. It returns false if the rows before it have to be
// stored first.
func (m *Matcher) redefine(ctx context.Context, b *batch, row row) (ready bool, err error) {
	tenant := row.Resource.Key.Tenant
	old := m.set.definitions(tenant)
	if row.defs == nil || row.defs == old {
		return true, nil
	}
	m.set.define(tenant, row.defs)
	turns, err := m.affected(ctx, tenant, row, old.Differences(row.defs))
	if err != nil {
		return false, err
	}
	for _, t := range turns {
		if t.from != broken || t.to != live {
			continue
		}
		if ready, err = m.settle(ctx, b); err != nil || !ready {
			m.set.define(tenant, old)
			return false, err
		}
		break
	}
	for _, t := range turns {
		switch {
		case t.to == broken:
			m.complain(t)
		case t.from == broken && t.to == live:
			_, problem, err := m.catchUp(ctx, t.lane, t.sub, row.Seq-1, row.Seq-1)
			if err != nil {
				return false, err
			}
			if problem != nil {
				t.breaks(problem)
				m.complain(t)
			}
		}
		m.apply(t)
		if t.from != t.to || t.to == broken { // the rest owes as before
			b.turn(t, row.Change)
		}
	}
	return true, nil
}

// settle stores the Matcher's place, so that what is stored for a Subscription behind it is not found again
// after a crash. It returns false if there are verdicts to be stored first.
func (m *Matcher) settle(ctx context.Context, b *batch) (bool, error) {
	if !b.empty() {
		return false, nil
	}
	if b.to == m.durable {
		return true, nil
	}
	if err := m.db.Queue().Update(ctx, m.lease, b.write); err != nil {
		return false, fmt.Errorf("store the matcher's place: %w", err)
	}
	m.durable = b.to
	b.from = b.to
	m.moved(b.to)
	return true, nil
}

// affected works out the turns of a tenant's Subscriptions, as they are before a row, when definitions changed
// there.
func (m *Matcher) affected(ctx context.Context, tenant string, row row, changed []criteria.Difference) (turns []turn, err error) {
	if len(changed) == 0 || m.set.tenants[tenant] == nil {
		return nil, nil
	}
	codes := map[string]bool{}
	for _, c := range changed {
		codes[c.Code] = true
	}
	after := ""
	for {
		rows, last := 0, after
		var page []*fhir.Resource
		err := m.db.View(ctx, func(r store.Reader) error {
			rows, page = 0, page[:0]
			for s, err := range r.Type(tenant, fhir.Subscription, after, row.Seq-1) {
				if err != nil {
					return err
				}
				last = s.Key.ID
				e := m.set.entry(store.Lane{Tenant: tenant, Subscription: s.Key.ID})
				if e != nil && (e.phase == broken || e.phase == live && namesAny(s.JSON, codes)) {
					page = append(page, s)
				}
				if rows++; rows == startRows {
					break
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		for _, s := range page {
			t := m.set.look(s)
			t.redefined = true
			if err := m.blame(ctx, t, s, row.End); err != nil {
				return nil, err
			}
			turns = append(turns, t)
		}
		if after = last; rows < startRows {
			return turns, nil
		}
	}
}

// blame puts the definition that went into the reason why a Subscription can't be compiled.
func (m *Matcher) blame(ctx context.Context, t turn, r *fhir.Resource, at store.Seq) error {
	if t.to != broken || m.o.Catalogue == nil {
		return nil
	}
	problem := t.entry.trouble.problem.Error()
	return m.db.View(ctx, func(tx store.Reader) error {
		lost, err := m.o.Catalogue.Lost(tx, r.Key.Tenant, at, func(code string) bool {
			return names(r.JSON, code) && names([]byte(problem), code)
		})
		if err == nil && lost != "" {
			t.entry.trouble.problem = fmt.Errorf("%s. %w", strings.TrimSuffix(lost, "."), t.entry.trouble.problem)
		}
		return err
	})
}

// names tells whether JSON may name a code: it stands there as a word, or something is written in a form that
// may hide it.
func names(json []byte, code string) bool {
	if bytes.Contains(json, []byte(`\u`)) || bytes.IndexByte(json, '%') >= 0 {
		return true
	}
	for rest := json; ; {
		i := bytes.Index(rest, []byte(code))
		if i < 0 {
			return false
		}
		end := i + len(code)
		if (i == 0 || !wordByte(rest[i-1])) && (end == len(rest) || !wordByte(rest[end])) {
			return true
		}
		rest = rest[i+1:]
	}
}

// namesAny is names for any of many codes.
func namesAny(json []byte, codes map[string]bool) bool {
	if bytes.Contains(json, []byte(`\u`)) || bytes.IndexByte(json, '%') >= 0 {
		return true
	}
	for from := 0; from < len(json); {
		if !wordByte(json[from]) {
			from++
			continue
		}
		to := from
		for to < len(json) && wordByte(json[to]) {
			to++
		}
		if codes[string(json[from:to])] {
			return true
		}
		from = to
	}
	return false
}

func wordByte(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '_' || b == '-'
}
