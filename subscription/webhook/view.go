package webhook

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"fhirhook/fhir/tape"
	"fhirhook/subscription"
)

// The extensions that a webhook is made of.
const (
	eventURL   = "https://fhirhook.dev/StructureDefinition/subscription-event"
	dialectURL = "https://fhirhook.dev/StructureDefinition/subscription-dialect"
	secretURL  = "https://fhirhook.dev/StructureDefinition/subscription-secret"
	// organizationURL is of none of the families that have an effect.
	organizationURL = "https://fhirhook.dev/webhooks/organization"
)

// everything is the criteria of a webhook.
const everything = "[*]"

// webhook is a webhook as it is shown.
type webhook struct {
	ID           string   `json:"id"`
	URL          string   `json:"url"`
	Events       []string `json:"events"`
	Active       bool     `json:"active"`
	Secret       string   `json:"secret,omitempty"`
	Dialect      string   `json:"dialect"`
	Description  string   `json:"description,omitempty"`
	Organization string   `json:"organization,omitempty"`
	Status       string   `json:"status"`
	Error        string   `json:"error,omitempty"`
	Updated      string   `json:"updated"`
	Warnings     []string `json:"warnings,omitempty"`
}

// is tells whether an extension's URL means the one of another, however it is written.
func is(url, known string) bool {
	return subscription.ExtensionName(url) == subscription.ExtensionName(known)
}

// part is an extension of a Subscription and where it stands.
type part struct {
	node  tape.Node
	url   string
	where string // FHIRPath
}

// text is the value, if it is one of the members that hold text.
func (p part) text() string {
	for _, member := range []string{"valueString", "valueCode"} {
		if v := p.node.Get(member); v.Kind() == tape.String {
			return v.Text()
		}
	}
	return ""
}

// parts lists the extensions where those of a Subscription are read, in that order.
func parts(root tape.Node) []part {
	var all []part
	for _, holder := range []struct {
		node tape.Node
		path string
	}{{root, "Subscription"}, {root.Get("channel"), "Subscription.channel"}} {
		i := 0
		for e := range holder.node.Get("extension").Elements() {
			all = append(all, part{e, e.Get("url").Text(), holder.path + ".extension[" + strconv.Itoa(i) + "]"})
			i++
		}
	}
	return all
}

// patterns are the events that a Subscription names.
func patterns(all []part) []string {
	var found []string
	for _, p := range all {
		if is(p.url, eventURL) {
			found = append(found, p.text())
		}
	}
	return found
}

// isWebhook tells whether a Subscription is one, whoever wrote it.
func isWebhook(root tape.Node) bool {
	return strings.TrimPrefix(root.Get("criteria").Text(), "/") == everything && len(patterns(parts(root))) > 0
}

// formOf is what a form would say about a Subscription. dialect is that of one that names none.
func formOf(root tape.Node, dialect string) form {
	all := parts(root)
	f := form{
		url:         root.Path("channel", "endpoint").Text(),
		events:      patterns(all),
		listed:      true,
		active:      !root.Get("status").Is("off"),
		dialect:     dialect,
		description: root.Get("reason").Text(),
	}
	for _, p := range all {
		switch {
		case is(p.url, dialectURL):
			f.dialect = p.text()
		case subscription.SecretExtension(p.url):
			f.secret = subscription.Mask
		case is(p.url, organizationURL):
			f.organization = p.text()
		}
	}
	return f
}

// view is what is shown of a Subscription.
func (x *exchange) view(root tape.Node) webhook {
	f := formOf(root, x.o.Dialect)
	v := webhook{
		ID: root.Get("id").Text(), URL: f.url, Events: f.events, Active: f.active, Secret: f.secret, Dialect: f.dialect,
		Description: f.description, Organization: f.organization,
		Status: root.Get("status").Text(), Error: root.Get("error").Text(), Updated: root.Path("meta", "lastUpdated").Text(),
	}
	if _, known := x.tenant(); f.organization != "" && !known {
		v.Warnings = []string{"organization has no effect: this server runs without authentication and has one tenant"}
	}
	return v
}

// shows is the answer with a webhook, and with its secret if that was made for this request.
func (x *exchange) shows(status int, r reply, f form) answer {
	v := x.view(r.root())
	if f.generated {
		v.Secret = f.secret
	}
	a := answer{status: status, body: v, header: http.Header{}, secret: f.generated}
	for _, name := range []string{"Etag", "Last-Modified"} {
		if values := r.header.Values(name); len(values) > 0 {
			a.header[name] = slices.Clone(values)
		}
	}
	return a
}

// tenant is whose request this is.
func (x *exchange) tenant() (string, bool) {
	if x.o.Tenant == nil {
		return "", false
	}
	return x.o.Tenant(x.r)
}

// belongs refuses an organization that isn't the caller's own.
func (x *exchange) belongs(f form) error {
	tenant, known := x.tenant()
	if !known || f.organization == "" || f.organization == tenant {
		return nil
	}
	return refuse(http.StatusForbidden, "", fault{Pointer: "/organization", Code: "forbidden", Detail: "is not the one that your credentials are for: leave it out, or name that"})
}

// pointer is the place in a form of what an expression names in the Subscription that was made of it; "" if it is
// in no member. listed tells an array of events from a single one.
func pointer(sent *tape.Doc, expression string, listed bool) string {
	switch expression {
	case "Subscription.channel.endpoint":
		return "/url"
	case "Subscription.status":
		return "/active"
	case "Subscription.reason":
		return "/description"
	}
	event := 0
	for _, p := range parts(sent.Root()) {
		here := expression == p.where || strings.HasPrefix(expression, p.where+".")
		switch {
		case is(p.url, eventURL) && here && listed:
			return "/events/" + strconv.Itoa(event)
		case is(p.url, eventURL) && here:
			return "/events"
		case is(p.url, eventURL):
			event++
		case is(p.url, dialectURL) && here:
			return "/dialect"
		case subscription.SecretExtension(p.url) && here:
			return "/secret"
		case is(p.url, organizationURL) && here:
			return "/organization"
		}
	}
	return ""
}
