package rest

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/rest/peer"
	"fhirhook/fhir/store"
)

// request is an HTTP request while it becomes a call, and the way back.
type request struct {
	s           *Server
	c           echo.Context
	id          string // X-Request-Id
	began       time.Time
	contentType string // of the answer; "" until it is negotiated
	onlyContent bool   // the client takes no FHIR, but a Binary's content
	pretty      bool
	code        interaction // "" until a route is found
	unread      bool        // the client may still be sending a body that is refused

	of     *call  // nil: it did not become one, or nobody keeps account
	answer answer // of a call that did not fail
	failed error

	values []string // of headers of the answer (set)
	room   [6]string
}

const requestSlot = "fhirhook.request"

func requestOf(c echo.Context) *request { return c.Get(requestSlot).(*request) }

// reader takes what an interaction needs from the request's body.
type reader func(q *request, c *call) error

const maxRequestID = 128

// newRequest gives the request its id: the client's, or a new one if it sent none or one that is too long to
// be logged and stored; the client's then goes back as X-Correlation-Id (R4 http.html#custom).
func newRequest(s *Server, c echo.Context) *request {
	q := &request{s: s, c: c, id: c.Request().Header.Get(echo.HeaderXRequestID), began: time.Now()}
	header := c.Response().Header()
	if sent := q.id; sent == "" || len(sent) > maxRequestID {
		q.id = uuid.NewString()
		if sent != "" {
			header.Set(echo.HeaderXCorrelationID, sent)
		}
	}
	q.set(header, echo.HeaderXRequestID, q.id)
	c.Set(requestSlot, q)
	return q
}

