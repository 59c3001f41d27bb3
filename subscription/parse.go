package subscription

import (
	"errors"
	"maps"
	"mime"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"fhirhook/channel"
	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/tape"
)

// Dialects looks up the rules of a dialect by its name; "" is the server's default.
type Dialects interface {
	Rules(name string) (Rules, bool)
}

// Policy judges endpoints.
type Policy interface {
	// CheckURL tells what is wrong with an endpoint, in words for its owner, as far as that shows in the URL.
	CheckURL(raw string) error
}

// Options is what parsing a Subscription depends on.
type Options struct {
	Definitions *criteria.Definitions // nil: criteria aren't compiled, for whoever only delivers
	Dialects    Dialects
	Policy      Policy // nil: endpoints aren't judged, as for a Subscription that was admitted before
	// Check tells what a Subscription's criteria (Query, within View) need and is not there (a value set), with a
	// *fhir.Error. nil: that isn't judged.
	Check func(*Subscription) error
	// Grants tells what a Subscription may see by its grant. nil: nobody has to authenticate, and each sees everything.
	Grants *Grants
	// Author is who writes, for a Gate: the grant is theirs. nil, or Open: nobody knows.
	Author *auth.Principal
}

// Parse compiles a Subscription. Its error is an *fhir.Error that names every problem, in the order in which
// the elements are read: fhir.Value and fhir.Required for what no R4 Subscription looks like, else
// fhir.BusinessRule. The status is as it is written ("" if it isn't); see Gate for what becomes of it.
func Parse(key fhir.Key, version uint64, doc *tape.Doc, o Options) (*Subscription, error) {
	s, problems := parse(key, version, doc, o, nil)
	if err := fhir.Join(problems); err != nil {
		return nil, err
	}
	return s, nil
}

// parse also takes the reasons why masks could not be replaced, by their paths.
func parse(key fhir.Key, version uint64, doc *tape.Doc, o Options, why map[string]string) (*Subscription, []*fhir.Error) {
	r := &reading{o: o, why: why, s: &Subscription{Key: key, Version: version}}
	root := doc.Root()
	ch := root.Get("channel")
	r.status(root)
	r.end(root)
	r.extensions(root, ch)
	r.s.View = r.o.Grants.View(r.s.Grant, key.Tenant)
	rules := r.resolve()
	r.criteria(root)
	r.events(rules)
	r.triggers()
	r.channel(root, ch, rules)
	r.inner()
	return r.s, r.problems
}

// reading is a Subscription being read.
type reading struct {
	o        Options
	s        *Subscription
	set      settings
	why      map[string]string // why a mask is still there, by path
	problems []*fhir.Error
}

func (r *reading) refuse(kind fhir.Kind, path, format string, args ...any) {
	r.problems = append(r.problems, fhir.Errorf(kind, path, format, args...))
}

// refuseMask refuses a mask that stands where a secret should.
func (r *reading) refuseMask(path string) {
	reason := r.why[path]
	delete(r.why, path)
	if reason == "" {
		reason = Mask + " stands for a stored value, and there is none to keep here: send the value itself"
	}
	r.refuse(fhir.BusinessRule, path, "%s", reason)
}

// inner refuses the masks that no element that was read accounts for: those inside contained resources.
func (r *reading) inner() {
	for _, path := range slices.Sorted(maps.Keys(r.why)) {
		r.refuseMask(path)
	}
}

