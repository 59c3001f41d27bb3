package webhook

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"fhirhook/channel/resthook"
	"fhirhook/fhir/tape"
	"fhirhook/subscription"
)

// form is a webhook as it is written.
type form struct {
	url          string
	events       []string // patterns, as subscription-event has them
	listed       bool     // they were sent as an array
	active       bool
	secret       string // "": none; subscription.Mask: the one that is stored
	generated    bool   // secret was made here, and is to be shown once
	dialect      string
	description  string
	organization string
}

// standard is the dialect of a webhook that names none.
const standard = "clinik"

// blank is what a form says that says nothing.
func blank(dialect string) form { return form{active: true, dialect: dialect} }

// generate, as the secret, asks for one to be made.
const generate = "generate"

// field is a member of the form. The OpenAPI description is made from the table, too.
type field struct {
	name   string
	about  string
	schema map[string]any
	read   func(*form, tape.Node) []fault // a value that isn't null
	take   func(into *form, from form)    // takes the field over from another form: null is the default
}

var text = map[string]any{"type": "string"}

// fields are the members that are written. It is read-only.
var fields = []field{
	{
		"url", "where events are sent: https, and a public address, unless the operator opens others",
		map[string]any{"type": "string", "format": "uri"},
		func(f *form, v tape.Node) []fault { return readText(&f.url, "/url", v) },
		func(f *form, of form) { f.url = of.url },
	},
	{
		"events", "what is sent: *, patient.*, patient.created, names of the dialect, or ping for test events alone; a name without a dot is the whole family",
		map[string]any{"oneOf": []any{text, map[string]any{"type": "array", "items": text, "minItems": 1}}},
		readEvents,
		func(f *form, of form) { f.events, f.listed = of.events, of.listed },
	},
	{
		"active", "whether events are sent",
		map[string]any{"type": "boolean", "default": true},
		func(f *form, v tape.Node) []fault {
			if v.Kind() != tape.Bool {
				return wrong("/active", "must be true or false, and this is a JSON %s", v.Kind())
			}
			f.active = v.Bool()
			return nil
		},
		func(f *form, of form) { f.active = of.active },
	},
	{
		"secret", "the key that events are signed with; never shown: " + subscription.Mask + " stands for the one that is stored, and " + generate + " makes one, which the answer shows this once",
		map[string]any{"type": "string"},
		readSecret,
		func(f *form, of form) { f.secret, f.generated = of.secret, of.generated },
	},
	{
		"dialect", "what an event looks like, and how it is tried again",
		map[string]any{"type": "string", "default": standard},
		func(f *form, v tape.Node) []fault { return readText(&f.dialect, "/dialect", v) },
		func(f *form, of form) { f.dialect = of.dialect },
	},
	{
		"description", "what it is for",
		text,
		func(f *form, v tape.Node) []fault { return readText(&f.description, "/description", v) },
		func(f *form, of form) { f.description = of.description },
	},
	{
		"organization", "the tenant that it belongs to; without authentication it has no effect",
		text,
		func(f *form, v tape.Node) []fault { return readText(&f.organization, "/organization", v) },
		func(f *form, of form) { f.organization = of.organization },
	},
}

// shown are the members that only the server writes. A PUT of what was read has them, and they are left aside.
var shown = []string{"id", "status", "error", "updated", "warnings"}

// mode is what a body is for.
type mode uint8

const (
	creating  mode = iota
	replacing      // shown members are left aside
	patching       // what isn't there stays
)

