// Package app is the only place that wires: it opens the store, builds what stands on it, starts and stops
// everything in order. Read New from top to bottom to see the whole server.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"fhirhook/channel/resthook"
	"fhirhook/cmd/internal/edge"
	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/audit"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/rest"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/bolt"
	"fhirhook/fhir/store/retention"
	"fhirhook/subscription"
	"fhirhook/subscription/operate"
	"fhirhook/subscription/trail"
	"fhirhook/subscription/webhook"
)

// cachedSubscriptions is how many compiled Subscriptions the deliverer keeps at most.
const cachedSubscriptions = 10_000

// Server is a server that is wired and listening. Run makes it serve.
type Server struct {
	log       *slog.Logger
	drain     time.Duration
	base      string
	db        store.DB
	auth      *auth.Authenticator
	audit     *audit.Log   // nil: nothing is kept
	handler   http.Handler // everything that is served
	listener  net.Listener
	edge      *edge.Server // between listener and handler
	index     *search.Index
	own       *search.OwnIndex
	matcher   *subscription.Matcher
	deliverer *subscription.Deliverer
	desk      *operate.Desk
	history   *retention.Keeper // nil: all versions are kept
	closed    sync.Once

	adminListener net.Listener // nil: the operator's endpoints are with the others
	adminEdge     *edge.Server

	front, adminFront *front         // of the two listeners
	serving           sync.WaitGroup // those that answer at a listener
	lost              chan error     // why one of them ended
	whenReady         func()         // Options.Ready
}

