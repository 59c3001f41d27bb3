package rest

import (
	"encoding/base64"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"fhirhook/fhir"
)

// A Binary travels as a resource to whoever names FHIR, and as its content to everybody else (R4 binary.html#rest).

// securityContext is the header that stands for Binary.securityContext where the content comes raw.
const securityContext = "X-Security-Context"

// takesContent tells whether a body sent to a Binary is its content. XML that says it is FHIR is a resource that
// can't be read here.
func takesContent(c *call, contentType string) bool {
	if c.target.typ != fhir.Binary {
		return false
	}
	media, _, err := mime.ParseMediaType(contentType)
	_, resource := jsonTypes[media]
	return err == nil && !resource && media != "application/fhir+xml" && media != "application/fhir+turtle"
}

// content wraps a raw body into a Binary.
func (q *request) content(c *call) (fhir.Incoming, error) {
	// What is stored has four bytes for three of the content, and some around them.
	const around = 1 << 10
	header := q.c.Request().Header
	raw, err := q.body(max(0, (q.s.MaxBody-around)/4*3), "--max-body, as base64")
	if err != nil {
		return fhir.Incoming{}, err
	}
	o := object{out: []byte{'{'}}
	o.text("resourceType", string(fhir.Binary))
	o.text("id", c.target.id)
	o.text("contentType", header.Get(echo.HeaderContentType))
	if context := header.Get(securityContext); context != "" {
		o.raw("securityContext", appendObject(nil, "reference", context))
	}
	o.text("data", base64.StdEncoding.EncodeToString(raw))
	return fhir.Read(append(o.out, '}'), q.s.MaxDepth)
}

// wantsContent returns what content a read of a Binary accepts; nil: it names FHIR, or is no such read.
func wantsContent(r route, c *call, accept []string) []string {
	shaped := func(p Pair) bool { return p.Name == "_format" || p.Name == "_summary" || p.Name == "_elements" }
	if c.target.typ != fhir.Binary || r.code != read && r.code != vread || slices.ContainsFunc(c.target.query, shaped) {
		return nil
	}
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		asked, params, err := mime.ParseMediaType(part)
		if _, resource := jsonTypes[asked]; err == nil && resource && wanted(params) {
			return nil
		}
	}
	if len(accept) == 0 {
		return []string{"*/*"}
	}
	return accept
}

// respondContent answers a Binary as its content, or as FHIR where the client takes that and the content can't be had.
func (q *request) respondContent(c *call, a answer) error {
	r := a.resource
	root := r.Doc().Root()
	contentType := root.Get("contentType").Text()
	data, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(root.Get("data").Text()), ""))
	switch acceptable := accepts(c.native, contentType); {
	case acceptable && err == nil:
	case !q.onlyContent:
		return q.respond(c, a)
	case acceptable:
		return fhir.Errorf(fhir.NotAcceptable, "http.Accept", "the data of %s is not base64, so it can only be had as %s", r.Key, FHIRJSON)
	default:
		return fhir.Errorf(fhir.NotAcceptable, "http.Accept", "%s is %s: ask for that, or for %s", r.Key, clip(contentType), FHIRJSON)
	}
	q.answer = answer{status: http.StatusOK, resource: r}
	header := q.c.Response().Header()
	if context := root.Path("securityContext", "reference").Text(); context != "" {
		header.Set(securityContext, context)
	}
	header.Set("ETag", r.ETag())
	header.Set(echo.HeaderLastModified, r.Updated.UTC().Format(http.TimeFormat))
	header.Set("Cache-Control", "no-cache")
	header.Set(echo.HeaderContentType, contentType)
	header.Set(echo.HeaderXContentTypeOptions, "nosniff")
	header.Set(echo.HeaderContentSecurityPolicy, "sandbox; default-src 'none'") // it may be a page that somebody sent us
	header.Add(echo.HeaderVary, echo.HeaderAccept)
	header.Set(echo.HeaderContentLength, strconv.Itoa(len(data)))
	q.c.Response().WriteHeader(http.StatusOK)
	if q.c.Request().Method == http.MethodHead {
		return nil
	}
	_, err = q.c.Response().Write(data)
	return err
}

// accepts tells whether an Accept header allows a media type.
func accepts(lines []string, contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	top, _, _ := strings.Cut(media, "/")
	for part := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		asked, params, err := mime.ParseMediaType(part)
		if err != nil || asked != media && asked != top+"/*" && asked != "*/*" {
			continue
		}
		if wanted(params) {
			return true
		}
	}
	return false
}

// wanted tells whether a range of Accept asks for its types, and does not rule them out.
func wanted(params map[string]string) bool {
	weight, err := strconv.ParseFloat(params["q"], 64)
	return err != nil || weight > 0
}
