package webhook

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"

	"fhirhook/fhir/rest"
	"fhirhook/fhir/tape"
)

// reply is what the FHIR endpoint answered.
type reply struct {
	status int
	header http.Header
	doc    *tape.Doc // nil if there was no body
}

func (r reply) root() tape.Node {
	if r.doc == nil {
		return tape.Node{}
	}
	return r.doc.Root()
}

// storedDepth is the nesting that is read of an answer: how deep is too deep was decided when it was written.
const storedDepth = 1 << 16

// ours are headers that speak of this request's form and conditions, and not of whoever sends it.
var ours = []string{
	"Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Connection", "Content-Encoding", "Content-Length", "Content-Type",
	"Expect", "If-Match", "If-Modified-Since", "If-None-Exist", "If-None-Match", "If-Range", "If-Unmodified-Since", "Prefer", "Range",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// call sends a request to the FHIR endpoint as the client that sent this one: with its credentials, its address,
// the host that it named and its request id. version, if it isn't "", is the entity tag that must be current. An
// answer of 400 and above is a *problem.
func (x *exchange) call(method, path string, query url.Values, body []byte, version string) (reply, error) {
	r := x.r.Clone(x.r.Context())
	r.Method, r.URL = method, &url.URL{Path: rest.Prefix + path, RawQuery: query.Encode()}
	r.RequestURI, r.Pattern = r.URL.RequestURI(), ""
	r.Form, r.PostForm, r.MultipartForm, r.Trailer, r.TransferEncoding = nil, nil, nil, nil, nil
	for _, name := range ours {
		r.Header.Del(name)
	}
	r.Header.Set("Accept", rest.FHIRJSON)
	r.Header.Set("Prefer", "return=representation")
	if version != "" {
		r.Header.Set("If-Match", version)
	}
	r.Body, r.ContentLength = http.NoBody, 0
	if body != nil {
		r.Header.Set("Content-Type", rest.FHIRJSON)
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	w := &recorder{header: http.Header{}}
	x.o.FHIR.ServeHTTP(w, r)
	return w.reply()
}

// reply reads what was recorded.
func (w *recorder) reply() (reply, error) {
	a := reply{status: w.status, header: w.header}
	switch {
	case w.status == 0: // the client hung up, or the server is stopping
		return a, refuse(http.StatusServiceUnavailable, "the request was given up")
	case w.body.Len() > 0:
		doc, err := tape.Parse(w.body.Bytes(), storedDepth)
		if err != nil {
			return a, refuse(http.StatusInternalServerError, "the FHIR endpoint answered something that is no JSON")
		}
		a.doc = doc
	}
	if a.status >= http.StatusBadRequest {
		return a, ofOutcome(a)
	}
	return a, nil
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
}

func (w *recorder) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// root is the server's own URL as this client sees it, from an absolute URL that the FHIR endpoint wrote; "" if
// that can't be told, and a path alone has to do.
func root(absolute string) string {
	base, _, _ := strings.Cut(absolute, "/Subscription")
	if at, ok := strings.CutSuffix(base, rest.Prefix); ok {
		return at
	}
	return ""
}
