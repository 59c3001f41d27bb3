package search

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"time"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// cursor is where a page begins. It names the last resource of the page before and not its sort keys, which
// can be had again from that resource at the same place, and may be nothing that belongs into a URL.
type cursor struct {
	At    store.Seq `json:"a"`
	Now   int64     `json:"n"`           // milliseconds; what now meant on the first page
	Total *int      `json:"t,omitempty"` // of all pages; nil if it was not wanted
	Type  fhir.Type `json:"k"`
	ID    string    `json:"i"`
}

const sealSize = 12

// seal turns a cursor into a parameter's value. The seal covers what the cursor belongs to as well, so that
// it can't be carried over to another search, tenant or store by accident. There is nothing to gain by
// forging one: tenant and filters are always the request's own.
func (e *Engine) seal(c cursor, req *Request, r *results) string {
	body, err := json.Marshal(c)
	if err != nil {
		panic("search: a cursor of plain values: " + err.Error())
	}
	return base64.RawURLEncoding.EncodeToString(append(e.mac(body, req, r), body...))
}

// open is the inverse of seal.
func (e *Engine) open(value string, req *Request, r *results) (cursor, error) {
	raw, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil || len(raw) < sealSize || !hmac.Equal(raw[:sealSize], e.mac(raw[sealSize:], req, r)) {
		return cursor{}, fhir.Errorf(fhir.Value, "http."+paramPage,
			"this page link belongs to another search or is damaged: follow links as they stand, or start again without %s", paramPage)
	}
	var c cursor
	if err := json.Unmarshal(raw[sealSize:], &c); err != nil {
		return cursor{}, fhir.Errorf(fhir.Value, "http."+paramPage, "this page link is damaged: start again without %s", paramPage)
	}
	return c, nil
}

// mac covers everything that decides which resources the pages of a search have, and in what order. The
// size of a page and what is shown of each resource may differ from page to page.
func (e *Engine) mac(body []byte, req *Request, r *results) []byte {
	h := hmac.New(sha256.New, []byte("fhirhook search cursor "+e.db.Epoch()))
	parts := [][]byte{body, []byte(req.Tenant), []byte(req.Type), []byte(r.sortText)}
	if c := req.Compartment; c.Type != "" {
		parts = append(parts, []byte(c.Type), []byte(c.ID), []byte(c.Start), []byte(c.End), []byte(strconv.FormatBool(c.Whole)))
	}
	for _, p := range r.filters {
		parts = append(parts, []byte(p.Name), []byte(p.Value))
	}
	var n [8]byte
	for _, part := range parts {
		for i := range n {
			n[i] = byte(len(part) >> (8 * i))
		}
		h.Write(n[:])
		h.Write(part)
	}
	return bytes.Clone(h.Sum(nil)[:sealSize])
}

func (c cursor) now() time.Time { return time.UnixMilli(c.Now).UTC() }

// nextPage is the parameters of the page behind this one.
func nextPage(self []criteria.Pair, value string) []criteria.Pair {
	next := make([]criteria.Pair, 0, len(self)+1)
	for _, p := range self {
		if p.Name != paramPage {
			next = append(next, p)
		}
	}
	return append(next, criteria.Pair{Name: paramPage, Value: value})
}
