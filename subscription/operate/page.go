package operate

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"time"

	"fhirhook/fhir/rest"
	"fhirhook/fhir/tape"
)

// bound is a time that may be missing.
type bound struct{ time.Time }

func (b bound) set() bool { return !b.IsZero() }

// String is the place as it stands in a next link.
func (p place) String() string {
	b, _ := json.Marshal(p) // strings and numbers always marshal
	return base64.RawURLEncoding.EncodeToString(b)
}

func parsePlace(s string) (p place, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	return p, err == nil && json.Unmarshal(b, &p) == nil && p != (place{}) && (p.Total == nil || *p.Total >= 0)
}

// bundle writes a page. The total is told if everything was looked at.
func (p *page) bundle(r rest.OperationRequest) []byte {
	where := r.Base + "/" + string(r.Type)
	if r.ID != "" {
		where += "/" + r.ID
	}
	where += "/$deliveries"
	total := p.from.Total
	if p.from == (place{}) && p.total >= 0 {
		total = &p.total
	}
	b := []byte(`{"resourceType":"Bundle","type":"searchset"`)
	if total != nil {
		b = strconv.AppendInt(append(b, `,"total":`...), int64(*total), 10)
	}
	link := func(relation, cursor string) {
		b = append(append(append(b, `{"relation":"`+relation+`","url":`...), tape.Quote(where+query(r, cursor))...), '}')
	}
	b = append(b, `,"link":[`...)
	link("self", "")
	if p.next != nil {
		next := *p.next
		next.Total = total
		b = append(b, ',')
		link("next", next.String())
	}
	b = append(b, ']')
	for i, d := range p.found {
		opening := `,"entry":[`
		if i > 0 {
			opening = ","
		}
		b = append(b, opening+`{"fullUrl":`...)
		b = append(b, tape.Quote(r.Base+"/Subscription/"+d.lane.Subscription+"/$deliveries?delivery="+d.id)...)
		b = append(append(append(b, `,"resource":`...), d.parameters()...), `,"search":{"mode":"match"}}`...)
	}
	if len(p.found) > 0 {
		b = append(b, ']')
	}
	return append(b, '}')
}

// query is what was asked for, with another cursor ("": the one that it had).
func query(r rest.OperationRequest, cursor string) string {
	var parts []string
	for _, p := range r.Query {
		if p.Name == "_cursor" && cursor != "" {
			continue
		}
		parts = append(parts, url.QueryEscape(p.Name)+"="+url.QueryEscape(p.Value))
	}
	if cursor != "" {
		parts = append(parts, "_cursor="+cursor)
	}
	if len(parts) == 0 {
		return ""
	}
	return "?" + strings.Join(parts, "&")
}