// call reads everything but the body in the order in which a client can mend it: the URL, then what is
// asked of the answer, then the conditions.
func (q *request) call(s *Server, r route) (*call, error) {
	q.code = r.code
	in := q.c.Request()
	query, err := criteria.ParsePairs(in.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	c := &call{
		code: r.code, tenant: fhir.DefaultTenant, base: q.base(),
		target: target{typ: fhir.Type(q.c.Param("type")), id: q.c.Param("id"), version: q.c.Param("vid"), inner: q.c.Param("inner"), query: query},
		origin: store.Origin{RequestID: q.id},
	}
	if err := q.accountable(c); err != nil {
		return nil, err
	}
	if err := q.identify(c); err != nil {
		return nil, err
	}
	if c.origin.Server, err = s.quiet(in.Header, c.who); err != nil {
		return nil, err
	}
	if c.origin.Server {
		c.origin.Cause = QuietCause
	}
	if strings.HasSuffix(r.path, "/_history") {
		c.target.special = "_history"
	}
	if strings.Contains(r.path, ":type") && !c.target.typ.Known() {
		return nil, unknownType(string(c.target.typ))
	}
	q.contentType, err = accept(in.Header.Values(echo.HeaderAccept))
	c.native = wantsContent(r, c, in.Header.Values(echo.HeaderAccept))
	if err != nil && !has(query, "_format") && c.native == nil {
		return nil, err
	}
	q.onlyContent = err != nil
	if err := q.general(c); err != nil {
		return nil, err
	}
	if c.prefer, err = parsePrefer(in.Header.Values("Prefer")); err != nil {
		return nil, err
	}
	if c.cond, err = parseConditions(func(name string) (string, bool) {
		v := in.Header.Values(name)
		line, sent := strings.Join(v, ","), len(v) > 0
		if sent && name == echo.HeaderIfModifiedSince {
			if _, err := http.ParseTime(line); err != nil {
				return "", false // RFC 9110 section 13.1.3: one that is no HTTP date is ignored
			}
		}
		return line, sent
	}); err != nil {
		return nil, err
	}
	return c, r.reads(q, c)
}

// general takes the parameters that every interaction knows out of the query (R4 http.html#parameters).
func (q *request) general(c *call) error {
	var rest []Pair
	for _, p := range c.target.query {
		var err error
		switch p.Name {
		case "_format":
			q.contentType, err = parseFormat(p.Value)
		case "_pretty":
			q.pretty, err = parseBool(p)
		default:
			rest = append(rest, p)
		}
		if err != nil {
			return err
		}
	}
	c.target.query = rest
	return nil
}

func has(pairs []Pair, name string) bool {
	for _, p := range pairs {
		if p.Name == name {
			return true
		}
	}
	return false
}

func parseBool(p Pair) (bool, error) {
	switch p.Value {
	case "true":
		return true, nil
	case "false", "":
		return false, nil
	default:
		return false, fhir.Errorf(fhir.Value, "http."+p.Name, "%s=%s: write true or false", p.Name, clip(p.Value))
	}
}

// plain is the reader of interactions without a body.
func (q *request) plain(*call) error { return nil }

// resource reads the body as one resource.
func (q *request) resource(c *call) (err error) {
	if takesContent(c, q.c.Request().Header.Get(echo.HeaderContentType)) {
		c.in, err = q.content(c)
	} else {
		c.in, err = q.document(q.s.MaxBody, "--max-body")
	}
	if err != nil {
		return err
	}
	return fhir.Join(q.s.Validator.Validate(c.in))
}

// bundle reads the body as the Bundle of a batch or transaction.
func (q *request) bundle(c *call) (err error) {
	c.bundle, err = q.document(q.s.MaxBundle, "--max-bundle")
	if err == nil && c.bundle.Type != fhir.Bundle {
		return fhir.Errorf(fhir.Invalid, "Resource.resourceType",
			"POST to [base] takes a Bundle of type batch or transaction; create a %s by POST to [base]/%s", c.bundle.Type, c.bundle.Type)
	}
	if err != nil {
		return err
	}
	return fhir.Join(q.s.Validator.Envelope(c.bundle))
}

func (q *request) document(limit int64, flag string) (fhir.Incoming, error) {
	header := q.c.Request().Header
	if err := checkConsumable(header.Get(echo.HeaderContentType)); err != nil {
		return fhir.Incoming{}, err
	}
	body, err := q.body(limit, flag)
	if err != nil {
		return fhir.Incoming{}, err
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return fhir.Incoming{}, fhir.Errorf(fhir.Structure, "", "the body is empty: send a resource as %s", FHIRJSON)
	}
	return fhir.Read(body, q.s.MaxDepth)
}

// maxForm bounds the body of a search, in bytes: what it says costs more than what a resource says.
const maxForm = 1 << 20

// form reads the body of a search by POST; its parameters and those of the URL add up (R4 search.html#get).
func (q *request) form(c *call) error {
	body, err := q.body(min(q.s.MaxBody, maxForm), "the most for a search")
	if err != nil {
		return err
	}
	if len(body) == 0 {
		return nil
	}
	media, _, err := mime.ParseMediaType(q.c.Request().Header.Get(echo.HeaderContentType))
	if err != nil || media != echo.MIMEApplicationForm {
		return fhir.Errorf(fhir.UnsupportedMedia, "http.Content-Type", "a search by POST takes its parameters as %s", echo.MIMEApplicationForm)
	}
	pairs, err := criteria.ParsePairs(string(bytes.TrimSpace(body)))
	if err != nil {
		return err
	}
	c.target.query = append(c.target.query, pairs...)
	return q.general(c)
}

// body reads at most limit bytes.
func (q *request) body(limit int64, flag string) ([]byte, error) {
	in := q.c.Request()
	tooLarge := func() error {
		q.unread = in.Header.Get("Expect") == "" // who asks first sends nothing
		return fhir.Errorf(fhir.TooLarge, "", "the body is larger than %d bytes (%s)", limit, flag)
	}
	if in.ContentLength > limit {
		q.c.Response().Header().Set(echo.HeaderConnection, "close") // what is still to come is not read
		return nil, tooLarge()
	}
	framed := in.Body
	if in.ContentLength < 0 {
		framed = http.MaxBytesReader(q.c.Response(), framed, limit)
	}
	coding := strings.Join(in.Header.Values(echo.HeaderContentEncoding), ", ")
	sent, err := decoded(coding, framed)
	if fhir.KindOf(err) == fhir.UnsupportedMedia {
		q.c.Response().Header().Set(echo.HeaderAcceptEncoding, codingGzip+", "+codingZstd) // RFC 7694
	}
	var body []byte
	if err == nil {
		defer sent.Close()
		const least, most = 512, 1 << 20 // a header alone does not buy memory
		body, err = readSome(sent, min(max(in.ContentLength+1, least), most), limit+1)
		if err != nil && coding != "" && !strings.EqualFold(coding, codingPlain) {
			err = undecodable(coding, err)
		}
	}
	if _, large := errors.AsType[*http.MaxBytesError](err); large || int64(len(body)) > limit {
		return nil, tooLarge()
	}
	if err != nil {
		if in.Context().Err() == nil && fhir.KindOf(err) == fhir.Internal && !isConnection(err) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, fhir.Errorf(fhir.Structure, "", "the body could not be read to its end: %v", err)
		}
		return nil, err
	}
	return body, nil
}

// readSome reads to the end, or until it has so many bytes. It makes room for expected ones first: with one more than come,
// for the end to be seen.
func readSome(r io.Reader, expected, most int64) ([]byte, error) {
	b := make([]byte, 0, expected)
	for int64(len(b)) < most {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			break
		}
		if err != nil {
			return b, err
		}
	}
	return b, nil
}

// isConnection tells a connection that failed from a body that contradicts its own framing.
func isConnection(err error) bool {
	_, connection := errors.AsType[net.Error](err)
	return connection
}

// base is [base] as this client sees it.
func (q *request) base() string {
	if q.s.base != "" {
		return q.s.base
	}
	in := q.c.Request()
	scheme, host := "http", in.Host
	if in.TLS != nil {
		scheme = "https"
	}
	if len(q.s.TrustedProxies) > 0 && peer.Within(q.s.TrustedProxies, peer.Address(in.RemoteAddr)) {
		if v := first(in.Header.Get(echo.HeaderXForwardedProto)); v == "http" || v == "https" {
			scheme = v
		}
		if v := first(in.Header.Get("X-Forwarded-Host")); v != "" && strings.Trim(v, hostLetters) == "" {
			host = v
		}
	}
	return scheme + "://" + host + Prefix
}

// hostLetters are those that stand in a host and port. A name with others would break the URLs that it goes into.
const hostLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:[]"

func first(list string) string {
	v, _, _ := strings.Cut(list, ",")
	return strings.TrimSpace(v)
}