func indexed(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// member reads a string member; ok is false if it isn't there or no string.
func (r *reading) member(of tape.Node, name, path string) (string, bool) {
	v := of.Get(name)
	switch {
	case !v.Exists():
		return "", false
	case v.Kind() != tape.String:
		r.refuse(fhir.Value, path, "must be a JSON string, and this is a JSON %s", v.Kind())
		return "", false
	case v.Text() == "":
		r.refuse(fhir.Value, path, "must not be empty: give it a value or leave it out")
		return "", false
	}
	return v.Text(), true
}

func (r *reading) status(root tape.Node) {
	s, ok := r.member(root, "status", "Subscription.status")
	if ok && !slices.Contains([]Status{Requested, Active, Erroneous, Off}, Status(s)) {
		r.refuse(fhir.BusinessRule, "Subscription.status", "%q is not a status: send requested or active to switch the Subscription on, off to switch it off", s)
	}
	r.s.Status = Status(s)
}

func (r *reading) end(root tape.Node) {
	s, ok := r.member(root, "end", "Subscription.end")
	if !ok {
		return
	}
	t, err := fhir.ParseInstant(s)
	if err != nil {
		r.refuse(fhir.Value, "Subscription.end", "%q is not an instant: date, time with seconds and zone, as in 2030-12-31T23:59:59Z", s)
	}
	r.s.End = t
}

// resolve applies the rules of the dialect to what the extensions say.
func (r *reading) resolve() Rules {
	set := &r.set
	rules, ok := r.o.Dialects.Rules(set.dialect.value)
	if !ok {
		r.refuse(fhir.BusinessRule, set.dialect.path, "there is no dialect %q here", set.dialect.value)
		// Headers and order are still read, by the rules of the default, so that all problems show at once.
		rules, _ = r.o.Dialects.Rules("")
		set.events = nil // whether these are names there is no telling
	}
	r.s.Interactions = rules.Interactions
	if set.named != "" {
		r.s.Interactions = set.interactions
	}
	if set.sendDelete.value {
		r.s.Interactions.Delete = true
		set.deletion = set.sendDelete.path
	}
	r.s.Trigger = set.trigger.value
	if r.s.Trigger == Leaves { // a resource that is deleted has left
		r.s.Interactions.Delete = true
		set.deletion = set.trigger.path
	}
	if r.s.Interactions.Delete && !rules.Deletes {
		r.refuse(fhir.BusinessRule, set.deletion, "R4 sends nothing on a delete, and the dialect of this Subscription keeps to that: name another dialect, or leave delete (or the trigger leaves) out")
	}
	r.s.Order = rules.Orders[0]
	if set.order.path != "" {
		r.s.Order = set.order.value
	}
	if !slices.Contains(rules.Orders, r.s.Order) {
		r.refuse(fhir.BusinessRule, set.order.path, "the dialect of this Subscription does not allow this order: it writes resources to the endpoint, where an old version must not overtake a newer one")
	}
	r.s.Ladder = ladder(rules.Ladder, set)
	r.s.SkipBacklog = set.backlog.value
	r.s.LastOnDelete, r.s.Names = rules.LastOnDelete, rules.Names
	r.s.Target = channel.Target{
		Dialect: set.dialect.value, Signature: set.signature.value, Timeout: set.timeout.value, Success: set.success.value,
	}
	r.s.Latest, r.s.Unversioned, r.s.Audit = set.latest.value, set.unversioned.value, set.audit
	if set.secret.path != "" {
		r.s.Target.Secrets = []string{set.secret.value}
	}
	r.rotation()
	return rules
}

// ladder is the Subscription's own ladder or the dialect's, cut short by a number of attempts.
func ladder(l Ladder, set *settings) Ladder {
	if set.ladder != nil {
		l = *set.ladder
	}
	own := 0
	for _, most := range []struct {
		given    bool
		requests int
	}{{set.maxAttempts.path != "", set.maxAttempts.value}, {set.retryCount.path != "", set.retryCount.value + 1}} {
		if most.given && (own == 0 || most.requests < own) {
			own = most.requests
		}
	}
	if own > 0 { // the dialect's number is for Subscriptions that name none: Medplum's 4 can be raised
		l.Most = own
	}
	return l
}

func (r *reading) criteria(root tape.Node) {
	const path = "Subscription.criteria"
	s, ok := r.member(root, "criteria", path)
	if !ok {
		if !root.Get("criteria").Exists() {
			r.refuse(fhir.Required, path, "criteria are missing: a search such as Observation?code=http://loinc.org|1975-2")
		}
		return
	}
	r.s.Criteria = s
	if head, _, _ := strings.Cut(s, "?"); strings.Contains(head, ":") {
		r.refuse(fhir.BusinessRule, path, "topics are not supported: write a search without the server's address, such as Observation?code=http://loinc.org|1975-2")
		return
	}
	if r.o.Definitions == nil {
		return
	}
	q, err := criteria.Parse(s, r.o.Definitions)
	if err != nil {
		for _, text := range diagnostics(err) {
			r.refuse(fhir.BusinessRule, path, "%s", text)
		}
		return
	}
	r.s.Query, r.s.View = q, r.s.View.About(q)
	if r.o.Check == nil || r.s.Status == Off {
		return
	}
	switch problem, err := evaluation(r.o.Check(r.s)); {
	case err != nil:
		r.problems = append(r.problems, &fhir.Error{Expression: path, Diagnostic: "what the criteria need can't be looked up", Err: err})
	case problem != nil:
		r.refuse(fhir.BusinessRule, path, "%s", problem.Diagnostic)
	}
}

func (r *reading) channel(root, ch tape.Node, rules Rules) {
	const path = "Subscription.channel"
	if !ch.Exists() {
		r.refuse(fhir.Required, path, "the channel is missing: say there where notifications go")
		return
	}
	if ch.Kind() != tape.Object {
		r.refuse(fhir.Value, path, "must be a JSON object, and this is a JSON %s", ch.Kind())
		return
	}
	switch kind, ok := r.member(ch, "type", path+".type"); {
	case ok && kind != "rest-hook":
		r.refuse(fhir.BusinessRule, path+".type", "the channel type %q is not supported: use rest-hook", kind)
	case !ok && !ch.Get("type").Exists():
		r.refuse(fhir.Required, path+".type", "the channel's type is missing: use rest-hook")
	}
	r.endpoint(ch, path+".endpoint")
	r.payload(ch, path+".payload")
	r.headers(ch, path+".header", rules)
}

// endpoint takes care that no refusal repeats more of the URL than scheme, host and path.
func (r *reading) endpoint(ch tape.Node, path string) {
	s, ok := r.member(ch, "endpoint", path)
	if !ok {
		if !ch.Get("endpoint").Exists() {
			r.refuse(fhir.BusinessRule, path, "a rest-hook needs an endpoint: the https URL that notifications are sent to")
		}
		return
	}
	r.s.Target.Endpoint = s
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http"):
		r.refuse(fhir.BusinessRule, path, "the endpoint is not an absolute http or https URL")
	case u.User != nil:
		r.refuse(fhir.BusinessRule, path, "an endpoint must not hold a user name or password: send them in a header (channel.header), which is never shown")
	case u.Fragment != "" || strings.Contains(s, "#"):
		r.refuse(fhir.BusinessRule, path, "an endpoint must not hold a fragment (#…): it is never sent")
	case r.o.Policy != nil:
		if err := r.o.Policy.CheckURL(s); err != nil {
			r.refuse(fhir.BusinessRule, path, "%s", err)
		}
	}
}