// New checks the options, listens and opens the store; the listener answers from the beginning (starting.go). An error
// that the operator can mend in the configuration is an ErrConfiguration and names every problem. A Server that isn't
// Run must be Closed.
func New(ctx context.Context, o Options) (_ *Server, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	set, parts, err := o.prepare()
	if err != nil {
		return nil, err
	}
	network, dialects, definitions := parts.network, parts.dialects, parts.definitions

	s := &Server{log: o.Log, drain: o.Drain, whenReady: o.Ready, lost: make(chan error, 2)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	sealing, err := o.Keys.sealing(o.Data, o.EncryptResources)
	if err != nil {
		return nil, err
	}
	who, err := o.authenticator(definitions)
	if err != nil {
		return nil, err
	}
	if s.auth = who; who == nil && !set.anonymous && !o.offline {
		return nil, errors.New("the tokens are gone that were there a moment ago: start again")
	}
	addr := "localhost"
	if !o.offline {
		if err := s.listen(ctx, o, set); err != nil {
			return nil, err
		}
		addr = s.listener.Addr().String()
	}
	db, err := bolt.Open(o.Data, bolt.Options{Sealing: sealing})
	if err != nil {
		return nil, err
	}
	s.db = db
	if s.audit, err = o.auditor(who != nil, sealing); err != nil {
		return nil, err
	}
	s.base = baseOf(set.baseURL, o.TLS.On(), addr)

	env := criteria.Env{Bases: basesOf(set.baseURL, o.TLS.On(), addr), Zone: time.UTC}
	var grants *subscription.Grants // nil: everybody sees everything
	if who != nil {
		grants = subscription.NewGrants(definitions, env)
	}
	parsing := subscription.Options{Definitions: definitions, Dialects: dialects, Grants: grants}
	delivering := subscription.Options{Dialects: dialects, Grants: grants} // whatever became of its criteria, what is owed goes out
	admission := parsing
	admission.Policy = network
	admitting := subscription.NewGate(admission)
	counters := newMetrics(s)

	currents := subscription.NewCurrents(s.db, func(r *fhir.Resource) (*subscription.Subscription, error) {
		return subscription.Parse(r.Key, r.Version, r.Doc(), delivering)
	}, cachedSubscriptions)
	hook := resthook.New(resthook.Options{Network: network, Dialect: o.Dialect, Dialects: o.lookup()})
	s.deliverer = subscription.NewDeliverer(subscription.DelivererOptions{
		DB:           s.db,
		Channel:      hook,
		Subscription: currents.Current,
		ID:           subscription.ID,
		WithStatus:   subscription.WithStatus,
		Redact:       admitting.Redact,
		Limits:       o.endpointLimits(),
		Rate:         o.notificationRate(),
		Health:       subscription.HealthPolicy{ErrorFailures: set.errorTries, ErrorAge: set.errorAfter, OffAge: o.OffAfter},
		Drain:        o.Drain,
		Log:          o.Log,
		Observe:      counters.observe,
	})
	indexing := search.IndexOptions{
		Lowest: func(context.Context) (store.Seq, error) { return s.matcher.Place(), nil }, Show: shown(admitting.Redact), Log: o.Log,
	}
	catalogue := search.NewCatalogue(definitions, o.Log)
	s.index = search.NewIndex(s.db, definitions, indexing)
	s.own = search.NewOwnIndex(s.db, catalogue, func(context.Context) ([]string, error) { return o.tenants(), nil }, indexing)
	virtuals := s.events(trail.New(trail.Options{Queue: s.db.Queue(), Site: s.base, Shown: showsAttempts(currents)}))
	engine := search.New(s.db, definitions, search.Options{Index: s.index, Own: s.own, Virtuals: virtuals, Show: shown(admitting.Redact), Log: o.Log})
	s.matcher = subscription.NewMatcher(s.db, subscription.MatcherOptions{
		Parse: parsing, Env: env, Catalogue: catalogue, Notify: s.deliverer, Log: o.Log, Resolve: engine.Resolver, Referrers: engine.Referrers,
	})
	clients := o.bounded(s.db)
	s.desk = operate.New(operate.Options{
		DB: clients, Channel: hook, Parse: parsing, Definitions: s.definitions(catalogue), Env: env, Resolve: engine.Resolver,
		Place: s.matcher.Place, Refresh: s.deliverer.Refresh, Recent: o.recent(s), Held: s.deliverer.Held, Keep: o.KeepAttempts, Log: o.Log,
	})
	s.history = o.historian(s)
	endpoint, err := rest.New(rest.Options{
		DB: clients, Audit: s.keeper(), Limit: o.requestLimit(), Search: searcher{engine, env, s.desk}, Virtuals: virtuals, Authenticator: who, Smart: who.Smart, Env: env,
		Gate: gate{admitting, admission, catalogue, engine, env, network}, Definitions: s.definitions(catalogue), Validator: set.validation, AllowQuiet: true,
		Operations: s.desk.Operations(), Beside: []rest.Fragment{webhook.OpenAPI()},
		BaseURL: set.baseURL, TrustedProxies: set.proxies,
		MaxBody: o.MaxBody, MaxBundle: o.MaxBundle, DeleteMultiple: o.DeleteMultiple,
		Log: o.Log, Version: o.Version,
	})
	if err != nil {
		return nil, err
	}
	s.handler = s.routes(endpoint, counters, o.AdminListen != "", webhook.Options{FHIR: lookAhead(network, endpoint), Tenant: tenantOf(who), Dialect: o.Dialect, Dialects: o.Dialects})
	if o.offline {
		return s, nil
	}
	s.handler = lookAhead(network, s.handler)
	s.adminFront.lead(s.adminRoutes(counters))
	s.front.lead(s.handler)
	return s, nil
}

// parts are what options alone decide.
type parts struct {
	network     *resthook.Network
	dialects    *subscription.DialectTable
	definitions *criteria.Definitions
}

// prepare reads the options. Its error is an ErrConfiguration that names every problem.
func (o Options) prepare() (set settings, p parts, err error) {
	set, wrong := o.read()
	if _, _, err = o.Keys.master(); err != nil {
		wrong.add("%w", err)
	}
	p.network = o.readOutbound(&wrong)
	p.dialects = o.readDialects(&wrong)
	p.definitions = loadDefinitions(o.SearchParameters, &wrong, o.Log)
	if err := o.Auth.Check(p.definitions, o.Dev); err != nil {
		wrong.add("%w", err)
	}
	return set, p, wrong.err()
}

// Check names every problem of the options with an ErrConfiguration, and touches nothing.
func (o Options) Check() error {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	_, _, err := o.prepare()
	return err
}

// baseOf is [base]: what the operator says, else where the server listens.
func baseOf(configured string, secure bool, addr string) string {
	switch {
	case configured != "":
		return configured
	case secure:
		return "https://" + addr + rest.Prefix
	default:
		return "http://" + addr + rest.Prefix
	}
}

// basesOf are the URLs that references to the server's own resources begin with. Where nobody says what the
// server is called, and it listens on loopback, those are all the names that loopback has: clients use one as
// well as the other, and the server answers with the one that it was called by.
func basesOf(configured string, secure bool, addr string) []string {
	bases := []string{baseOf(configured, secure, addr)}
	listen, err := netip.ParseAddrPort(addr)
	if configured != "" || err != nil || !listen.Addr().IsLoopback() && !listen.Addr().IsUnspecified() {
		return bases
	}
	for _, host := range []string{"localhost", "127.0.0.1", "::1"} {
		base := baseOf("", secure, net.JoinHostPort(host, strconv.Itoa(int(listen.Port()))))
		if !slices.Contains(bases, base) {
			bases = append(bases, base)
		}
	}
	return bases
}

// BaseURL is where the FHIR endpoint is.
func (s *Server) BaseURL() string { return s.base }

// AdminAddr is the address of the operator's endpoints, "" if they have none of their own.
func (s *Server) AdminAddr() string {
	if s.adminListener == nil {
		return ""
	}
	return s.adminListener.Addr().String()
}

// Addr is the address that the server listens on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Run serves until ctx ends, then drains: no new request is taken, those under way are answered, attempts under
// way may finish, and the store is closed. If a part fails, all of it stops and the error says which.
func (s *Server) Run(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	background := context.WithoutCancel(ctx)
	matching, stopMatching := context.WithCancel(background)
	delivering, stopDelivering := context.WithCancel(background)
	defer stopMatching()
	defer stopDelivering()

	var matchers, deliverers sync.WaitGroup
	var errs failures
	matchers.Go(func() { // stops when matching is cancelled, behind the last request
		if err := s.matcher.Run(matching); err != nil {
			errs.add("matcher", err)
			fail(err)
		}
	})
	matchers.Go(func() { // the same; searches walk without it, so what it can't write ends nothing
		if err := s.index.Run(matching); err != nil {
			errs.add("search index", err)
		}
	})
	matchers.Go(func() { // the same
		if err := s.own.Run(matching); err != nil {
			errs.add("index of search parameters", err)
		}
	})
	matchers.Go(func() { // stops when matching is cancelled
		errs.add("authentication", s.auth.Run(matching))
	})
	if s.history != nil {
		matchers.Go(func() { // the same
			errs.add("history", s.history.Run(matching))
		})
	}
	deliverers.Go(func() { // stops when delivering is cancelled, behind the matcher
		if err := s.deliverer.Run(delivering); err != nil {
			errs.add("deliverer", err)
			fail(err)
		}
	})
	deliverers.Go(func() { // the same; a job goes on where it was with the next start
		if err := s.desk.Run(delivering); err != nil {
			errs.add("jobs", err)
			fail(err)
		}
	})
	var keeping sync.WaitGroup
	auditing, stopAuditing := context.WithCancel(background)
	defer stopAuditing()
	if s.audit != nil {
		keeping.Go(func() { // stops when auditing is cancelled, behind the last request
			errs.add("audit trail", s.audit.Run(auditing))
		})
	}
	matchers.Go(func() { s.announce(matching) }) // stops when it is said, or when matching is cancelled

	select {
	case <-ctx.Done():
	case err := <-s.lost:
		errs.add("http", err)
		fail(err)
	}
	s.log.Info("server.stopping", "drain", s.drain)
	drained, cancel := context.WithTimeout(background, s.drain)
	defer cancel()
	if err := s.edge.Shutdown(drained); err != nil {
		_ = s.edge.Close() // what has not been answered by now was not acknowledged
	}
	if s.adminEdge != nil {
		_ = s.adminEdge.Close() // nothing is lost with what it had under way
	}
	s.serving.Wait()
	stopAuditing()
	keeping.Wait()
	stopMatching()
	matchers.Wait()
	stopDelivering()
	deliverers.Wait()
	errs.add("store", s.Close())
	return errs.err()
}

// Close gives up what New took. Calling it after Run, or again, does nothing.
func (s *Server) Close() error {
	var err error
	s.closed.Do(func() {
		for _, e := range []*edge.Server{s.edge, s.adminEdge} {
			if e != nil {
				_ = e.Close() // with its listener; it may have ended already
			}
		}
		s.serving.Wait()
		for _, l := range []net.Listener{s.listener, s.adminListener} {
			if l != nil {
				_ = l.Close() // where nobody came to serve
			}
		}
		if s.db != nil {
			err = s.db.Close()
		}
	})
	return err
}

// failures collects what parts of the server failed with.
type failures struct {
	mu   sync.Mutex // guards errs
	errs []error
}

func (f *failures) add(part string, err error) {
	if err == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errs = append(f.errs, fmt.Errorf("%s: %w", part, err))
}

func (f *failures) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(f.errs...)
}
