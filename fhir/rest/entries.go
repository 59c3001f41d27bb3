package rest

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/tape"
)

// part is an entry of a batch or transaction, as a call.
type part struct {
	index   int
	method  string
	fullURL string
	route   route
	call    *call
}

// methods are those that Bundle.entry.request.method may name (R4 valueset-http-verb).
var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch}

// parts yields the entries of c's Bundle.
func (s *Server) parts(c *call) ([]tape.Node, error) {
	list := c.bundle.Doc.Root().Get("entry")
	if list.Exists() && list.Kind() != tape.Array {
		return nil, fhir.Errorf(fhir.Structure, "Bundle.entry", "entry must be an array, and this is a JSON %s", list.Kind())
	}
	if list.Len() > s.MaxEntries {
		return nil, fhir.Errorf(fhir.TooLarge, "Bundle.entry", "the Bundle has %d entries, and at most %d are taken: send it in parts", list.Len(), s.MaxEntries)
	}
	return slices.Collect(list.Elements()), nil
}

// part reads one entry. Its error speaks of the entry alone; atEntry says which it is.
func (s *Server) part(c *call, i int, n tape.Node) (part, error) {
	p := part{index: i}
	if n.Kind() != tape.Object {
		return p, fhir.Errorf(fhir.Structure, "", "an entry must be a JSON object, and this is a JSON %s", n.Kind())
	}
	if err := fhir.Join(s.Validator.Entry(n)); err != nil {
		return p, err
	}
	request := n.Get("request")
	if request.Kind() != tape.Object {
		return p, fhir.Errorf(fhir.Required, entryRequest, "the entry has no request: say there what to do, as in {\"method\":\"POST\",\"url\":\"Patient\"}")
	}
	for _, name := range []string{"method", "url", "ifMatch", "ifNoneMatch", "ifModifiedSince", "ifNoneExist"} {
		v := request.Get(name)
		switch {
		case v.Exists() && v.Kind() != tape.String:
			return p, fhir.Errorf(fhir.Value, entryRequest+"."+name, "%s must be a string", name)
		case v.Text() == "" && (name == "method" || name == "url"):
			return p, fhir.Errorf(fhir.Required, entryRequest+"."+name, "the entry's request has no %s", name)
		}
	}
	if full := n.Get("fullUrl"); full.Exists() && full.Kind() != tape.String {
		return p, fhir.Errorf(fhir.Value, entryRoot+".fullUrl", "fullUrl must be a string")
	}
	p.fullURL = n.Get("fullUrl").Text()
	p.method = request.Get("method").Text()
	if !slices.Contains(methods, p.method) {
		return p, fhir.Errorf(fhir.Value, entryRequest+".method", "%q is not a method: name one of %s", clip(p.method), strings.Join(methods, ", "))
	}
	t, err := parseTarget(c.base, request.Get("url").Text())
	if err != nil {
		return p, under(entryRequest+".url", err)
	}
	if p.route, err = s.interactionOf(p.method, t); err != nil {
		return p, under(entryRequest+".method", err)
	}
	if p.route.code == process || p.route.method == http.MethodPost && t.special != "" {
		return p, fhir.Errorf(fhir.NotSupported, entryRequest+".url", "a Bundle inside a Bundle is not processed, and a search in one is by GET")
	}
	p.call = &call{code: p.route.code, who: c.who, home: c.home, account: c.account, tenant: c.tenant, base: c.base, target: t, prefer: c.prefer, origin: c.origin, within: c.within}
	p.call.cond, err = parseConditions(func(name string) (string, bool) {
		v := request.Get(entryConditions[name])
		return v.Text(), v.Exists()
	})
	switch {
	case err != nil:
		return p, err
	case !p.call.cond.ifModifiedSince.IsZero() && p.route.code != read && p.route.code != vread:
		return p, fhir.Errorf(fhir.NotSupported, entryRequest+".ifModifiedSince", "ifModifiedSince has no meaning for the interaction %s: leave it out", p.route.code)
	}
	switch p.method {
	case http.MethodPost, http.MethodPut:
		if p.call.in, err = s.partResource(n.Get("resource")); err == nil {
			err = fhir.Join(s.Validator.Validate(p.call.in))
		}
	case http.MethodPatch:
		p.call.patch, p.call.in, err = s.partPatch(n.Get("resource"))
	}
	return p, err
}

// Where in an entry things stand; atEntry puts the index in.
const (
	entryRoot     = "Bundle.entry"
	entryRequest  = entryRoot + ".request"
	entryResource = entryRoot + ".resource"
)

// entryConditions are the members that stand for headers.
var entryConditions = map[string]string{
	"If-Match": "ifMatch", "If-None-Match": "ifNoneMatch", "If-Modified-Since": "ifModifiedSince", "If-None-Exist": "ifNoneExist",
}

func (s *Server) partResource(n tape.Node) (fhir.Incoming, error) {
	if !n.Exists() {
		return fhir.Incoming{}, fhir.Errorf(fhir.Required, entryResource, "the entry has no resource, and its method needs one")
	}
	if raw := n.Raw(); int64(len(raw)) > s.MaxBody {
		return fhir.Incoming{}, fhir.Errorf(fhir.TooLarge, entryResource, "the resource is larger than %d bytes (--max-body)", s.MaxBody)
	}
	return fhir.Check(n.Doc())
}

// under names a place for an error that has none.
func under(where string, err error) error {
	if e, ok := err.(*fhir.Error); ok && e.Expression == "" { //nolint:errorlint // only an error of our own, unwrapped
		named := *e
		named.Expression = where
		return &named
	}
	return err
}

// atEntry says of an error in which entry of the Bundle it is.
func atEntry(i int, err error) error {
	e, ok := errors.AsType[*fhir.Error](err)
	if !ok {
		return fmt.Errorf("entry %d: %w", i, err)
	}
	at := *e
	at.Expression = entryExpression(i, e.Expression)
	at.Diagnostic = fmt.Sprintf("entry %d: %s", i, e.Diagnostic)
	if refused, ok := errors.AsType[*auth.RefusedError](err); ok {
		at.Err = refused // by which the answer gets its challenge
	}
	at.More = nil
	for _, more := range e.More {
		also := *more
		also.Expression = entryExpression(i, more.Expression)
		at.More = append(at.More, &also)
	}
	return &at
}

// entryExpression is the FHIRPath of an element of an entry.
func entryExpression(i int, expression string) string {
	root := fmt.Sprintf("%s[%d]", entryRoot, i)
	if rest, ok := strings.CutPrefix(expression, entryRoot); ok {
		return root + rest
	}
	if header, ok := strings.CutPrefix(expression, "http."); ok {
		if member, ok := entryConditions[header]; ok {
			return root + ".request." + member
		}
		return root + ".request.url"
	}
	if typ, rest, ok := strings.Cut(expression, "."); ok && (typ == "Resource" || fhir.Type(typ).Known()) {
		return root + ".resource." + rest
	}
	return root
}

// entryOf is the answer of an entry.
func entryOf(p part, a answer, base string) entry {
	r := &response{status: a.status, resource: a.resource}
	e := entry{response: r}
	if a.resource != nil && !a.resource.Deleted {
		e.fullURL = base + "/" + a.resource.Key.String()
		r.location = base + "/" + a.resource.VersionedReference()
	}
	switch {
	case p.method == http.MethodHead:
	case a.outcome:
		r.outcome = a.body
	default:
		e.resource = a.body
	}
	return e
}
