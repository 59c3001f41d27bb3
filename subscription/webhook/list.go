package webhook

import (
	"net/http"
	"net/url"
	"strconv"
)

// Bounds of one page.
const (
	usualCount = 50
	mostCount  = 500
	mostPages  = 20 // of the search, that are looked at to fill one
)

// pageParameter is where a page of a search begins.
const pageParameter = "-page"

// list answers a page of the webhooks.
func (x *exchange) list() (answer, error) {
	count := usualCount
	if text := x.query.Get("_count"); x.query.Has("_count") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return answer{}, refuse(http.StatusBadRequest, "", fault{Parameter: "_count", Code: "value", Detail: "must be a number above 0"})
		}
		count = min(n, mostCount)
	}
	search := url.Values{"criteria:exact": {everything + ",/" + everything}, "_total": {"none"}}
	if cursor := x.query.Get("cursor"); cursor != "" {
		search.Set(pageParameter, cursor)
	}
	found, base := []webhook{}, ""
	for range mostPages {
		search.Set("_count", strconv.Itoa(count-len(found)))
		page, err := x.call(http.MethodGet, "/Subscription", search, nil, "")
		if err != nil {
			return answer{}, err
		}
		for entry := range page.root().Get("entry").Elements() {
			if s := entry.Get("resource"); s.Get("resourceType").Is("Subscription") && isWebhook(s) {
				found = append(found, x.view(s))
			}
		}
		base = root(link(page, "self"))
		search.Del(pageParameter)
		if next, err := url.Parse(link(page, "next")); err == nil && next.Query().Has(pageParameter) {
			search.Set(pageParameter, next.Query().Get(pageParameter))
		}
		if len(found) == count || !search.Has(pageParameter) {
			break
		}
	}
	next := x.next(base+"/webhooks", search.Get(pageParameter))
	return answer{status: http.StatusOK, header: linked(next), body: struct {
		Webhooks []webhook `json:"webhooks"`
		Next     string    `json:"next,omitempty"`
	}{found, next}}, nil
}

// link is a link of a Bundle.
func link(r reply, relation string) string {
	for l := range r.root().Get("link").Elements() {
		if l.Get("relation").Is(relation) {
			return l.Get("url").Text()
		}
	}
	return ""
}

// next is the URL of the page behind this one: the same question with another cursor; "" if there is none.
func (x *exchange) next(at, cursor string) string {
	if cursor == "" {
		return ""
	}
	query := url.Values{}
	for name, values := range x.query {
		query[name] = values
	}
	query.Set("cursor", cursor)
	return at + "?" + query.Encode()
}

// linked is the header that tells clients of the next page that follow RFC 8288.
func linked(next string) http.Header {
	if next == "" {
		return http.Header{}
	}
	return http.Header{"Link": {"<" + next + `>; rel="next"`}}
}
