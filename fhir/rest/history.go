package rest

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
)

// Page sizes of history. A page is read in one View, which has to be short: one whose filter leaves out much
// ends after maxHistoryWalk rows, with fewer entries and a link to go on.
const (
	defaultHistoryCount = 100
	maxHistoryCount     = 500
	maxHistoryWalk      = 5000
)

// beforeParam is this server's own parameter in links to further pages: the place in the log to go on below.
// Writes only add above it, so walking the links shows each version once.
const beforeParam = "-before"

// historyQuery is what the parameters ask for.
type historyQuery struct {
	count  int
	since  time.Time
	at     span // zero: no bound
	before store.Seq
	self   []Pair                              // the parameters that were used, without before
	show   func(*fhir.Resource) *fhir.Resource // what of a version is asked for
}

// history answers the versions of a resource, of a type or of everything, newest first (R4 http.html#history).
func (s *Server) history(ctx context.Context, c *call) (a answer, err error) {
	err = s.DB.View(ctx, func(r store.Reader) error {
		a, err = s.historyIn(ctx, r, c)
		return err
	})
	return a, err
}

func (s *Server) historyIn(ctx context.Context, r store.Reader, c *call) (answer, error) {
	q, err := parseHistory(c)
	if err != nil {
		return answer{}, err
	}
	p := auth.Search
	if c.target.id != "" {
		p = auth.Read
	}
	if err := c.permit(p, c.target.typ); err != nil {
		return answer{}, err
	}
	b := bundle{kind: "history"}
	var only *fhir.Resource
	if c.target.id != "" {
		newest, shown, err := s.lookUp(ctx, r, c)
		if err == nil {
			err = s.known(r, c, newest)
		}
		if errors.Is(err, store.ErrNotFound) {
			return answer{}, unknownVersion(c)
		} else if err != nil {
			return answer{}, err
		}
		if q.all() && c.access().Entirely(p, c.target.typ) {
			if b.total, err = versions(r, newest); err != nil {
				return answer{}, err
			}
		}
		if shown {
			only = newest
		}
	}
	var last store.Seq // that the page has looked at
	more, walked := false, 0
	for change, err := range s.rows(r, c, q.before, only) {
		if err != nil {
			return answer{}, err
		}
		if !q.since.IsZero() && change.Resource.Updated.Before(q.since) {
			break // lastUpdated never goes back along the log
		}
		if more = walked == maxHistoryWalk; more {
			break
		}
		walked++
		shown, err := q.at.shows(r, change.Resource)
		if err != nil {
			return answer{}, err
		}
		if shown {
			shown, err = s.allows(r, c, p, change.Resource)
		}
		if err != nil {
			return answer{}, err
		}
		if more = shown && len(b.entries) == q.count; more {
			break // only what is shown makes a further page, which would else tell of what isn't
		}
		last = change.Seq
		if shown {
			b.entries = append(b.entries, s.historyEntry(c, q, change))
		}
	}
	at := func(before store.Seq) string {
		pairs := q.self
		if before > 0 {
			pairs = append(slices.Clone(pairs), Pair{Name: beforeParam, Value: formatSeq(before)})
		}
		return withQuery(c.base+historyPath(c.target), pairs)
	}
	b.links = []link{{"self", at(q.before)}}
	switch {
	case more:
		b.links = append(b.links, link{"next", at(last)})
	case q.before == 0:
		total := len(b.entries) // all of it is on this page
		b.total = &total
	}
	return answer{status: http.StatusOK, body: b.json()}, nil
}

// versions counts those of a resource that are kept; nil if that takes too long.
func versions(r store.Reader, newest *fhir.Resource) (*int, error) {
	n := int(newest.Version) //nolint:gosec // versions are counted from 1
	if r.Horizon() == 0 || n == 1 {
		return &n, nil
	}
	n = 0
	for _, err := range r.History(store.Scope(newest.Key), 0) {
		if n++; err != nil || n > maxHistoryWalk {
			return nil, err
		}
	}
	return &n, nil
}

