package client

import (
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
)

// parameter is one of Parameters, or a part of one.
type parameter struct {
	Name                 string
	ValueString          string
	ValueCode            string
	ValueID              string `json:"valueId"`
	ValueInstant         string
	ValueInteger         json.Number
	ValueDecimal         json.Number
	ValueReference       struct{ Reference string }
	ValueCodeableConcept struct{ Text string }
	ValueBoolean         bool
	Part                 parts
}

// parts is a list of parameters.
type parts []parameter

// parameters is the resource.
type parameters struct{ Parameter parts }

// text is the value of the first parameter of a name, "" if there is none.
func (all parts) text(name string) string {
	for _, p := range all {
		if p.Name == name {
			return p.ValueString + p.ValueCode + p.ValueID + p.ValueInstant + p.ValueReference.Reference + p.ValueCodeableConcept.Text
		}
	}
	return ""
}

// number is the value of the first parameter of a name, 0 if there is none.
func (all parts) number(name string) uint64 {
	for _, p := range all {
		if p.Name == name {
			n, _ := strconv.ParseUint(string(p.ValueInteger+p.ValueDecimal), 10, 64) // 0 for what isn't one
			return n
		}
	}
	return 0
}

// bundle is a page of a listing.
type bundle[R any] struct {
	Link  []struct{ Relation, URL string }
	Entry []struct{ Resource R }
}

// next is the query of the next page. Only that is taken of the link: a server behind a proxy may call itself
// otherwise than it was asked.
func (b bundle[R]) next() (query string, more bool) {
	for _, l := range b.Link {
		if l.Relation == "next" {
			_, query, _ := strings.Cut(l.URL, "?")
			return query, true
		}
	}
	return "", false
}

// asking is Parameters to be sent.
type asking struct{ all []map[string]any }

func (a *asking) add(name, member string, value any) {
	a.all = append(a.all, map[string]any{"name": name, member: value})
}

func (a *asking) bytes() []byte {
	b, _ := json.Marshal(map[string]any{"resourceType": "Parameters", "parameter": a.all}) // strings, numbers and booleans always marshal
	return b
}

// subscriptionPath is the path of a Subscription that was named by its id or its reference.
func subscriptionPath(name string) (id, path string, err error) {
	id = strings.TrimPrefix(name, "Subscription/")
	if id == "" || len(id) > 64 || strings.ContainsFunc(id, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.", r)
	}) {
		return "", "", usagef("%q is not the id of a Subscription: fhirhook subscriptions lists them", printable(name, 80))
	}
	return id, "/Subscription" + escape(id), nil
}

// query writes the parameters of a URL.
func query(pairs ...string) string {
	var all []string
	for i := 0; i+1 < len(pairs); i += 2 {
		all = append(all, url.QueryEscape(pairs[i])+"="+url.QueryEscape(pairs[i+1]))
	}
	return strings.Join(all, "&")
}
