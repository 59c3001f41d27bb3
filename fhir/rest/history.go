package rest

import (
	"context"
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
// ends after maxHistoryWalk rows, with fewer entries and a link to go on. What comes behind a page is counted if it is at
// most countedAhead rows: an answer then has a total, as have all pages behind it.
const (
	defaultHistoryCount = 100
	maxHistoryCount     = 500
	maxHistoryWalk      = 5000
	countedAhead        = 1000
	historyPatience     = 30 * time.Second // for counting all, where that is asked for
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
	total  *int                                // of all pages; nil where the link that was followed doesn't say
	self   []Pair                              // the parameters that were used, without before
	show   func(*fhir.Resource) *fhir.Resource // what of a version is asked for
}

// history answers the versions of a resource, of a type or of everything, newest first (R4 http.html#history).
func (s *Server) history(ctx context.Context, c *call) (answer, error) {
	return s.historyFrom(ctx, func(fn func(store.Reader) error) error { return s.DB.View(ctx, fn) }, c)
}

// historyIn is history in a state.
func (s *Server) historyIn(ctx context.Context, r store.Reader, c *call) (answer, error) {
	return s.historyFrom(ctx, func(fn func(store.Reader) error) error { return fn(r) }, c)
}

func (s *Server) historyFrom(ctx context.Context, view func(func(store.Reader) error) error, c *call) (answer, error) {
	q, err := parseHistory(c)
	if err != nil {
		return answer{}, err
	}
	w := historyWalk{Server: s, c: c, q: q, needs: auth.Search, total: q.total}
	if c.target.id != "" {
		w.needs = auth.Read
	}
	if err := c.permit(w.needs, c.target.typ); err != nil {
		return answer{}, err
	}
	if err := view(func(r store.Reader) error { return w.page(ctx, r) }); err != nil {
		return answer{}, err
	}
	if q.count == 0 && w.total == nil {
		if err := w.countRest(ctx, view); err != nil {
			return answer{}, err
		}
	}
	b := bundle{kind: "history", total: w.total, links: []link{{"self", q.link(c, q.before, q.total)}}}
	for _, change := range w.changes {
		b.entries = append(b.entries, s.historyEntry(c, q, change))
	}
	if w.more && q.count > 0 {
		b.links = append(b.links, link{"next", q.link(c, w.last, w.total)})
	}
	return answer{status: http.StatusOK, body: b.json()}, nil
}

// link is the URL of the page below a place in the log. The total goes along, for it is that of the first page whatever is
// written meanwhile.
func (q historyQuery) link(c *call, before store.Seq, total *int) string {
	pairs := q.self
	if before > 0 {
		place := formatSeq(before)
		if total != nil {
			place += "-" + strconv.Itoa(*total)
		}
		pairs = append(slices.Clone(pairs), Pair{Name: beforeParam, Value: place})
	}
	return withQuery(c.base+historyPath(c.target), pairs)
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
	case change.Interaction == fhir.Create && r.Version == 1 && fhir.Assigned(r.Key.ID):
		e.method, e.url, e.response.status = http.MethodPost, string(r.Key.Type), http.StatusCreated
	case change.Interaction == fhir.Create:
		e.response.status = http.StatusCreated // under an id that the client chose, or brought back
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
			if err != nil || n < 0 {
				return q, fhir.Errorf(fhir.Value, where, "_count=%s: write a whole number, 0 for the total alone", clip(p.Value))
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
			place, total, counted := strings.Cut(p.Value, "-")
			n, err := strconv.ParseUint(place, 10, 64)
			if counted && err == nil {
				var all uint64
				all, err = strconv.ParseUint(total, 10, 31)
				q.total = new(int(all)) //nolint:gosec // of 31 bits
			}
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
