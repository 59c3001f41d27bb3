package rest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
	models "github.com/samply/golang-fhir-models/fhir-models/fhir"

	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/store"
	"fhirhook/fhir/tape"
)

// Level is where an operation is invoked: on [base], on a type or on one resource (R4 operations.html).
type Level uint8

// The levels.
const (
	OnSystem   Level = iota // [base]/$name
	OnType                  // [base]/Type/$name
	OnInstance              // [base]/Type/id/$name
)

// path is the level's path below Prefix, in Echo's notation.
func (l Level) path(name string) string {
	return [...]string{"/$", "/:type/$", "/:type/:id/$"}[l] + name
}

// Operation is a named operation that the endpoint offers without knowing what it does. The same name may stand
// in several of them, for other levels and types.
type Operation struct {
	Name    string // without its $
	Level   Level
	Types   []fhir.Type // that it is offered on; none: every type
	Methods []string    // GET is HEAD, too
	// Needs is what a caller has to be allowed to do with the resource, or with some of the type; 0: Handle finds out
	// by Who. Admin keeps it to administrators.
	Needs auth.Permissions
	Admin bool
	// Handle carries it out. An *fhir.Error is answered as it says, every other error as a 500.
	Handle func(context.Context, OperationRequest) (OperationAnswer, error)

	unjudged bool // the body need not be a resource that could be stored
}

// OperationRequest is what a client asked for. The type is one of the operation's, and the id well-formed;
// whether there is such a resource is for the operation to see.
type OperationRequest struct {
	Method string
	Base   string // [base], for absolute URLs
	Who    *auth.Principal
	Tenant string
	Type   fhir.Type
	ID     string
	Query  []Pair        // without _format and _pretty
	Body   fhir.Incoming // Doc is nil where no body was sent
	Origin store.Origin
}

// Key is the resource of OnInstance.
func (r OperationRequest) Key() fhir.Key { return fhir.Key{Tenant: r.Tenant, Type: r.Type, ID: r.ID} }

// OperationAnswer is what came of an operation that did not fail.
type OperationAnswer struct {
	Status          int
	Body            []byte         // a resource as JSON; nil for none
	Resource        *fhir.Resource // gives ETag and Last-Modified; may be nil
	ContentLocation string         // absolute; "" for none
}

