package resthook

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"slices"
	"strings"
	"time"
	"unicode"

	"fhirhook/channel"
)

// mostTimeout bounds an exchange: whoever needs longer should answer first and work then.
const mostTimeout = 10 * time.Minute

// The words of a dialect that are codes.
var (
	methods      = []string{"POST", "PUT", "PATCH", "DELETE"}
	orders       = []string{"none", "resource", "subscription"}
	interactions = []string{"create", "update", "delete"}
)

// Check reports everything that is wrong with a dialect in itself, joined; nil if it can be used. What a ladder,
// a resource type and search criteria are is known to package subscription, which checks those.
func (d Dialect) Check() error {
	c := checking{d: d}
	if d.Name == "" || strings.Trim(d.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		c.problem("the name must be of a-z, 0-9 and -")
	}
	c.forms()
	c.contentType()
	c.headers()
	c.answers()
	c.events()
	return errors.Join(c.errs...)
}

// checking collects problems.
type checking struct {
	d    Dialect
	errs []error
}

func (c *checking) problem(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("dialect %s: "+format, append([]any{c.d.Name}, args...)...))
}

func (c *checking) forms() {
	c.form("change", c.d.Change, "update")
	if c.d.Bare != nil {
		c.form("bare", *c.d.Bare, "update")
	}
	if c.d.CanDelete() {
		c.form("delete", c.d.Delete, "delete")
	} else if c.d.Delete != (Form{}) {
		c.problem("delete has no method; leave all of delete out if the dialect sends none")
	}
	c.form("ping", c.d.Ping, "")
	if c.d.Ping.Address == AtResource {
		c.problem("a ping has no resource to be addressed")
	}
	if strings.Contains(c.d.Ping.Body, resource) {
		c.problem("a ping has no resource to carry")
	}
}

// form checks one form as a message of an interaction would use it, a test if that is "".
func (c *checking) form(what string, f Form, interaction string) {
	if f.Method == "" {
		c.problem("%s has no method", what)
	} else if !slices.Contains(methods, f.Method) {
		c.problem("%s has the method %q, not one of %s", what, f.Method, strings.Join(methods, ", "))
	}
	if f.Address > AtResource {
		c.problem("%s goes to an unknown kind of address", what)
	}
	if err := checkTemplate(f.Body); err != nil {
		c.problem("body of %s: %v", what, err)
		return
	}
	if interaction != "" {
		for _, name := range []string{"${sent}", "${attempt}"} {
			if strings.Contains(f.Body, name) {
				c.problem("body of %s: %s differs from try to try, and a body must not; put it into a header, or take ${updated}", what, name)
			}
		}
	}
	body, err := fillBody(f.Body, awkward(interaction), sampleTime)
	if err != nil {
		c.problem("body of %s: %v", what, err)
		return
	}
	if f.Body == "" {
		return
	}
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		where := ""
		if e, ok := errors.AsType[*json.SyntaxError](err); ok {
			where = fmt.Sprintf(", after %q", clip(body[:min(int(e.Offset), len(body))]))
		}
		c.problem("body of %s is not JSON once it is filled in: %v%s", what, err, where)
	}
}

// awkward is a message whose every text has to be escaped in JSON.
func awkward(interaction string) channel.Message {
	m := sampleMessage(interaction)
	m.Event, m.Tenant = `a"b\c`, "é\n"
	m.Body = []byte(`{"resourceType":"Basic"}`)
	return m
}

// clip is the end of a text.
func clip(b []byte) string { return string(b[max(0, len(b)-40):]) }

// contentType wants JSON, for that is what templates make.
func (c *checking) contentType() {
	if c.d.ContentType == "" {
		bodies := map[string]string{"delete": c.d.Delete.Body, "ping": c.d.Ping.Body, "change": c.d.Change.Body}
		if c.d.Bare != nil {
			delete(bodies, "change") // only sent where there is a payload, whose type it takes
			bodies["bare"] = c.d.Bare.Body
		}
		for _, what := range []string{"change", "bare", "delete", "ping"} {
			if bodies[what] != "" {
				c.problem("%s has a body, and nothing says of which type if a Subscription names no payload: name a content-type", what)
			}
		}
		return
	}
	kind, _, err := mime.ParseMediaType(c.d.ContentType)
	if err != nil || strings.ContainsFunc(c.d.ContentType, unicode.IsControl) {
		c.problem("content-type %q is not a MIME type", c.d.ContentType)
	} else if kind != "application/json" && kind != "text/json" && !strings.HasSuffix(kind, "+json") {
		c.problem("content-type %q is not JSON, and bodies are", c.d.ContentType)
	}
}

