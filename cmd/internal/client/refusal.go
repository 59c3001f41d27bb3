package client

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// RefusedError is an answer that isn't a success, in the server's own words.
type RefusedError struct {
	Status int
	Texts  []string // of the OperationOutcome's issues, errors first
	Line   string   // the status line, for servers that say no more
}

// Error implements error.
func (r *RefusedError) Error() string {
	text := strings.Join(r.Texts, "; ")
	if text == "" {
		text = "the server answers " + r.Line
	}
	switch r.Status {
	case http.StatusUnauthorized:
		text += " (set FHIRHOOK_TOKEN to a token that the server takes)"
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		text += " (redirects are not followed: name the final URL by --server)"
	}
	return text
}

// Is makes ErrUsage of what the server could not understand: it was said on the command line.
func (r *RefusedError) Is(target error) bool {
	return target == ErrUsage && r.Status == http.StatusBadRequest
}

// mostRefusal is how much is read of an answer that explains a refusal.
const mostRefusal = 1 << 20

func refusal(res *http.Response) *RefusedError {
	r := &RefusedError{Status: res.StatusCode, Line: printable(res.Status, 100)}
	var outcome struct{ Issue []issue }
	if json.NewDecoder(io.LimitReader(res.Body, mostRefusal)).Decode(&outcome) != nil {
		return r
	}
	for _, grave := range []bool{true, false} {
		for _, i := range outcome.Issue {
			if text := i.text(); text != "" && i.grave() == grave {
				r.Texts = append(r.Texts, printable(text, 2000))
			}
		}
		if len(r.Texts) > 0 {
			break // what isn't an error does not explain one
		}
	}
	return r
}

// issue is one of an OperationOutcome.
type issue struct {
	Severity    string
	Diagnostics string
	Details     struct{ Text string }
}

func (i issue) grave() bool { return i.Severity == "error" || i.Severity == "fatal" }

func (i issue) text() string {
	if i.Diagnostics != "" {
		return i.Diagnostics
	}
	return i.Details.Text
}
