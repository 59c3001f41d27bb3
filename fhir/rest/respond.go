package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"fhirhook/fhir"
	"fhirhook/fhir/auth"
)

// respond writes an answer.
func (q *request) respond(c *call, a answer) error {
	q.answer = a
	header := q.c.Response().Header()
	if a.resource != nil {
		q.set(header, "Etag", a.resource.ETag())
		q.set(header, echo.HeaderLastModified, a.resource.Updated.UTC().Format(http.TimeFormat))
		if a.located {
			q.set(header, echo.HeaderLocation, c.base+"/"+a.resource.VersionedReference())
		}
	}
	if a.etag != "" {
		q.set(header, "Etag", a.etag)
	}
	if applied := c.prefer.applied(c.code.writes()); applied != "" {
		header.Set("Preference-Applied", applied)
	}
	return q.write(a.status, a.body)
}

// set is header.Set for a canonical name. All values of a request stand in one piece of memory.
func (q *request) set(header http.Header, name, value string) {
	if q.values == nil {
		q.values = q.room[:0]
	}
	q.values = append(q.values, value)
	n := len(q.values)
	header[name] = q.values[n-1 : n : n]
}

// Values of headers that are the same in every answer: a slice each would be garbage.
var (
	revalidated = []string{"no-cache"} // a copy may be kept, and must be asked about: the ETag answers
	noSniff     = []string{"nosniff"}
	varying     = []string{echo.HeaderAccept, echo.HeaderAcceptEncoding}
	typeFHIR    = []string{FHIRJSON + "; charset=utf-8"}
)

// write sends a status and JSON, nil for no body.
func (q *request) write(status int, body []byte) error {
	response := q.c.Response()
	header := response.Header()
	header["Cache-Control"] = revalidated
	if body == nil {
		if status != http.StatusNoContent && status != http.StatusNotModified {
			header.Set(echo.HeaderContentLength, "0")
		}
		response.WriteHeader(status)
		return nil
	}
	if q.pretty {
		var indented bytes.Buffer
		if err := json.Indent(&indented, body, "", "  "); err != nil {
			return fmt.Errorf("indent the answer: %w", err)
		}
		indented.WriteByte('\n')
		body = indented.Bytes()
	}
	if q.contentType == "" || q.contentType == FHIRJSON {
		header[echo.HeaderContentType] = typeFHIR
	} else {
		header.Set(echo.HeaderContentType, q.contentType+"; charset=utf-8")
	}
	header[echo.HeaderXContentTypeOptions] = noSniff
	if len(header[echo.HeaderVary]) == 0 {
		header[echo.HeaderVary] = varying
	} else {
		header[echo.HeaderVary] = append(header[echo.HeaderVary], varying...)
	}
	body, err := q.encode(body)
	if err != nil {
		return err
	}
	q.set(header, echo.HeaderContentLength, strconv.Itoa(len(body)))
	response.WriteHeader(status)
	if q.c.Request().Method == http.MethodHead {
		return nil
	}
	_, err = response.Write(body)
	return err
}

// fail answers an error. Nothing else writes a 4xx or 5xx.
func (s *Server) fail(err error, c echo.Context) {
	q := requestOf(c)
	if fhir.KindOf(err) == fhir.Internal {
		err = q.rightOf(err)
	}
	o, body := failure(err, q.id)
	q.failed = err
	s.logFailure(q, o, err)
	if c.Response().Committed || o.Status == hungUp.Status {
		return
	}
	header := c.Response().Header()
	if o.Status == http.StatusServiceUnavailable || o.Status == http.StatusTooManyRequests {
		header.Set(echo.HeaderRetryAfter, retryAfterOf(err))
	}
	challenge(header, err)
	header.Del("ETag")
	if q.unread {
		defer q.linger()
	}
	if err := q.write(o.Status, body); err != nil {
		s.Log.Debug("answer not written", "request_id", q.id, "error", err)
	}
}

// rightOf puts the type before the method: POST /Nonsense/1 is a 404 though /Patient/1 is a 405.
func (q *request) rightOf(err error) error {
	e, ok := errors.AsType[*echo.HTTPError](err)
	if !ok || e.Code != http.StatusMethodNotAllowed && e.Code != http.StatusNotFound {
		return err
	}
	below, _ := strings.CutPrefix(q.c.Request().URL.Path, Prefix+"/")
	name, rest, _ := strings.Cut(below, "/")
	switch {
	case below == q.c.Request().URL.Path || name == "metadata" || strings.HasPrefix(name, "_"):
		return err
	case strings.HasPrefix(name, "$"):
		return unknownOperation(name)
	case !fhir.Type(name).Known():
		q.c.Response().Header().Del(echo.HeaderAllow)
		return unknownType(name)
	case strings.Contains("/"+rest, "/$"):
		q.c.Response().Header().Del(echo.HeaderAllow)
		return unknownOperation(rest[strings.LastIndexByte(rest, '$'):])
	default:
		return err
	}
}

func unknownOperation(name string) error {
	return fhir.Errorf(fhir.NotFound, "", "the operation %s is not offered here", clip(name))
}

// logFailure keeps what clients did wrong out of the way of what went wrong here.
func (s *Server) logFailure(q *request, o outcome, err error) {
	r := q.c.Request()
	attributes := []any{"request_id", q.id, "method", r.Method, "path", r.URL.Path, "status", o.Status}
	if o.Status >= http.StatusInternalServerError {
		s.Log.ErrorContext(r.Context(), "request failed", append(attributes, "error", err.Error())...)
		return
	}
	// What the client is told may quote what it sent, which may name patients or hold a secret.
	attributes = append(attributes, "error", o.Name)
	if e, ok := errors.AsType[*fhir.Error](err); ok {
		attributes = append(attributes, "element", e.Expression)
	}
	if refused, ok := errors.AsType[*auth.RefusedError](err); ok {
		attributes = append(attributes, "reason", refused.Error())
	}
	s.Log.DebugContext(r.Context(), "request failed", attributes...)
}

// surround gives every request its id, and turns panics into errors. The query is not logged: it may name patients.
func (s *Server) surround(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		q := newRequest(s, c)
		if err := guarded(next, c); err != nil {
			s.fail(err, c)
		}
		q.record() // where nothing could be answered
		r := c.Request()
		if s.Observe != nil {
			s.Observe(string(q.code), c.Response().Status, time.Since(q.began))
		}
		if s.Log.Enabled(r.Context(), slog.LevelDebug) {
			s.Log.Debug("request", "request_id", q.id, "method", r.Method, "path", r.URL.Path,
				"status", c.Response().Status, "bytes", c.Response().Size, "took", time.Since(q.began))
		}
		return nil
	}
}

func guarded(next echo.HandlerFunc, c echo.Context) (err error) {
	defer func() {
		switch v := recover(); {
		case v == nil:
		case v == http.ErrAbortHandler: //nolint:errorlint,err113 // net/http compares it so too
			panic(v)
		default:
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return next(c)
}
