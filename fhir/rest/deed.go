package rest

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/rest/peer"
)

// Deed is what a request did or tried, or an entry of its Bundle: what an audit trail keeps of it. It holds nothing of
// bodies.
type Deed struct {
	RequestID   string
	Entry       int             // of the request's Bundle, from 1; 0: the request itself
	Who         *auth.Principal // in the tenant in which it was done; nil: it was not found out who calls
	From        string          // Who's own tenant, where that is another: an administrator's
	Address     netip.Addr      // of the client; zero: not known
	Method      string
	Interaction string    // a code of R4's restful-interaction, or $name of an operation
	Type        fhir.Type // "": none in particular
	ID          string    // "": none in particular. It may be none at all, if that is what the client sent
	Version     uint64    // 0: none in particular
	Query       string    // of searches, histories and conditions: Type?name=value, below [base]
	Writes      bool      // it may have changed something
	Admin       bool      // only administrators may
	Status      int
	Issue       string // OperationOutcome.issue.code, of what failed
	Reason      string // of 401 and 403, in words
	Took        time.Duration
}

// Auditor keeps deeds; audit.Log is one.
type Auditor interface {
	// Ready fails with a *fhir.Error while nothing can be kept: then nothing is done that would have to be.
	Ready() error
	// Record keeps the deeds of a request, in order, before it is answered. It returns when they are as safe as they have
	// to be then. It must not change them.
	Record([]Deed)
}

// account is what a request did so far.
type account struct {
	deeds []Deed // of the entries of its Bundle
	done  bool   // it was recorded
}

// note accounts for an entry of a Bundle.
func (s *Server) note(c *call, i int, method string, a answer, err error) {
	if c == nil || c.account == nil {
		return
	}
	if err != nil {
		a = answer{} // what it would have been
	}
	d := s.deed(c, a, err)
	d.Entry, d.Method = i+1, method
	c.account.deeds = append(c.account.deeds, d)
	c.account.deeds = append(c.account.deeds, d.also(a.also)...)
}

// deed is what a call did, its time and its way apart.
func (s *Server) deed(c *call, a answer, err error) Deed {
	d := Deed{
		RequestID: c.origin.RequestID, Who: c.who, From: c.home, Interaction: string(c.code), Type: c.target.typ, ID: c.target.id,
		Writes: c.code.writes() || c.code == process, Admin: c.admin, Status: a.status,
	}
	if c.code == process && c.bundle.Doc != nil && c.bundle.Doc.Root().Get("type").Is("transaction") {
		d.Interaction = "transaction"
	}
	if a.resource != nil {
		d.Type, d.ID, d.Version = a.resource.Key.Type, a.resource.Key.ID, a.resource.Version
	}
	switch {
	case strings.HasPrefix(string(c.code), "$"):
		d.Query = c.asked()
	case c.code == create && c.cond.hasNoneExist:
		d.Query = string(c.target.typ) + "?" + c.cond.ifNoneExist
	case c.target.id == "" || c.target.inner != "" || c.code == historyInstance:
		if c.code != create && c.code != process && c.code != capability {
			d.Query = c.asked()
		}
	}
	if err != nil {
		o, _ := classify(err)
		d.Status, d.Issue, d.Reason = o.Status, o.Code, reasonOf(err)
	}
	return d
}

// also is the same done to other resources.
func (d Deed) also(keys []fhir.Key) (more []Deed) {
	for _, key := range keys {
		d.Type, d.ID, d.Version = key.Type, key.ID, 0
		more = append(more, d)
	}
	return more
}

// reasonOf is why a caller was refused, in words that hold nothing that it sent.
func reasonOf(err error) string {
	if refused, ok := errors.AsType[*auth.RefusedError](err); ok {
		return refused.Text
	}
	return ""
}

// asked is the URL of the call, below [base]. A token that a client put there, where none is looked for, is left out.
func (c *call) asked() string {
	var steps []string
	for _, step := range []string{string(c.target.typ), c.target.id, c.target.inner} {
		if step != "" {
			steps = append(steps, step)
		}
	}
	switch {
	case strings.HasPrefix(string(c.code), "$"):
		steps = append(steps, string(c.code))
	case c.target.special != "":
		steps = append(steps, c.target.special)
	}
	pairs := slices.DeleteFunc(slices.Clone(c.target.query), func(p Pair) bool { return strings.EqualFold(p.Name, "access_token") })
	return withQuery(strings.Join(steps, "/"), pairs)
}

// record accounts for the request, once, before it is answered.
func (q *request) record() {
	if q.s.Audit == nil || q.of == nil || q.of.account == nil || q.of.account.done {
		return
	}
	q.of.account.done = true
	in := q.c.Request()
	a := q.answer
	if q.failed != nil {
		a = answer{}
	}
	d := q.s.deed(q.of, a, q.failed)
	if q.failed == nil {
		d.Status = q.c.Response().Status
	}
	d.Method = in.Method
	if strings.HasPrefix(d.Interaction, "$") {
		d.Writes = in.Method != http.MethodGet && in.Method != http.MethodHead
	}
	all := slices.Concat([]Deed{d}, d.also(a.also), q.of.account.deeds)
	took, address := time.Since(q.began), peer.Client(in, q.s.TrustedProxies)
	for i := range all {
		all[i].Took, all[i].Address = took, address
	}
	q.s.Audit.Record(all)
}

// accountable begins the account of a call, which is told to everybody who may ask without a token. It fails if nothing can be
// kept.
func (q *request) accountable(c *call) error {
	if q.s.Audit == nil || c.code == capability {
		return nil
	}
	if err := q.s.Audit.Ready(); err != nil {
		return err
	}
	q.of, c.account = c, &account{}
	q.c.Response().Before(q.record)
	return nil
}
