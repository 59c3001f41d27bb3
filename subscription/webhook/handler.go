package webhook

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"fhirhook/channel/resthook"
	"fhirhook/fhir"
)

// Options is what a Handler works with.
type Options struct {
	// FHIR is the endpoint of fhir/rest, which does everything.
	FHIR http.Handler
	// Dialect is that of a Subscription that names none: the server's default.
	Dialect string
	// Dialects are the operator's own; those that are built in have no event without a dot in its name.
	Dialects []resthook.Dialect
	// Tenant tells on whose behalf a request is made; false if that isn't known. nil: nobody authenticates.
	Tenant func(*http.Request) (tenant string, known bool)
}

// Handler serves the paths of Paths. It is safe for concurrent use, and holds nothing but its options.
type Handler struct{ o Options }

// New returns a Handler.
func New(o Options) *Handler { return &Handler{o: o} }

// Paths are what a Handler serves, each with everything below it.
func Paths() []string { return []string{"/webhooks", "/webhook-events"} }

// row is one line of the table of what is offered. The OpenAPI description is made from it too.
type row struct {
	method, path string // a path holds at most the name {id}
	summary      string
	does         func(*exchange) (answer, error)
	query        []string // the parameters that it knows
	takes, gives string   // schemas of the bodies; "": none
	status       int      // of success
}

// table is a function, for what it names leads back to it.
func table() []row {
	return []row{
		{http.MethodGet, "/webhooks", "List webhooks", (*exchange).list, []string{"_count", "cursor"}, "", "webhooks", http.StatusOK},
		{http.MethodPost, "/webhooks", "Create a webhook", (*exchange).create, nil, "webhook", "webhook", http.StatusCreated},
		{http.MethodGet, "/webhooks/{id}", "Read a webhook", (*exchange).show, nil, "", "webhook", http.StatusOK},
		{http.MethodPut, "/webhooks/{id}", "Replace a webhook", (*exchange).replace, nil, "webhook", "webhook", http.StatusOK},
		{http.MethodPatch, "/webhooks/{id}", "Change members of a webhook", (*exchange).patch, nil, "webhook-patch", "webhook", http.StatusOK},
		{http.MethodDelete, "/webhooks/{id}", "Delete a webhook", (*exchange).remove, nil, "", "", http.StatusNoContent},
		{http.MethodPost, "/webhooks/{id}/ping", "Send a test event now", (*exchange).ping, nil, "", "webhook-ping", http.StatusOK},
		{http.MethodPost, "/webhooks/{id}/rotate-secret", "Replace the secret, with an overlap", (*exchange).rotate, nil, "webhook-rotation", "webhook-rotated", http.StatusOK},
		{http.MethodGet, "/webhooks/{id}/deliveries", "List what became of events", (*exchange).deliveries, filters(), "", "webhook-deliveries", http.StatusOK},
		{http.MethodPost, "/webhook-events", "Create a webhook, or send a test event to one", (*exchange).event, nil, "webhook-event", "webhook", http.StatusCreated},
	}
}

// ServeHTTP answers a request; whatever isn't in the table is a 404 or 405.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := begin(h.o, w, r)
	a, err := x.run()
	if p, ok := errors.AsType[*problem](err); ok {
		x.fail(p)
		return
	}
	x.respond(a)
}

// run finds the row of the request and carries it out.
func (x *exchange) run() (answer, error) {
	method := x.r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	var allow []string
	for _, row := range table() {
		id, ok := match(row.path, x.r.URL.Path)
		switch {
		case !ok:
			continue
		case row.method != method:
			if allow = append(allow, row.method); row.method == http.MethodGet {
				allow = append(allow, http.MethodHead)
			}
			continue
		case strings.Contains(row.path, "{id}") && !fhir.ValidID(id):
			return answer{}, unknown(id)
		}
		x.id = id
		if err := x.readQuery(row.query); err != nil {
			return answer{}, err
		}
		if err := x.conditions(method); err != nil {
			return answer{}, err
		}
		return row.does(x)
	}
	if len(allow) == 0 {
		return answer{}, refuse(http.StatusNotFound, "there is nothing under this URL: there are /webhooks, /webhooks/{id}, and below one ping, rotate-secret and deliveries")
	}
	slices.SortFunc(allow, cmp.Compare)
	header := http.Header{"Allow": {http.MethodOptions + ", " + strings.Join(allow, ", ")}}
	if method == http.MethodOptions {
		return answer{status: http.StatusNoContent, header: header}, nil
	}
	p := refuse(http.StatusMethodNotAllowed, "this URL does not offer that method: the Allow header lists those it does")
	p.header = header
	return answer{}, p
}

// match compares a path with that of a row, and returns what stands in the place of {id}. One slash more at the
// end makes no difference.
func match(pattern, path string) (id string, ok bool) {
	want, got := strings.Split(pattern, "/"), strings.Split(strings.TrimSuffix(path, "/"), "/")
	if len(want) != len(got) {
		return "", false
	}
	for i, segment := range want {
		if segment == "{id}" {
			id = got[i]
		} else if segment != got[i] {
			return "", false
		}
	}
	return id, true
}

// readQuery takes the parameters of the URL. One that isn't known is refused, for without it the answer would be
// to another question.
func (x *exchange) readQuery(known []string) error {
	var err error
	if x.query, err = url.ParseQuery(x.r.URL.RawQuery); err != nil {
		return refuse(http.StatusBadRequest, "the URL's query can't be read: escape its values")
	}
	var faults []fault
	for name := range x.query {
		if !slices.Contains(known, name) {
			text := "is no parameter here"
			if len(known) > 0 {
				text += ": there are " + strings.Join(known, ", ")
			}
			faults = append(faults, fault{Parameter: clip(name), Detail: text})
		}
	}
	if len(faults) == 0 {
		return nil
	}
	slices.SortFunc(faults, func(a, b fault) int { return cmp.Compare(a.Parameter, b.Parameter) })
	return refuse(http.StatusBadRequest, "", faults...)
}

// clip keeps what a client sent short where it is repeated.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
