package webhook

import (
	"errors"
	"net/http"
	"strings"

	"fhirhook/fhir/tape"
)

// problem is an error as a client reads it (RFC 9457).
type problem struct {
	status int
	detail string
	faults []fault
	header http.Header
}

// fault is one thing that is wrong, and where: in a member, a parameter, a header, or in a part of the
// Subscription that no member shows.
type fault struct {
	Pointer    string `json:"pointer,omitempty"` // JSON Pointer (RFC 6901) into the request's body
	Parameter  string `json:"parameter,omitempty"`
	Header     string `json:"header,omitempty"`
	Expression string `json:"expression,omitempty"` // FHIRPath
	Code       string `json:"code,omitempty"`       // of R4's issue-type
	Detail     string `json:"detail"`
}

// refuse makes a problem. Without a detail the first fault is its detail.
func refuse(status int, detail string, faults ...fault) *problem {
	return &problem{status: status, detail: detail, faults: faults}
}

// unknown is the problem of an id without a webhook.
func unknown(id string) *problem {
	return refuse(http.StatusNotFound, "there is no webhook "+clip(id)+": GET /webhooks lists those that there are")
}

func (p *problem) Error() string { return http.StatusText(p.status) + ": " + p.summary() }

func (p *problem) summary() string {
	if p.detail != "" || len(p.faults) == 0 {
		return p.detail
	}
	f := p.faults[0]
	where := f.Pointer + f.Parameter + f.Header
	if where != "" {
		where += ": "
	}
	return where + f.Detail
}

// statusOf is the status of an error, 0 if it is none of this package's.
func statusOf(err error) int {
	if p, ok := errors.AsType[*problem](err); ok {
		return p.status
	}
	return 0
}

// fail answers a problem.
func (x *exchange) fail(p *problem) {
	header := x.w.Header()
	for name, values := range p.header {
		header[name] = values
	}
	x.write(p.status, "application/problem+json", struct {
		Type   string  `json:"type"`
		Title  string  `json:"title"`
		Status int     `json:"status"`
		Detail string  `json:"detail,omitempty"`
		Errors []fault `json:"errors,omitempty"`
	}{"about:blank", http.StatusText(p.status), p.status, p.summary(), p.faults})
}

// passed are the headers of a refusal that say what to do about it.
var passed = []string{"Retry-After", "Www-Authenticate"}

// ofOutcome makes a problem of the FHIR endpoint's OperationOutcome.
func ofOutcome(r reply) *problem {
	p := &problem{status: r.status, header: http.Header{}}
	for _, name := range passed {
		if v := r.header.Values(name); len(v) > 0 {
			p.header[name] = v
		}
	}
	for issue := range r.root().Get("issue").Elements() {
		f := fault{Code: issue.Get("code").Text(), Detail: issue.Get("diagnostics").Text()}
		f.place(issue.Get("expression").At(0).Text())
		p.faults = append(p.faults, f)
	}
	if len(p.faults) == 1 && p.faults[0].nowhere() {
		p.detail, p.faults = p.faults[0].Detail, nil
	}
	return p
}

// place says where a fault is by what the FHIR endpoint calls the place.
func (f *fault) place(expression string) {
	name, outside := strings.CutPrefix(expression, "http.")
	switch {
	case !outside:
		f.Expression = expression
	case name == "_cursor" || name == pageParameter:
		f.Parameter = "cursor"
	case name != "" && name[0] >= 'A' && name[0] <= 'Z':
		f.Header = name
	default:
		f.Parameter = name
	}
}

func (f fault) nowhere() bool { return f.Pointer+f.Parameter+f.Header+f.Expression == "" }

// locate puts pointers into the webhook's form in the place of expressions about the Subscription that was sent.
func (p *problem) locate(sent *tape.Doc, listed bool) {
	for i, f := range p.faults {
		if at := pointer(sent, f.Expression, listed); at != "" {
			p.faults[i].Pointer, p.faults[i].Expression = at, ""
		}
	}
}