func (c *checking) headers() {
	seen := map[string]string{} // how names are confined, by name
	for i, h := range c.d.Headers {
		lower := strings.ToLower(h.Name)
		c.headerName(h.Name)
		if on, twice := seen[lower]; twice && (on == "" || h.On == "" || on == h.On) {
			c.problem("header %s is there twice", h.Name)
		}
		seen[lower] = h.On
		if h.On != "" && !slices.Contains(interactions, h.On) {
			c.problem("header %s is only for %q, not one of %s", h.Name, h.On, strings.Join(interactions, ", "))
		}
		switch err := checkTemplate(h.Value); {
		case err != nil:
			c.problem("header %s: %v", h.Name, err)
		case h.Value == "":
			c.problem("header %s (the %d. one) has no value", h.Name, i+1)
		case strings.Contains(h.Value, resource):
			c.problem("header %s can't hold a resource", h.Name)
		case strings.ContainsFunc(h.Value, unicode.IsControl), h.Value != strings.TrimSpace(h.Value):
			c.problem("header %s has a value with a control character, or a blank at one of its ends", h.Name)
		}
	}
	s := c.d.Signature
	if s.Header == "" {
		if s.Form != "" {
			c.problem("the signature has a form, but no header to stand in")
		}
		if _, taken := seen[strings.ToLower(plainSignature)]; taken {
			c.problem("header %s is where the signature stands that a Subscription asks for", plainSignature)
		}
		return
	}
	c.headerName(s.Header)
	if _, twice := seen[strings.ToLower(s.Header)]; twice {
		c.problem("header %s is both the signature's and one of the dialect's headers", s.Header)
	}
	if !slices.Contains(Forms(), s.Form) {
		c.problem("signature form %q is none of %s", s.Form, strings.Join(Forms(), ", "))
	}
}

// headerName refuses what isn't a name, and what stands in every request already or decides how one is read.
func (c *checking) headerName(name string) {
	lower := strings.ToLower(name)
	switch {
	case name == "":
		c.problem("a header has no name")
	case checkName(name) != nil:
		c.problem("%q is no header name: letters, digits and !#$%%&'*+-.^_`|~ can stand there", name)
	case framing[lower]:
		c.problem("header %s is reserved: the server or the connection decides it", name)
	case reservedPrefix(lower):
		c.problem("header %s is reserved: names that begin with webhook-, X-Fhirhook- or Proxy- are", name)
	case lower == "content-type":
		c.problem("header %s is reserved: its value is content-type", name)
	case lower == "user-agent", lower == "accept-encoding":
		c.problem("header %s is reserved: every request has it", name)
	}
}

// answers checks what counts as success and what follows a failure.
func (c *checking) answers() {
	if len(c.d.Success) == 0 {
		c.problem("no status counts as success; name some, as in success: 200-299")
	}
	if c.d.Timeout <= 0 || c.d.Timeout > mostTimeout {
		c.problem("a timeout of %s is impossible: above zero, and at most %s", c.d.Timeout, mostTimeout)
	}
	if c.d.Ladder == "" {
		c.problem("no ladder of retries; name one, as in retry: 1m,5m,30m or retry: exp:1s,2,1h,72h")
	}
	if c.d.Requests < 0 {
		c.problem("%d requests are impossible", c.d.Requests)
	}
	c.codes("order", c.d.Orders, orders)
	c.codes("interaction", c.d.Interactions, interactions)
	if slices.Contains(c.d.Interactions, "delete") && !c.d.CanDelete() {
		c.problem("deletions notify by default, and there is no message for them: name delete")
	}
}

// codes checks a list of codes that must not be empty.
func (c *checking) codes(what string, list, of []string) {
	if len(list) == 0 {
		c.problem("no %ss: name some of %s", what, strings.Join(of, ", "))
	}
	for i, code := range list {
		if !slices.Contains(of, code) {
			c.problem("%q is no %s: one of %s", code, what, strings.Join(of, ", "))
		} else if slices.Contains(list[:i], code) {
			c.problem("the %s %s is there twice", what, code)
		}
	}
}

func (c *checking) events() {
	if cases[c.d.Names.Case] == nil {
		c.problem("%q is no case of names: kebab, snake or type", c.d.Names.Case)
	}
	for _, word := range []string{c.d.Names.Created, c.d.Names.Updated, c.d.Names.Deleted} {
		if !eventName(word) && word != "" {
			c.problem("%q can't be a word of an event's name: %s", word, nameRule)
		}
	}
	for i, e := range c.d.Events {
		label := e.Name
		if !eventName(e.Name) {
			label = fmt.Sprintf("%d of the catalogue", i+1)
			c.problem("%q can't be the name of event %s: %s", e.Name, label, nameRule)
		}
		if e.Type == "" {
			c.problem("event %s has no type", label)
		}
		c.codes("interaction of event "+label, e.Interactions, interactions)
		if e.Enters && e.Criteria == "" {
			c.problem("event %s enters, and has no criteria to be entered", label)
		}
	}
	for i, name := range c.d.Declares {
		if !eventName(name) {
			c.problem("%q can't be declared: %s", name, nameRule)
		} else if slices.Contains(c.d.Declares[:i], name) {
			c.problem("%s is declared twice", name)
		}
	}
}

const nameRule = "an event's name is of letters, digits and ._:/-, and not " + PingEvent

// eventName tells whether a name can stand in a header, and be named by a pattern.
func eventName(name string) bool {
	return name != "" && name != PingEvent && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune("._:/-", r)
	})
}
