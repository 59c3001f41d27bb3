package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// outcome is how one class of errors is answered. There is no other place that chooses a status for an error.
type outcome struct {
	Kind     fhir.Kind
	Name     string
	Status   int
	Code     string // OperationOutcome.issue.code, of R4's issue-type
	Client   string // what it means for whoever sent the request
	Operator string // what it means for whoever runs the server
}

// outcomes is the one error table, in the order of fhir.Kind.
var outcomes = []outcome{
	{fhir.Internal, "Internal", 500, "exception", "not your fault; report the request id", "a bug or a broken disk: the log has the error under the request id"},
	{fhir.Structure, "Structure", 400, "structure", "the body is not JSON, or not a resource: mend the place that is named", "nothing to do"},
	{fhir.Invalid, "Invalid", 400, "invalid", "the request contradicts itself or its URL", "nothing to do"},
	{fhir.Required, "Required", 400, "required", "something is missing: add what is named", "nothing to do"},
	{fhir.Value, "Value", 400, "value", "a value is not of its type: write it as the text says", "nothing to do"},
	{fhir.NotSupported, "NotSupported", 400, "not-supported", "valid FHIR that is not offered here: the CapabilityStatement lists what is", "nothing to do; often asked for means worth building"},
	{fhir.Unauthenticated, "Unauthenticated", 401, "login", "send a valid token", "check the issuer if many clients see it"},
	{fhir.Forbidden, "Forbidden", 403, "forbidden", "the token does not allow this", "check the client's scopes"},
	{fhir.NotFound, "NotFound", 404, "not-found", "there is nothing under this URL, and never was", "nothing to do"},
	{fhir.MethodNotAllowed, "MethodNotAllowed", 405, "not-supported", "the Allow header lists the methods of this URL", "nothing to do"},
	{fhir.NotAcceptable, "NotAcceptable", 406, "not-supported", "only JSON is offered: ask for application/fhir+json", "nothing to do"},
	{fhir.Conflict, "Conflict", 409, "conflict", "somebody else changed it, or it exists already: read it again", "nothing to do"},
	{fhir.Gone, "Gone", 410, "deleted", "it was deleted; earlier versions are in its history", "nothing to do"},
	{fhir.PreconditionFailed, "PreconditionFailed", 412, "conflict", "the condition that you sent does not hold: read it again", "nothing to do"},
	{fhir.MultipleMatches, "MultipleMatches", 412, "multiple-matches", "the condition selects more than one resource: make it narrower", "nothing to do"},
	{fhir.TooLarge, "TooLarge", 413, "too-long", "send less at a time", "the limits are --max-body and --max-bundle"},
	{fhir.UnsupportedMedia, "UnsupportedMedia", 415, "not-supported", "send JSON as application/fhir+json", "nothing to do"},
	{fhir.BusinessRule, "BusinessRule", 422, "business-rule", "valid FHIR that this server refuses, for the reason given", "nothing to do, unless the rule is one of your settings"},
	{fhir.Incomplete, "Incomplete", 422, "required", "an element that R4 requires is missing: add it", "only --validation strict asks for it"},
	{fhir.CodeInvalid, "CodeInvalid", 422, "code-invalid", "a code is not in the value set that it is bound to: choose one of that", "only --validation strict asks for it"},
	{fhir.TooCostly, "TooCostly", 422, "too-costly", "ask for less", "nothing to do"},
	{fhir.OverQuota, "OverQuota", 403, "too-costly", "the tenant has all that it may have: delete something, or ask for more", "the quotas stand in the configuration, at auth.quota and auth.tenants"},
	{fhir.Throttled, "Throttled", 429, "throttled", "wait as long as Retry-After says", "a client is over its limit"},
	{fhir.Unavailable, "Unavailable", 503, "transient", "the same request may work after Retry-After", "the server is stopping, or its store is"},
}

// Outcomes that no fhir.Kind stands for, because only HTTP knows them.
var (
	timedOut   = outcome{fhir.Unavailable, "timeout", 503, "timeout", "the server gave up; try a smaller request", "a slow disk or an expensive search: see the log"}
	slowClient = outcome{fhir.Invalid, "slow request", 408, "timeout", "the body did not arrive in time", "a slow or stuck client"}
	hungUp     = outcome{fhir.Invalid, "hung up", 499, "transient", "(nobody is left to read it)", "the client closed the connection; the status is only for the log"}
)

