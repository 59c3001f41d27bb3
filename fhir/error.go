package fhir

import (
	"errors"
	"fmt"
)

// Kind is the class of an error, as far as a client can tell classes apart. fhir/rest/outcome.go maps
// each to its HTTP status and issue code.
type Kind uint8

// The kinds. Internal is the zero value: an error that nobody classified is a bug, and its text is for
// the log only.
const (
	Internal           Kind = iota // a bug or a broken disk
	Structure                      // 400 structure: the bytes are not JSON, or not a resource
	Invalid                        // 400 invalid: something in the request contradicts itself or the URL
	Required                       // 400 required: something is missing
	Value                          // 400 value: a value is not of its type
	NotSupported                   // 400 not-supported: valid, but not offered here
	Unauthenticated                // 401 login
	Forbidden                      // 403 forbidden
	NotFound                       // 404 not-found
	MethodNotAllowed               // 405 not-supported
	NotAcceptable                  // 406 not-supported
	Conflict                       // 409 conflict
	Gone                           // 410 deleted
	PreconditionFailed             // 412 conflict
	MultipleMatches                // 412 multiple-matches
	TooLarge                       // 413 too-long
	UnsupportedMedia               // 415 not-supported
	BusinessRule                   // 422 business-rule: valid FHIR that this server refuses
	Incomplete                     // 422 required: an element that R4 requires is missing (strict validation)
	CodeInvalid                    // 422 code-invalid: a code is not in its value set (strict validation)
	TooCostly                      // 422 too-costly
	OverQuota                      // 403 too-costly: a tenant has all that it may have
	Throttled                      // 429 throttled
	Unavailable                    // 503 transient
)

// Error is an error that a client may read. Diagnostic is written for that client and says what to do;
// Err is for the log.
type Error struct {
	Kind       Kind
	Expression string // FHIRPath of the element, or http.NAME for a header or parameter; may be empty
	Diagnostic string
	Err        error
	More       []*Error // further issues of the same request, in order; their Kind decides only the issue code
}

func (e *Error) Error() string {
	s := e.Diagnostic
	if e.Expression != "" {
		s = e.Expression + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error about an element ("" for none).
func Errorf(kind Kind, expression, format string, args ...any) *Error {
	return &Error{Kind: kind, Expression: expression, Diagnostic: fmt.Sprintf(format, args...)}
}

// KindOf returns the kind of the first Error in err's chain, Internal if there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// Join makes one Error of several, the first leading; nil of none.
func Join(errs []*Error) error {
	if len(errs) == 0 {
		return nil
	}
	e := *errs[0]
	e.More = append(append([]*Error(nil), e.More...), errs[1:]...)
	return &e
}
