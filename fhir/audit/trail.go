package audit

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
)

// Trail shows a Log's lines as AuditEvents. It implements search.Virtual and is safe for concurrent use.
type Trail struct {
	log  *Log
	site string
}

var _ search.Virtual = (*Trail)(nil)

// Shown returns the view of what is kept; site is the server's name in AuditEvent.source, "" leaves it out.
func (l *Log) Shown(site string) *Trail { return &Trail{l, site} }

// Type implements search.Virtual.
func (t *Trail) Type() fhir.Type { return fhir.AuditEvent }

// ReadOnly implements search.Virtual.
func (t *Trail) ReadOnly() string { return "a view of a line in the audit trail" }

// Moments implements search.Virtual.
func (t *Trail) Moments() []string { return []string{"_lastUpdated", "date"} }

// Owns implements search.Virtual.
func (t *Trail) Owns(id string) bool {
	_, ok := parseID(id)
	return ok
}

// shows tells whether a tenant sees a line. What nobody's tenant was found out of is the default tenant's to see, and says
// too little to be another's.
func shows(tenant, of string) bool {
	return of == tenant && of != nobody || of == nobody && tenant == fhir.DefaultTenant
}

// Read implements search.Virtual.
func (t *Trail) Read(ctx context.Context, key fhir.Key) (*fhir.Resource, error) {
	p, ok := parseID(key.ID)
	if !ok || key.Type != fhir.AuditEvent {
		return nil, store.ErrNotFound
	}
	if err := t.log.settle(ctx); err != nil {
		return nil, err
	}
	f, err := os.Open(pathOf(t.log.o.Dir, p.day))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, store.ErrNotFound
	} else if err != nil {
		return nil, err
	}
	defer f.Close()
	l, err := read(f, p.offset)
	if errors.Is(err, errNoLine) || err == nil && !shows(key.Tenant, l.tenant) {
		return nil, store.ErrNotFound
	} else if err != nil {
		return nil, err
	}
	r, err := l.row(t.log.o.Opens)
	if err != nil {
		return nil, err
	}
	return event(key, l.at, r, t.site), nil
}

// Walk implements search.Virtual: oldest first.
func (t *Trail) Walk(ctx context.Context, e search.Extent) iter.Seq2[*fhir.Resource, error] {
	return func(yield func(*fhir.Resource, error) bool) {
		err := t.log.settle(ctx)
		var all []string
		if err == nil {
			all, err = days(t.log.o.Dir)
		}
		for _, day := range all {
			begin, _ := parseDay(day)
			if !e.Since.IsZero() && !begin.AddDate(0, 0, 1).After(e.Since) || !e.Until.IsZero() && !begin.Before(e.Until) {
				continue
			}
			var more bool
			if more, err = t.walkDay(ctx, day, e, yield); !more || err != nil {
				break
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// walkDay yields what an Extent has of a day, and tells whether to go on.
func (t *Trail) walkDay(ctx context.Context, day string, e search.Extent, yield func(*fhir.Resource, error) bool) (more bool, err error) {
	f, err := os.Open(pathOf(t.log.o.Dir, day))
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil // it has just grown too old
	} else if err != nil {
		return false, err
	}
	defer f.Close()
	var from int64
	if !e.Since.IsZero() {
		info, err := f.Stat()
		if err != nil {
			return false, err
		}
		if from, err = seek(f, info.Size(), e.Since); err != nil {
			return false, err
		}
	}
	more = true
	looked := 0
	_, err = walk(f, from, func(l found) (bool, error) {
		if looked++; looked%1024 == 0 && ctx.Err() != nil {
			return false, ctx.Err()
		}
		switch {
		case !shows(e.Tenant, l.tenant), l.at.Before(e.Since):
			return true, nil
		case !e.Until.IsZero() && !l.at.Before(e.Until):
			return false, nil // and so are all behind it
		}
		id := place{day, l.offset}.id()
		if !mentions(l.payload, e.Named) || e.Skip != nil && e.Skip(id, l.at) {
			return true, nil
		}
		r, err := l.row(t.log.o.Opens)
		if err != nil {
			return false, err
		}
		if e.Named != nil && !r.names(e.Named) {
			return true, nil
		}
		more = yield(event(fhir.Key{Tenant: e.Tenant, Type: fhir.AuditEvent, ID: id}, l.at, r, t.site), nil)
		return more, nil
	})
	return more && err == nil, err
}

// mentions tells whether a payload may be about one of some resources, without reading it: if it is encrypted, it may.
func mentions(payload []byte, named []criteria.Named) bool {
	if named == nil || len(payload) == 0 || payload[0] != '{' {
		return true
	}
	return slices.ContainsFunc(named, func(n criteria.Named) bool { return bytes.Contains(payload, []byte(n.ID)) })
}

// names tells whether a deed was about one of some resources.
func (r row) names(named []criteria.Named) bool {
	typ, id, ok := strings.Cut(r.About, "/")
	return ok && slices.Contains(named, criteria.Named{Type: fhir.Type(typ), ID: id})
}