// readForm reads a body into a form that holds what is so if the body doesn't say otherwise; defaults hold what
// null stands for.
func readForm(body tape.Node, f *form, defaults form, m mode) error {
	var faults []fault
	for name, v := range body.Members() {
		at := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
		switch {
		case at < 0 && m == replacing && slices.Contains(shown, name):
		case at < 0:
			faults = append(faults, stranger(name))
		case v.Kind() == tape.Null:
			fields[at].take(f, defaults)
		default:
			faults = append(faults, fields[at].read(f, v)...)
		}
	}
	for _, needed := range []struct {
		pointer, text string
		there         bool
	}{
		{"/url", "is missing: say where events are to be sent", f.url != ""},
		{"/events", `is missing: say what is to be sent, as in ["patient.created"], or "*" for everything`, len(f.events) > 0},
	} {
		named := slices.ContainsFunc(faults, func(f fault) bool { return strings.HasPrefix(f.Pointer, needed.pointer) })
		if !needed.there && !named {
			faults = append(faults, fault{Pointer: needed.pointer, Detail: needed.text, Code: "required"})
		}
	}
	if len(faults) > 0 {
		return refuse(http.StatusUnprocessableEntity, "", faults...)
	}
	return nil
}

// stranger is the fault of a member that isn't written.
func stranger(name string) fault {
	f := fault{Pointer: "/" + escape(clip(name)), Code: "not-supported"}
	switch {
	case name == "status":
		f.Detail = "is what the server makes of it: write active, true or false"
	case slices.Contains(shown, name):
		f.Detail = "is written by the server: leave it out"
	default:
		var names []string
		for _, f := range fields {
			names = append(names, f.name)
		}
		f.Detail = "is no member of a webhook: there are " + strings.Join(names, ", ")
	}
	return f
}

// escape makes a name a part of a JSON Pointer.
func escape(name string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(name) }

func wrong(pointer, format string, args ...any) []fault {
	return []fault{{Pointer: pointer, Code: "value", Detail: fmt.Sprintf(format, args...)}}
}

func readText(into *string, pointer string, v tape.Node) []fault {
	switch {
	case v.Kind() != tape.String:
		return wrong(pointer, "must be a JSON string, and this is a JSON %s", v.Kind())
	case strings.TrimSpace(v.Text()) == "":
		return wrong(pointer, "must not be empty: give it a value or leave it out")
	}
	*into = v.Text()
	return nil
}

func readSecret(f *form, v tape.Node) []fault {
	faults := readText(&f.secret, "/secret", v)
	f.generated = faults == nil && f.secret == generate
	if f.generated {
		f.secret = resthook.NewSecret()
	}
	return faults
}

func readEvents(f *form, v tape.Node) []fault {
	f.events, f.listed = nil, v.Kind() == tape.Array
	if f.listed && v.Len() == 0 {
		return wrong("/events", `must not be empty: name what is to be sent, "*" for everything or "ping" for test events alone; active: false sends nothing`)
	}
	var faults []fault
	for one := range v.Elements() {
		pointer := "/events"
		if f.listed {
			pointer += "/" + strconv.Itoa(len(f.events))
		}
		var name string
		faults = append(faults, readText(&name, pointer, one)...)
		f.events = append(f.events, name)
	}
	return faults
}

// meant are the patterns that a form's names of events stand for: a name without a dot is everything that happens to
// what it names, unless the dialect has an event of that very name, or it stood there before and meant something.
func (x *exchange) meant(f, was form) []string {
	patterns := slices.Clone(f.events)
	for i, name := range patterns {
		whole := name == "*" || strings.EqualFold(name, resthook.PingEvent) || strings.Contains(name, ".")
		if !whole && !slices.Contains(was.events, name) && !x.o.has(f.dialect, name) {
			patterns[i] = name + ".*"
		}
	}
	return patterns
}

// has tells whether one of the operator's dialects has an event of that very name.
func (o Options) has(dialect, name string) bool {
	same := func(other string) bool { return resthook.Fold(other) == resthook.Fold(name) }
	for _, d := range o.Dialects {
		if d.Name == dialect {
			return slices.ContainsFunc(d.Declares, same) || slices.ContainsFunc(d.Events, func(e resthook.Event) bool { return same(e.Name) })
		}
	}
	return false
}
