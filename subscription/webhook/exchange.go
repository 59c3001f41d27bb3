package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// mostBody bounds the bodies that are sent here: a webhook is small.
const mostBody = 64 << 10

// mostRequestID is the length up to which a client's X-Request-Id is taken.
const mostRequestID = 128

// exchange is a request while it is answered.
type exchange struct {
	o     Options
	w     http.ResponseWriter
	r     *http.Request
	id    string // of the webhook that the URL names
	query url.Values
}

// answer is what came of a request that did not fail.
type answer struct {
	status int
	header http.Header // beside those of every answer
	body   any         // JSON; nil: none
	secret bool        // the body shows a secret, this once
}

// begin gives the request its id, so that all requests to the FHIR endpoint that come of it share one.
func begin(o Options, w http.ResponseWriter, r *http.Request) *exchange {
	r = r.Clone(r.Context())
	sent := r.Header.Get("X-Request-Id")
	if sent == "" || len(sent) > mostRequestID {
		r.Header.Set("X-Request-Id", fhir.NewID())
		if sent != "" {
			w.Header().Set("X-Correlation-Id", sent)
		}
	}
	w.Header().Set("X-Request-Id", r.Header.Get("X-Request-Id"))
	return &exchange{o: o, w: w, r: r}
}

// respond writes an answer.
func (x *exchange) respond(a answer) {
	header := x.w.Header()
	for name, values := range a.header {
		header[name] = values
	}
	if a.secret {
		header.Set("Cache-Control", "no-store")
	}
	x.write(a.status, "application/json", a.body)
}

// write sends a status and JSON, nil for no body.
func (x *exchange) write(status int, contentType string, v any) {
	header := x.w.Header()
	if header.Get("Cache-Control") == "" {
		header.Set("Cache-Control", "no-cache") // the ETag answers whether a copy is still good
	}
	if v == nil {
		x.w.WriteHeader(status)
		return
	}
	var body bytes.Buffer
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("webhook: encode %T: %v", v, err)) // only types of this package come here
	}
	header.Set("Content-Type", contentType)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Length", strconv.Itoa(body.Len()))
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write(body.Bytes()) // whoever hung up needs no answer
	}
}

// conditions refuses the conditions that a request of the method does not know: one that is ignored would let
// through what its sender meant to hold back.
func (x *exchange) conditions(method string) error {
	for name, known := range map[string]bool{
		"If-Match":            method == http.MethodPut || method == http.MethodPatch || method == http.MethodDelete,
		"If-None-Match":       method == http.MethodGet,
		"If-Unmodified-Since": false,
	} {
		if len(x.r.Header.Values(name)) > 0 && !known {
			return refuse(http.StatusBadRequest, "", fault{Header: name, Detail: "has no meaning here: leave it out"})
		}
	}
	return nil
}

// body reads the request's body as a JSON object. patch says that it may be a merge patch.
func (x *exchange) body(patch bool) (tape.Node, error) {
	if err := checkType(x.r.Header.Get("Content-Type"), patch); err != nil {
		return tape.Node{}, err
	}
	if coding := x.r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		p := refuse(http.StatusUnsupportedMediaType, "the body must not be compressed", fault{Header: "Content-Encoding", Detail: "leave it out"})
		p.header = http.Header{"Accept-Encoding": {"identity"}}
		return tape.Node{}, p
	}
	raw, err := x.readAll()
	if err != nil {
		return tape.Node{}, err
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		return tape.Node{}, refuse(http.StatusBadRequest, "the body is empty: send a JSON object")
	}
	doc, err := tape.Parse(raw, 0)
	if syntax, wrong := errors.AsType[*tape.SyntaxError](err); wrong {
		return tape.Node{}, refuse(http.StatusBadRequest, fmt.Sprintf("the body is not acceptable JSON: line %d, column %d: %s", syntax.Line, syntax.Column, syntax.Reason))
	}
	if kind := doc.Root().Kind(); kind != tape.Object {
		return tape.Node{}, refuse(http.StatusBadRequest, fmt.Sprintf("the body must be a JSON object, and this is a JSON %s", kind))
	}
	return doc.Root(), nil
}

// readAll reads the body up to its bound.
func (x *exchange) readAll() ([]byte, error) {
	tooLarge := refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes, which no webhook needs", mostBody))
	if x.r.ContentLength > mostBody {
		x.w.Header().Set("Connection", "close") // what is still to come is not read
		return nil, tooLarge
	}
	if x.r.Body == nil {
		return nil, nil
	}
	raw, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, mostBody))
	_, large := errors.AsType[*http.MaxBytesError](err)
	switch {
	case large:
		return nil, tooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, refuse(http.StatusRequestTimeout, "the body did not arrive in time")
	case err != nil:
		return nil, refuse(http.StatusBadRequest, "the body could not be read to its end")
	}
	return raw, nil
}

// checkType judges a Content-Type; none is taken as JSON, which shows at once.
func checkType(header string, patch bool) error {
	wanted := "application/json"
	if patch {
		wanted = "application/merge-patch+json"
	}
	if header == "" {
		return nil
	}
	media, params, err := mime.ParseMediaType(header)
	charset := params["charset"]
	switch {
	case err == nil && (media == "application/json" || media == "text/json" || patch && media == wanted) &&
		(charset == "" || strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "utf8")):
		return nil
	case media == "application/fhir+json":
		return refuse(http.StatusUnsupportedMediaType, "a webhook is plain JSON, "+wanted+": a Subscription goes to the FHIR endpoint")
	}
	p := refuse(http.StatusUnsupportedMediaType, "a body of this Content-Type can't be read: send "+wanted+" in UTF-8")
	if patch {
		p.header = http.Header{"Accept-Patch": {"application/merge-patch+json, application/json"}}
	}
	return p
}
