package rest

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
)

// Prefix is where the endpoint lies on the server.
const Prefix = "/fhir/R4"

// Options are what a Server is made of. DB and Search are required; every other zero value works.
type Options struct {
	DB     store.DB
	Search Searcher
	// Authenticator finds out who calls. nil: no authentication is configured, and everybody may do everything.
	Authenticator Authenticator
	// Smart tells where apps get tokens; auth.Authenticator.Smart does. nil: nowhere.
	Smart func(ctx context.Context, wait bool) (*auth.Smart, error)
	// Env is the surroundings in which it is decided what callers may see; Now and Lookup don't count.
	Env  criteria.Env
	Gate Gate // nil: resources pass as they are
	// Definitions tells a tenant's search parameters, for the CapabilityStatement. nil: none.
	Definitions func(ctx context.Context, tenant string) (*criteria.Definitions, error)
	Validator   Validator // nil: the structure of resources isn't checked
	Operations  []Operation
	Virtuals    []search.Virtual // resources that no row of the log holds: they are read here, and found by Search
	// Beside is what the server offers beside this endpoint: OpenAPI describes it, too.
	Beside []Fragment

	// AllowQuiet lets requests ask by X-Fhirhook-Notify: no that their writes notify nobody, as imports do.
	AllowQuiet bool

	// BaseURL is [base] in every absolute URL that is written; one without a path is taken for the server's root, and Prefix
	// is put behind it. Empty: the Host header, or what a trusted proxy forwards.
	BaseURL        string
	TrustedProxies []netip.Prefix // whose X-Forwarded-Proto and X-Forwarded-Host are believed

	DeleteMultiple bool // a conditional delete may delete more than one resource (R4 http.html#3.1.0.7.1)

	MaxBody    int64 // bytes of one resource; 0: 8 MiB
	MaxBundle  int64 // bytes of a body at [base]; 0: 64 MiB
	MaxDepth   int   // JSON nesting; 0: tape.MaxDepth
	MaxEntries int   // entries of a batch or transaction; 0: 10,000

	Audit Auditor // keeps what callers do; nil: nobody does
	Limit Limiter // bounds the requests of each tenant; nil: nothing does

	Log *slog.Logger // nil: slog.Default()
	// Observe, if set, is told of each request that was answered: the interaction's code ("" if it never
	// became one), the status and how long it took. It is called from many goroutines.
	Observe func(interaction string, status int, took time.Duration)
	Version string // of the software, for the CapabilityStatement
}

// Defaults of Options.
const (
	DefaultMaxBody    = 8 << 20
	DefaultMaxBundle  = 64 << 20
	DefaultMaxEntries = 10_000
)

// Server is the endpoint. It is safe for concurrent use and holds no state but its options.
type Server struct {
	Options
	echo      *echo.Echo
	routes    []route
	base      string // of Options.BaseURL; "" for none
	statement *statement
}

// New checks the options and builds the endpoint. Its error names every problem.
func New(o Options) (*Server, error) {
	var problems []error
	if o.DB == nil {
		problems = append(problems, errors.New("rest: DB is missing"))
	}
	if o.Search == nil {
		problems = append(problems, errors.New("rest: Search is missing"))
	}
	base, err := parseBase(o.BaseURL)
	if err != nil {
		problems = append(problems, err)
	}
	if err := checkOperations(o.Operations); err != nil {
		problems = append(problems, err)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	if o.Gate == nil {
		o.Gate = open{}
	}
	if o.Authenticator == nil {
		o.Authenticator = (*auth.Authenticator)(nil)
	}
	if o.Validator == nil {
		o.Validator = noValidator{}
	}
	if o.MaxBody <= 0 {
		o.MaxBody = DefaultMaxBody
	}
	if o.MaxBundle <= 0 {
		o.MaxBundle = max(DefaultMaxBundle, o.MaxBody)
	}
	if o.MaxEntries <= 0 {
		o.MaxEntries = DefaultMaxEntries
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	s := &Server{Options: o, routes: routes(), base: base}
	s.Operations = append(s.ownOperations(), o.Operations...)
	o.Operations = s.Operations
	now := time.Now()
	s.statement = &statement{make: func(defs *criteria.Definitions, how security) []byte { return newStatement(o, defs, how, now) }}
	s.echo = s.router()
	return s, nil
}

// ServeHTTP answers requests below Prefix; all other paths are a 404.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.echo.ServeHTTP(w, r) }

func parseBase(raw string) (string, error) {
	if raw == "" {
		return "", nil
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", errors.New("rest: BaseURL must be an http or https URL without query, fragment and user: " + raw)
	}
	if strings.Trim(u.Path, "/") == "" {
		return strings.TrimRight(raw, "/") + Prefix, nil
	}
	return strings.TrimRight(raw, "/"), nil
}

// Gate guards resources that the server has an interest in: Subscriptions and SearchParameters.
type Gate interface {
	// Admission judges the writes of a tenant inside a transaction: it may refuse what a client wrote, or put in
	// what the server owns. What the transaction wrote before counts.
	Admission(tx store.Reader, tenant string, who *auth.Principal) store.Admit
	// Redact returns the JSON that may be shown: every read path asks it.
	Redact(r *fhir.Resource) []byte
	// Echo returns the JSON of the answer to a create; sent is what the client sent a moment ago.
	Echo(r *fhir.Resource, sent fhir.Incoming) []byte
}

// open is the Gate that guards nothing.
type open struct{}

func (open) Admission(store.Reader, string, *auth.Principal) store.Admit { return nil }
func (open) Redact(r *fhir.Resource) []byte                              { return r.JSON }
func (open) Echo(r *fhir.Resource, _ fhir.Incoming) []byte               { return r.JSON }