// retryAfter is what a client is asked to wait, in seconds, before it repeats a 429 or 503.
const retryAfter = "1"

// classify finds the outcome of an error, and the part of it that the client may read.
func classify(err error) (outcome, *fhir.Error) {
	if e, ok := errors.AsType[*fhir.Error](err); ok && e.Kind != fhir.Internal {
		return outcomeOf(e.Kind), e
	}
	if e, ok := errors.AsType[*echo.HTTPError](err); ok {
		return ofEcho(e)
	}
	as := func(o outcome, text string) (outcome, *fhir.Error) {
		return o, &fhir.Error{Kind: o.Kind, Diagnostic: text, Err: err}
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return as(timedOut, "the request took longer than the server allows: ask for less at a time")
	case errors.Is(err, context.Canceled):
		return as(hungUp, "the request was given up")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return as(slowClient, "the body did not arrive in time")
	case errors.Is(err, store.ErrClosed):
		return as(outcomeOf(fhir.Unavailable), "the server is stopping: repeat the request")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return as(outcomeOf(fhir.Structure), "the body ends before its Content-Length")
	default:
		return as(outcomeOf(fhir.Internal), "internal error")
	}
}

func outcomeOf(kind fhir.Kind) outcome {
	at := slices.IndexFunc(outcomes, func(o outcome) bool { return o.Kind == kind })
	return outcomes[max(at, 0)] // an unknown kind is Internal
}

// ofEcho translates Echo's own errors, so that they look like all others.
func ofEcho(e *echo.HTTPError) (outcome, *fhir.Error) {
	kind, text := fhir.Internal, "internal error"
	switch e.Code {
	case http.StatusNotFound:
		kind, text = fhir.NotFound, "there is nothing under this URL: GET metadata lists what is"
	case http.StatusMethodNotAllowed:
		kind, text = fhir.MethodNotAllowed, "this URL does not offer that method: the Allow header lists those it does"
	case http.StatusRequestEntityTooLarge:
		kind, text = fhir.TooLarge, "the body is too large"
	}
	return outcomeOf(kind), &fhir.Error{Kind: kind, Diagnostic: text, Err: e}
}

// issue is OperationOutcome.issue. The text stands twice, for clients disagree on which of the two they show.
type issue struct {
	Severity    string   `json:"severity"`
	Code        string   `json:"code"`
	Details     *text    `json:"details,omitempty"`
	Diagnostics string   `json:"diagnostics,omitempty"`
	Expression  []string `json:"expression,omitempty"`
}

type text struct {
	Text string `json:"text"`
}

func newIssue(severity, code, diagnostic, expression string) issue {
	i := issue{Severity: severity, Code: code, Details: &text{diagnostic}, Diagnostics: diagnostic}
	if expression != "" {
		i.Expression = []string{expression}
	}
	return i
}

// operationOutcome writes the resource.
func operationOutcome(issues ...issue) []byte {
	return encode(struct {
		ResourceType string  `json:"resourceType"`
		Issue        []issue `json:"issue"`
	}{"OperationOutcome", issues})
}

// encode is json.Marshal that leaves < > & as they are.
func encode(v any) []byte {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err)) // only types of this package come here
	}
	return []byte(strings.TrimSuffix(b.String(), "\n"))
}

// mostIssues bounds how many faults an answer tells, beside the first.
const mostIssues = 200

// failure is what is answered for err: the status and the OperationOutcome.
func failure(err error, requestID string) (outcome, []byte) {
	o, e := classify(err)
	severity, diagnostic := "error", e.Diagnostic
	if o.Status == http.StatusInternalServerError {
		severity = "fatal"
		diagnostic = "internal error: give request id " + requestID + " to whoever runs this server"
	}
	issues := []issue{newIssue(severity, o.Code, diagnostic, e.Expression)}
	for i, more := range e.More {
		if i == mostIssues {
			issues = append(issues, newIssue("information", "incomplete", fmt.Sprintf("and %d more", len(e.More)-i), ""))
			break
		}
		issues = append(issues, newIssue("error", outcomeOf(more.Kind).Code, more.Diagnostic, more.Expression))
	}
	return o, operationOutcome(issues...)
}
