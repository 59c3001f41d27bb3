package search

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// Catalogue tells which search parameters are in force. For each tenant they are those of the server (R4's
// and the operator's), and the SearchParameter resources that are active at a place in the log. So whoever
// follows the log finds at each place what was in force there, however late it comes by.
//
// Tables are immutable; one is made when it is first asked for, and the last few of a tenant are kept by the
// place of the change that led to them. It is safe for concurrent use.
type Catalogue struct {
	base *criteria.Definitions
	log  *slog.Logger

	mu      sync.Mutex // guards tenants; never held while the store is read
	tenants map[string][]table
}

// table is what is in force from a place on.
type table struct {
	since  store.Seq // of the newest SearchParameter row that counts
	defs   *criteria.Definitions
	faults []Fault
}

// keptTables is how many tables of a tenant are remembered: searches are about now, followers lag behind.
const keptTables = 8

// Fault is a SearchParameter resource that is active and has no effect. It was sound when it was written: what
// it stands on has changed since.
type Fault struct {
	Key fhir.Key
	Err error
}

// NewCatalogue makes a catalogue over what is in force for every tenant.
func NewCatalogue(base *criteria.Definitions, log *slog.Logger) *Catalogue {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Catalogue{base: base, log: log, tenants: map[string][]table{}}
}

// Base returns what is in force for every tenant.
func (c *Catalogue) Base() *criteria.Definitions { return c.base }

// At returns what is in force for a tenant at a place. The reader must be of committed state: At remembers
// what it sees.
func (c *Catalogue) At(r store.Reader, tenant string, at store.Seq) (*criteria.Definitions, error) {
	t, err := c.at(r, tenant, at)
	return t.defs, err
}

func (c *Catalogue) at(r store.Reader, tenant string, at store.Seq) (table, error) {
	since, err := lastDefined(r, tenant, at)
	if err != nil || since == 0 {
		return table{defs: c.base}, err
	}
	t, near := c.find(tenant, since)
	if t.defs != nil {
		return t, nil
	}
	all, err := active(r, tenant, since)
	if err != nil {
		return table{}, err
	}
	t = c.build(since, all, near)
	for _, f := range t.faults {
		c.log.Warn("a SearchParameter has no effect any more", "tenant", tenant, "resource", f.Key.String(), "reason", f.Err)
	}
	c.keep(tenant, t)
	return t, nil
}

// Within returns what is in force for a tenant in a transaction, which may have written definitions itself.
func (c *Catalogue) Within(tx store.Reader, tenant string) (*criteria.Definitions, error) {
	since, err := lastDefined(tx, tenant, tx.Last())
	if err != nil || since == 0 {
		return c.base, err
	}
	t, near := c.find(tenant, since)
	if t.defs != nil {
		return t.defs, nil
	}
	all, err := active(tx, tenant, tx.Last())
	if err != nil {
		return nil, err
	}
	return c.build(since, all, near).defs, nil
}

// lastDefined is the place of the newest SearchParameter row up to a place, 0 if there is none.
func lastDefined(r store.Reader, tenant string, at store.Seq) (store.Seq, error) {
	for c, err := range r.History(store.Scope{Tenant: tenant, Type: fhir.SearchParameter}, at+1) {
		return c.Seq, err
	}
	return 0, nil
}

// active reads the SearchParameters of a tenant that are in force at a place, in order of id.
func active(r store.Reader, tenant string, at store.Seq) ([]*fhir.Resource, error) {
	var all []*fhir.Resource
	for res, err := range r.Type(tenant, fhir.SearchParameter, "", at) {
		if err != nil {
			return nil, fmt.Errorf("read the SearchParameters: %w", err)
		}
		if criteria.InForce(res.Doc().Root()) {
			all = append(all, res)
		}
	}
	return all, nil
}

// build makes a table of resources. near is a table of the same tenant, or nil.
func (c *Catalogue) build(since store.Seq, all []*fhir.Resource, near *criteria.Definitions) table {
	t := table{since: since}
	defs := make([]criteria.Definition, 0, len(all))
	keys := make([]fhir.Key, 0, len(all))
	for _, res := range all {
		def, problems := criteria.ReadDefinition(res.Doc().Root())
		if len(problems) > 0 {
			t.faults = append(t.faults, Fault{res.Key, fhir.Join(problems)})
			continue
		}
		defs, keys = append(defs, def), append(keys, res.Key)
	}
	var rejected []criteria.Rejected
	t.defs, rejected = c.base.Extend(defs, near)
	for _, r := range rejected {
		t.faults = append(t.faults, Fault{keys[r.Index], r.Err()})
	}
	return t
}

// find returns the table of a place, or else the newest that there is.
func (c *Catalogue) find(tenant string, since store.Seq) (t table, near *criteria.Definitions) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := c.tenants[tenant]
	if i := slices.IndexFunc(kept, func(t table) bool { return t.since == since }); i >= 0 {
		return kept[i], nil
	}
	if len(kept) > 0 {
		near = kept[0].defs
	}
	return table{}, near
}

// keep remembers a table, the newest in front.
func (c *Catalogue) keep(tenant string, t table) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := slices.DeleteFunc(slices.Clone(c.tenants[tenant]), func(k table) bool { return k.since == t.since })
	i := slices.IndexFunc(kept, func(k table) bool { return k.since < t.since })
	if i < 0 {
		i = len(kept)
	}
	if kept = slices.Insert(kept, i, t); len(kept) > keptTables {
		// The newest is what searches need, and the one just made somebody is about to ask for again.
		drop := len(kept) - 1
		if kept[drop].since == t.since {
			drop--
		}
		kept = slices.Delete(kept, drop, drop+1)
	}
	c.tenants[tenant] = kept
}
