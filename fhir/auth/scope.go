package auth

import (
	"fmt"
	"strings"

	"fhirhook/criteria"
	"fhirhook/fhir"
)

// Context is whose resources a scope is about.
type Context uint8

// The contexts.
const (
	None    Context = iota // the scope is not about resources, and has no effect here
	System                 // all of the tenant
	User                   // all of the tenant: which of them a user may see, the issuer tells by the scopes that it gives
	Patient                // the compartment of the Patient that the token names
)

var contexts = [...]string{System: "system", User: "user", Patient: "patient"}

// AdminScope makes the bearer of a JWT an administrator, if its issuer may appoint any (Issuer.Admin).
const AdminScope = "fhirhook/admin"

// mostScopeBytes bounds one scope.
const mostScopeBytes = 2048

// Scope is one scope: what may be done with resources of a type, or of all. The zero value gives nothing.
type Scope struct {
	Context     Context
	Type        fhir.Type // "": all
	Permissions Permissions
	Restriction string // a search expression's parameters, still percent-encoded; "": none

	other string // the text of one that is not about resources
}

// String is the scope's canonical form; ParseScope reads it back.
func (s Scope) String() string {
	if s.Context == None {
		return s.other
	}
	t := string(s.Type)
	if t == "" {
		t = "*"
	}
	text := contexts[s.Context] + "/" + t + "." + s.Permissions.String()
	if s.Restriction != "" {
		text += "?" + s.Restriction
	}
	return text
}

// ParseScope reads a scope of SMART on FHIR: system/Observation.rs, patient/*.cruds,
// user/Observation.rs?category=laboratory; the first version's .read, .write and .* mean rs, cud and cruds. What
// begins with none of the three contexts (openid, launch) is kept without effect. The parameters of a restriction
// are only known to be evaluable when they are compiled (NewAccess).
func ParseScope(text string) (Scope, error) {
	refuse := func(reason string) (Scope, error) { return Scope{}, &scopeError{text, reason} }
	switch {
	case text == "":
		return refuse("it is empty")
	case len(text) > mostScopeBytes:
		return refuse(fmt.Sprintf("it is longer than %d bytes", mostScopeBytes))
	}
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return refuse("it has a character that scopes can't have (RFC 6749 section 3.3): percent-encode the values of a restriction, a backslash as %5C")
		}
	}
	head, restriction, restricted := strings.Cut(text, "?")
	name, rest, about := strings.Cut(head, "/")
	context := contextOf(name)
	switch {
	case context == None && contextOf(strings.ToLower(name)) != None:
		return refuse("contexts are written in lower case: system/, user/ or patient/")
	case context == None:
		return Scope{other: text}, nil
	case !about:
		return refuse("behind the context a slash, a type and what may be done are missing, as in " + name + "/Observation.rs")
	}
	typ, granted, dotted := strings.Cut(rest, ".")
	t := fhir.Type(typ)
	switch {
	case typ == "*":
		t = ""
	case !t.Known():
		return refuse("between the slash and the dot stands no resource type of R4, and no *")
	}
	if !dotted {
		return refuse("what may be done is missing behind the type, as in " + head + ".rs")
	}
	permissions, problem := parsePermissions(granted)
	switch {
	case problem != "":
		return refuse(problem)
	case restricted && strings.Trim(restriction, "&") == "":
		return refuse("behind the question mark a restriction is missing: leave the question mark out, or write parameters behind it")
	}
	if restricted {
		if _, err := criteria.ParsePairs(restriction); err != nil {
			return refuse(err.Error())
		}
	}
	return Scope{Context: context, Type: t, Permissions: permissions, Restriction: restriction}, nil
}

func contextOf(name string) Context {
	for c := System; c <= Patient; c++ {
		if contexts[c] == name {
			return c
		}
	}
	return None
}

// scopeError says what is wrong with a scope. Its text is for whoever wrote it.
type scopeError struct{ scope, reason string }

func (e *scopeError) Error() string { return fmt.Sprintf("scope %.200q: %s", e.scope, e.reason) }

// compile makes the restriction a query; nil if there is none.
func (s Scope) compile(defs *criteria.Definitions) (*criteria.Query, error) {
	if s.Restriction == "" {
		return nil, nil //nolint:nilnil // unrestricted
	}
	head := string(s.Type)
	if head == "" {
		head = "[*]"
	}
	q, err := criteria.Parse(head+"?"+s.Restriction, defs)
	switch {
	case err != nil:
		return nil, &scopeError{s.String(), err.Error()}
	case len(q.Terms()) == 0:
		return nil, &scopeError{s.String(), "its restriction restricts nothing"}
	case q.Far():
		return nil, &scopeError{s.String(), "its restriction looks at other resources (a chain, _has, _list, a value set or hierarchy): only what the resource itself says can restrict a scope"}
	}
	return q, nil
}