var operationName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9-]*$`)

// checkOperations finds what is wrong with the operations of Options.
func checkOperations(all []Operation) error {
	var problems []error
	for _, o := range all {
		if !operationName.MatchString(o.Name) || o.Level > OnInstance || len(o.Methods) == 0 || o.Handle == nil {
			problems = append(problems, fmt.Errorf("rest: operation %q lacks a name, level, method or handler", o.Name))
		}
	}
	return errors.Join(problems...)
}

// offered tells whether the operation is offered on a type; "" is the system.
func (o Operation) offered(t fhir.Type) bool { return len(o.Types) == 0 || slices.Contains(o.Types, t) }

// addOperations puts the operations into the router, and what refuses other methods on their paths.
func (s *Server) addOperations(e *echo.Echo) {
	byPath := map[string][]Operation{}
	for _, o := range s.Operations {
		path := o.Level.path(o.Name)
		byPath[path] = append(byPath[path], o)
	}
	for path, operations := range byPath {
		handler := s.operate(path, operations)
		for _, method := range append([]string{http.MethodOptions}, methods...) {
			e.Add(method, Prefix+path, handler)
		}
	}
}

// operate answers the requests for one path.
func (s *Server) operate(path string, all []Operation) echo.HandlerFunc {
	return func(c echo.Context) error {
		method, t := c.Request().Method, fhir.Type(c.Param("type"))
		if all[0].Level != OnSystem && !t.Known() {
			return unknownType(string(t))
		}
		if method == http.MethodHead {
			method = http.MethodGet
		}
		allow := []string{http.MethodOptions}
		for _, o := range all {
			switch {
			case !o.offered(t):
			case slices.Contains(o.Methods, method):
				return s.runOperation(c, path, o)
			default:
				allow = append(allow, o.Methods...)
			}
		}
		if len(allow) == 1 {
			return unknownOperation("$" + all[0].Name)
		}
		c.Response().Header().Set(echo.HeaderAllow, strings.Join(allow, ", "))
		if method == http.MethodOptions {
			return c.NoContent(http.StatusNoContent)
		}
		return fhir.Errorf(fhir.MethodNotAllowed, "", "$%s does not offer that method here: the Allow header lists those it does", all[0].Name)
	}
}

func (s *Server) runOperation(c echo.Context, path string, o Operation) error {
	q := requestOf(c)
	reads := (*request).operands
	if o.unjudged {
		reads = (*request).unjudged
	}
	call, err := q.call(s, route{code: interaction("$" + o.Name), path: path, reads: reads})
	if err != nil {
		return err
	}
	if o.Level == OnInstance && !fhir.ValidID(call.target.id) {
		return unknownVersion(call)
	}
	call.admin = o.Admin
	if err := s.permitOperation(c.Request().Context(), call, o); err != nil {
		return err
	}
	a, err := o.Handle(c.Request().Context(), OperationRequest{
		Method: c.Request().Method, Base: call.base, Who: call.who, Tenant: call.tenant, Type: call.target.typ, ID: call.target.id,
		Query: call.target.query, Body: call.in, Origin: call.origin,
	})
	if err != nil {
		return err
	}
	if a.ContentLocation != "" {
		c.Response().Header().Set("Content-Location", a.ContentLocation)
	}
	return q.respond(call, answer{status: a.Status, resource: a.Resource, body: a.Body})
}

// operands is the reader of operations: a resource, mostly Parameters, or nothing.
func (q *request) operands(c *call) error {
	if err := q.unjudged(c); err != nil || c.in.Doc == nil || noParameters(c.in) {
		return err
	}
	return fhir.Join(q.s.Validator.Validate(c.in))
}

// noParameters tells whether a body is what programs write that keep a list of parameters and have none. FHIR
// has no empty array, but nothing is stored of this one, and it can mean nothing else.
func noParameters(in fhir.Incoming) bool {
	root := in.Doc.Root()
	list := root.Get("parameter")
	return in.Type == fhir.Parameters && root.Len() == 2 && list.Kind() == tape.Array && list.Len() == 0
}

// sent tells whether a request has a body. One in chunks doesn't say: its first byte does.
func sent(in *http.Request) bool {
	switch {
	case in.Body == nil, in.Body == http.NoBody, in.ContentLength == 0:
		return false
	case in.ContentLength > 0:
		return true
	}
	ahead := bufio.NewReader(in.Body)
	in.Body = struct {
		io.Reader
		io.Closer
	}{ahead, in.Body}
	_, err := ahead.Peek(1)
	return !errors.Is(err, io.EOF)
}

// unjudged is operands for a resource that may be invalid.
func (q *request) unjudged(c *call) (err error) {
	if !sent(q.c.Request()) {
		return nil
	}
	c.in, err = q.document(q.s.MaxBody, "--max-body")
	return err
}

// operationDefinition is the canonical URL under which an operation is named.
func operationDefinition(o Operation) string {
	if name, ok := definedByHL7[o.Name]; ok {
		return "http://hl7.org/fhir/OperationDefinition/" + name
	}
	return "https://fhirhook.dev/OperationDefinition/" + o.Name
}

// operationsOn lists the operations of a type, "" for the system's, each name once.
func operationsOn(t fhir.Type, all []Operation) []models.CapabilityStatementRestResourceOperation {
	var out []models.CapabilityStatementRestResourceOperation
	seen := map[string]bool{}
	for _, o := range all {
		if (o.Level == OnSystem) != (t == "") || !o.offered(t) || seen[o.Name] {
			continue
		}
		seen[o.Name] = true
		out = append(out, models.CapabilityStatementRestResourceOperation{Name: o.Name, Definition: operationDefinition(o)})
	}
	return out
}
