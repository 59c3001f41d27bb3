package resthook

import (
	"slices"
	"strings"
	"time"

	"fhirhook/channel"
)

// Dialect describes a delivery: what the request is, what counts as success, and what a Subscription gets that
// says nothing else. It is data only, in the form of dialects.yaml; texts in it may hold the placeholders of
// template.go.
type Dialect struct {
	Name  string
	About string `yaml:",omitempty"` // one line for people

	Change Form  // a create or an update
	Bare   *Form `yaml:",omitempty"` // a create or an update if the Subscription names no payload; nil: as Change
	Delete Form  `yaml:",omitempty"` // a deletion; no method: the dialect has none, and asking for it is refused
	Ping   Form  // a test

	ContentType string      `yaml:"content-type,omitempty"` // of every body; "": the Subscription's payload
	Signature   Signature   `yaml:",omitempty"`
	Headers     []OwnHeader `yaml:",omitempty"`

	Success      Codes
	Timeout      time.Duration // of a whole exchange, the reply's body included
	Ladder       string        `yaml:"retry"`      // as in the extension subscription-retry: "1m,5m" or "exp:FIRST,FACTOR,CAP,GIVEUP"
	Requests     int           `yaml:",omitempty"` // at most, the first included; 0: as the ladder says
	Orders       []string      `yaml:",flow"`      // that a Subscription may ask for (none, resource, subscription); the first is the default
	Interactions []string      `yaml:",flow"`      // that notify by default: create, update, delete
	Names        Naming        `yaml:",omitempty"` // of events that aren't in the catalogue
	Events       []Event       `yaml:",omitempty"` // the catalogue, in order of precedence
	Declares     []string      `yaml:",omitempty"` // further event names that a Subscription may ask for
}

// Form is the shape of one kind of request.
type Form struct {
	Method  string
	Address Address `yaml:"to,omitempty"`
	Body    string  `yaml:",omitempty"` // template; "": no body
}

// Address says what URL a request goes to.
type Address uint8

// The address styles.
const (
	AtEndpoint Address = iota // the endpoint exactly as it was given
	AtResource                // the endpoint is a service base: endpoint/Type/id, before the endpoint's query
)

// Signature says where a dialect's signature stands and how it is written. The zero value: nowhere.
type Signature struct {
	Header string
	Form   string // FormBody, FormSHA256 or FormTimestamped
}

// OwnHeader is a header that a dialect adds. It is left out where its value comes out empty.
type OwnHeader struct {
	Name  string
	Value string // template
	On    string `yaml:"only,omitempty"` // interaction that it is confined to; "": every request
}

// Event is a name of the dialect's own for some changes.
type Event struct {
	Name         string
	Type         string   // resource type
	Interactions []string `yaml:",flow"`      // create, update, delete
	Criteria     string   `yaml:",omitempty"` // search parameters that the version must meet as well; "": none
	Enters       bool     `yaml:",omitempty"` // only where the previous version didn't meet Criteria
}

// DeleteCarriesVersion tells whether the message of a deletion holds the version that it ended, so that
// Message.Body has to be that version's bytes.
func (d Dialect) DeleteCarriesVersion() bool { return strings.Contains(d.Delete.Body, resource) }

// CanDelete tells whether the dialect has a message for deletions.
func (d Dialect) CanDelete() bool { return d.Delete.Method != "" }

// plainSignature is the header of a signature that a Subscription asks for where its dialect has none.
const plainSignature = "X-Signature"

// For narrows a dialect to a Subscription: its payload decides the content type where the dialect leaves it
// open, its signature form, timeout and success codes replace the dialect's, and Change becomes the form that it will get.
// The result is what ParseHeader needs.
func (d Dialect) For(t channel.Target) Dialect {
	if d.ContentType == "" {
		d.ContentType = t.Payload
	}
	if t.Signature != "" {
		d.Signature.Form = t.Signature
		if d.Signature.Header == "" {
			d.Signature.Header = plainSignature
		}
	}
	if t.Timeout > 0 {
		d.Timeout = t.Timeout
	}
	if t.Success != "" {
		if codes, err := ParseCodes(t.Success); err == nil {
			d.Success = codes
		}
	}
	if t.Payload == "" && d.Bare != nil {
		d.Change, d.Bare = *d.Bare, nil
	}
	return d
}

// Owns tells whether a header name belongs to the dialect, in any case of letters.
func (d Dialect) Owns(name string) bool {
	if d.Signature.Header != "" && strings.EqualFold(name, d.Signature.Header) {
		return true
	}
	return slices.ContainsFunc(d.Headers, func(h OwnHeader) bool { return strings.EqualFold(name, h.Name) })
}