// all tells whether a query is about every version, from the newest.
func (q historyQuery) all() bool { return q.before == 0 && q.since.IsZero() && q.at == span{} }

func (s *Server) historyEntry(c *call, q historyQuery, change store.Change) entry {
	r := change.Resource
	e := entry{
		fullURL: c.base + "/" + r.Key.String(), method: http.MethodPut, url: r.Key.String(),
		response: &response{status: http.StatusOK, resource: r},
	}
	switch {
	case change.Interaction == fhir.Delete:
		e.method, e.response.status = http.MethodDelete, http.StatusNoContent
		return e
	case change.Interaction == fhir.Create && r.Version == 1:
		// Whether a client chose the id is not kept; a POST says the same of what came into being.
		e.method, e.url, e.response.status = http.MethodPost, string(r.Key.Type), http.StatusCreated
	case change.Interaction == fhir.Create:
		e.response.status = http.StatusCreated // brought back
	}
	e.resource = s.Gate.Redact(q.show(r))
	e.response.location = c.base + "/" + r.VersionedReference()
	return e
}

func parseHistory(c *call) (historyQuery, error) {
	q := historyQuery{count: defaultHistoryCount}
	if err := c.cond.refuse(c.code, "If-None-Match"); err != nil {
		return q, err
	}
	var pairs []Pair
	var err error
	if q.show, pairs, err = search.Shape(c.target.typ, c.target.query); err != nil {
		return q, err
	}
	for _, p := range c.target.query {
		if p.Name == "_summary" || p.Name == "_elements" {
			q.self = append(q.self, p)
		}
	}
	seen := map[string]bool{}
	for _, p := range pairs {
		where := "http." + p.Name
		if seen[p.Name] {
			return q, fhir.Errorf(fhir.Invalid, where, "%s stands twice: history takes it once", clip(p.Name))
		}
		seen[p.Name] = true
		switch p.Name {
		case "_count":
			n, err := strconv.Atoi(p.Value)
			if err != nil || n < 1 {
				return q, fhir.Errorf(fhir.Value, where, "_count=%s: write a whole number above zero", clip(p.Value))
			}
			q.count = min(n, maxHistoryCount)
			q.self = append(q.self, p)
		case "_since":
			t, err := fhir.ParseInstant(strings.ReplaceAll(p.Value, " ", "+")) // a plus that was not escaped
			if err != nil {
				return q, fhir.Errorf(fhir.Value, where, "_since=%s: write an instant, as in 2026-01-31T09:30:00Z", clip(p.Value))
			}
			q.since = t
			q.self = append(q.self, p)
		case beforeParam:
			n, err := strconv.ParseUint(p.Value, 10, 64)
			if err != nil || n == 0 {
				return q, fhir.Errorf(fhir.Value, where, "%s is not what a link of this server says: start again without it", clip(p.Value))
			}
			q.before = store.Seq(n)
		case "_at":
			at, ok := parseSpan(strings.ReplaceAll(p.Value, " ", "+"))
			if !ok {
				return q, fhir.Errorf(fhir.Value, where, "_at=%s: write a date or time, as in 2026, 2026-01-31 or 2026-01-31T09:30:00Z", clip(p.Value))
			}
			q.at = at
			q.self = append(q.self, p)
		case "_list":
			return q, fhir.Errorf(fhir.NotSupported, where, "history by _list is not offered: use _since, _at and _count")
		default:
			if c.prefer.strict {
				return q, fhir.Errorf(fhir.NotSupported, where, "history has no parameter %s", clip(p.Name))
			}
		}
	}
	return q, nil
}

func historyPath(t target) string {
	path := ""
	if t.typ != "" {
		path += "/" + string(t.typ)
	}
	if t.id != "" {
		path += "/" + t.id
	}
	return path + "/_history"
}

func formatSeq(s store.Seq) string { return strconv.FormatUint(uint64(s), 10) }

func withQuery(url string, pairs []Pair) string {
	if len(pairs) == 0 {
		return url
	}
	return url + "?" + encodeQuery(pairs)
}
