package operate

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/rest"
	"fhirhook/fhir/store"
	"fhirhook/fhir/tape"
)

// bound is a time that may be missing.
type bound struct{ time.Time }

func (b bound) set() bool { return !b.IsZero() }

// place is where the next page goes on.
type place struct {
	Lane    string `json:"l,omitempty"` // this one first, below the number Below
	Below   uint64 `json:"n,omitempty"`
	Version uint64 `json:"v,omitempty"` // of a focus: below it; Below so many of the first are done
	Total   *int   `json:"t,omitempty"` // if it is known
}

// page is a page being filled.
type page struct {
	count   int
	want    *filter
	shows   func(store.Lane) (bool, error) // whether the caller may see it
	from    place                          // zero: the first page
	found   []delivery
	total   int // found, and behind them
	scanned int
	next    *place // set once the page is full or enough was looked at
}

// take takes a delivery in. at is where to go on behind it. It returns false once there is no sense in more.
func (p *page) take(d delivery, at place) bool {
	if p.want.has(d) {
		p.total++
		if len(p.found) < p.count {
			p.found = append(p.found, d)
			if len(p.found) == p.count {
				p.next = &at
			}
		}
	}
	return p.more(at)
}

// more tells whether to look further: to fill the page, and behind it to count, on the first.
func (p *page) more(at place) bool {
	if p.total > p.count && p.from != (place{}) {
		return false
	}
	if p.scanned < mostScanned {
		return true
	}
	if p.next == nil {
		p.next = &at
	}
	p.total = -1
	return false
}

// done says that all was looked at. A full page with nothing behind it is the last.
func (p *page) done() {
	if p.total == len(p.found) {
		p.next = nil
	}
}

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

// paging reads _count and _cursor.
func (in inputs) paging(p *page) error {
	if v, ok, err := in.one("_count"); err != nil {
		return err
	} else if ok {
		n, err := strconv.Atoi(v.text)
		if err != nil || n < 1 {
			return v.refuse(fhir.Value, "%.60q is not a number above 0", v.text)
		}
		p.count = min(n, mostCount)
	}
	v, ok, err := in.one("_cursor")
	if err != nil || !ok {
		return err
	}
	if p.from, ok = parsePlace(v.text); !ok {
		return v.refuse(fhir.Value, "take it from a next link as it is")
	}
	return nil
}
