package rest

import (
	"net/http"
	"strconv"

	"fhirhook/fhir"
)

// bundle is a Bundle that is answered. Resources go into it as their bytes.
type bundle struct {
	kind    string
	total   *int
	links   []link
	entries []entry
}

type link struct{ relation, url string }

// entry is Bundle.entry. What is empty is left out.
type entry struct {
	fullURL  string
	resource []byte
	mode     string // of a searchset: match, include or outcome
	method   string // of history: request.method and request.url
	url      string
	response *response
}

// response is Bundle.entry.response.
type response struct {
	status   int
	location string
	resource *fhir.Resource // gives etag and lastModified
	outcome  []byte
}

// json joins the Bundle's bytes. R4 wants no empty arrays.
func (b bundle) json() []byte {
	size := 256
	for _, e := range b.entries {
		size += len(e.resource) + 320
	}
	out := make([]byte, 0, size)
	out = append(out, `{"resourceType":"Bundle","type":`...)
	out = appendString(out, b.kind)
	if b.total != nil {
		out = append(out, `,"total":`...)
		out = strconv.AppendInt(out, int64(*b.total), 10)
	}
	for i, l := range b.links {
		out = appendOpening(out, i, `,"link":[`)
		out = append(out, `{"relation":`...)
		out = appendString(out, l.relation)
		out = append(out, `,"url":`...)
		out = appendString(out, l.url)
		out = append(out, '}')
	}
	if len(b.links) > 0 {
		out = append(out, ']')
	}
	for i, e := range b.entries {
		out = appendOpening(out, i, `,"entry":[`)
		out = e.append(out)
	}
	if len(b.entries) > 0 {
		out = append(out, ']')
	}
	return append(out, '}')
}

func appendOpening(out []byte, i int, opening string) []byte {
	if i == 0 {
		return append(out, opening...)
	}
	return append(out, ',')
}

func (e entry) append(out []byte) []byte {
	o := object{out: append(out, '{')}
	o.text("fullUrl", e.fullURL)
	o.raw("resource", e.resource)
	if e.mode != "" {
		o.raw("search", appendObject(nil, "mode", e.mode))
	}
	if e.method != "" {
		o.raw("request", appendObject(nil, "method", e.method, "url", e.url))
	}
	if e.response != nil {
		o.raw("response", e.response.json())
	}
	return append(o.out, '}')
}

func (r *response) json() []byte {
	o := object{out: []byte{'{'}}
	o.text("status", strconv.Itoa(r.status)+" "+http.StatusText(r.status))
	o.text("location", r.location)
	if r.resource != nil {
		o.text("etag", r.resource.ETag())
		o.text("lastModified", fhir.Instant(r.resource.Updated))
	}
	o.raw("outcome", r.outcome)
	return append(o.out, '}')
}

// object appends members to a JSON object; empty ones are left out.
type object struct {
	out  []byte
	some bool
}

func (o *object) name(name string) {
	if o.some {
		o.out = append(o.out, ',')
	}
	o.some = true
	o.out = append(append(append(o.out, '"'), name...), `":`...)
}

func (o *object) text(name, value string) {
	if value != "" {
		o.name(name)
		o.out = appendString(o.out, value)
	}
}

func (o *object) raw(name string, value []byte) {
	if len(value) > 0 {
		o.name(name)
		o.out = append(o.out, value...)
	}
}

func appendObject(out []byte, namesAndValues ...string) []byte {
	o := object{out: append(out, '{')}
	for i := 0; i < len(namesAndValues); i += 2 {
		o.text(namesAndValues[i], namesAndValues[i+1])
	}
	return append(o.out, '}')
}

func appendString(out []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return append(out, encode(s)...)
		}
	}
	return append(append(append(out, '"'), s...), '"') // nearly all are ids, URLs and times
}