// diagnostics are the texts of an error and of the others that came with it, without their expressions.
func diagnostics(err error) []string {
	e, ok := errors.AsType[*fhir.Error](err)
	if !ok {
		return []string{err.Error()}
	}
	texts := []string{e.Diagnostic}
	for _, more := range e.More {
		texts = append(texts, more.Diagnostic)
	}
	return texts
}

func (r *reading) payload(ch tape.Node, path string) {
	s, ok := r.member(ch, "payload", path)
	if !ok {
		return
	}
	r.s.Target.Payload = s
	kind, params, err := mime.ParseMediaType(s)
	switch {
	case err != nil:
		r.refuse(fhir.BusinessRule, path, "%q is not a MIME type: use application/fhir+json, or leave the payload out", s)
	case strings.HasSuffix(kind, "xml"):
		r.refuse(fhir.BusinessRule, path, "XML is not supported: use application/fhir+json")
	case kind != "application/fhir+json" && kind != "application/json":
		r.refuse(fhir.BusinessRule, path, "the payload %q is not supported: use application/fhir+json or application/json", s)
	case params["fhirversion"] != "" && params["fhirversion"] != "4.0":
		r.refuse(fhir.BusinessRule, path, "FHIR version %q can't be sent: this server speaks 4.0", params["fhirversion"])
	case params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8"):
		r.refuse(fhir.BusinessRule, path, "JSON is sent in UTF-8 only")
	}
}

func (r *reading) headers(ch tape.Node, path string, rules Rules) {
	list := ch.Get("header")
	if !list.Exists() {
		return
	}
	if list.Kind() != tape.Array {
		r.refuse(fhir.Value, path, "must be a JSON array of strings, and this is a JSON %s", list.Kind())
		return
	}
	i := 0
	for v := range list.Elements() {
		at := indexed(path, i)
		i++
		if v.Kind() != tape.String {
			r.refuse(fhir.Value, at, "must be a JSON string, and this is a JSON %s", v.Kind())
			continue
		}
		if (spot{node: v, line: true}).masked() {
			r.refuseMask(at)
			continue
		}
		h, err := rules.Header(v.Text(), r.s.Target)
		if err != nil {
			r.refuse(fhir.BusinessRule, at, "%s", err)
			continue
		}
		r.s.Target.Headers = append(r.s.Target.Headers, h)
	}
}

// Ended tells whether the Subscription's end has come.
func (s *Subscription) Ended(now time.Time) bool { return !s.End.IsZero() && !now.Before(s.End) }
