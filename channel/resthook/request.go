package resthook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"fhirhook/channel"
)

// Product is the User-Agent of every request, unless the Subscription sets its own.
const Product = "fhirhook"

// Request is a request before it meets the network.
type Request struct {
	Method  string
	URL     string
	Headers []channel.Header
	Body    []byte // nil: none
}

// Build makes the request of a Message at a moment. It is pure: the same three give the same bytes.
func Build(m channel.Message, d Dialect, now time.Time) (Request, error) {
	return build(m, d.For(m.Target), now)
}

// build is Build with a dialect that was narrowed to the Subscription.
func build(m channel.Message, d Dialect, now time.Time) (Request, error) {
	form, err := d.form(m)
	if err != nil {
		return Request{}, err
	}
	if m.ID == "" || strings.Contains(m.ID, ".") {
		return Request{}, errors.New("a message's id must be there and hold no dot")
	}
	if strings.Contains(form.Body, resource) && m.Body == nil {
		return Request{}, errors.New("the resource to be sent is missing")
	}
	r := Request{Method: form.Method}
	if r.URL, err = address(m, form.Address); err != nil {
		return Request{}, err
	}
	if r.Body, err = fillBody(form.Body, m, now); err != nil {
		return Request{}, err
	}
	if err := r.addHeaders(m, d, now); err != nil {
		return Request{}, err
	}
	return r, nil
}

// form picks the form for a message.
func (d Dialect) form(m channel.Message) (Form, error) {
	switch {
	case m.Test:
		return d.Ping, nil
	case m.Interaction == "create", m.Interaction == "update":
		return d.Change, nil
	case m.Interaction == "delete" && d.CanDelete():
		return d.Delete, nil
	case m.Interaction == "delete":
		return Form{}, fmt.Errorf("the dialect %s has no message for deletions", d.Name)
	default:
		return Form{}, fmt.Errorf("a message has the interaction %q", m.Interaction)
	}
}

// address joins a service base and a resource: one trailing slash of the base goes, its query stays behind.
func address(m channel.Message, style Address) (string, error) {
	if style == AtEndpoint {
		return m.Target.Endpoint, nil
	}
	if m.Type == "" || strings.Trim(m.Focus, ".") == "" || strings.ContainsAny(m.Type+m.Focus, "/?#%\\ ") {
		return "", errors.New("a message has no resource type and id that can stand in a URL")
	}
	base, query, asked := strings.Cut(m.Target.Endpoint, "?")
	s := strings.TrimSuffix(base, "/") + "/" + m.Type + "/" + m.Focus
	if asked {
		s += "?" + query
	}
	return s, nil
}

func (r *Request) addHeaders(m channel.Message, d Dialect, now time.Time) error {
	r.Headers = make([]channel.Header, 0, mostOwn+len(d.Headers)+len(m.Target.Headers))
	own := func(name, value string) {
		if value != "" {
			r.Headers = append(r.Headers, channel.Header{Name: name, Value: value})
		}
	}
	given := func(name string) bool {
		for _, h := range m.Target.Headers {
			if strings.EqualFold(h.Name, name) {
				return true
			}
		}
		return false
	}
	if !given("User-Agent") {
		own("User-Agent", Product)
	}
	if !given("Accept-Encoding") {
		own("Accept-Encoding", "identity") // a compressed reply could be a bomb, and nobody reads it
	}
	if r.Body != nil && !given("Content-Type") {
		own("Content-Type", d.ContentType)
	}
	own("webhook-id", m.ID)
	own("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	if len(m.Target.Secrets) > 0 {
		own("webhook-signature", SignWebhook(m.Target.Secrets, m.ID, now, r.Body))
	}
	own("X-Fhirhook-Subscription", m.Subscription)
	own("X-Fhirhook-Event", m.Event)
	own("X-Fhirhook-Attempt", strconv.Itoa(max(m.Attempt, 1)))
	if m.Test {
		own("X-Fhirhook-Test", "true")
	} else {
		own("X-Fhirhook-Interaction", m.Interaction)
		own("X-Fhirhook-Resource", m.Type+"/"+m.Focus+"/_history/"+m.Version)
		own("X-Fhirhook-Sequence", strconv.FormatUint(m.Sequence, 10))
	}
	for _, h := range d.Headers {
		if h.On != "" && h.On != m.Interaction {
			continue
		}
		value, err := fillText(h.Value, m, now)
		if err != nil {
			return fmt.Errorf("header %s: %w", h.Name, err)
		}
		own(h.Name, value)
	}
	if d.Signature.Header != "" && len(m.Target.Secrets) > 0 {
		value, err := Sign(d.Signature.Form, m.Target.Secrets, r.Body, now)
		if err != nil {
			return err
		}
		own(d.Signature.Header, value)
	}
	for _, h := range m.Target.Headers {
		// Refused when the Subscription was written; a dialect that changed since must not be contradicted.
		if lower := strings.ToLower(h.Name); framing[lower] || reservedPrefix(lower) || d.Owns(h.Name) {
			continue
		}
		if checkName(h.Name) != nil {
			return fmt.Errorf("header %s can't be sent: its name holds a forbidden character", h.Name)
		}
		r.Headers = append(r.Headers, h)
	}
	for _, h := range r.Headers {
		if hasControl(h.Value) {
			return fmt.Errorf("header %s can't be sent: its value holds a forbidden character", h.Name)
		}
	}
	return nil
}

// mostOwn is how many headers every dialect sends.
const mostOwn = 13

// hasControl tells whether a text holds a control character (Unicode category Cc).
func hasControl(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c == 0x7f:
			return true
		case c == 0xc2 && i+1 < len(s) && s[i+1] >= 0x80 && s[i+1] < 0xa0: // U+0080 to U+009F
			return true
		}
	}
	return false
}

// special are the names that net/http looks for in this very spelling before it adds its own.
var special = []string{"User-Agent", "Accept-Encoding", "Content-Type"}

// HTTP makes the request that goes to the network. Names keep the spelling that they are documented in.
func (r Request) HTTP(ctx context.Context) (*http.Request, error) {
	var body io.Reader = http.NoBody
	if r.Body != nil {
		body = bytes.NewReader(r.Body)
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, body)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // its own text would quote the whole URL
		}
		return nil, fmt.Errorf("make a request: %w", err)
	}
	req.Header = make(http.Header, len(r.Headers))
	values := make([]string, len(r.Headers)) // of all names, each with its own part
	for i, h := range r.Headers {
		name := h.Name
		for _, s := range special {
			if len(name) == len(s) && strings.EqualFold(name, s) {
				name = s
			}
		}
		if strings.EqualFold(name, "Idempotency-Key") || strings.EqualFold(name, "X-Idempotency-Key") {
			name = strings.ToLower(name) // in its usual spelling net/http takes it as leave to send twice
		}
		if had := req.Header[name]; had != nil {
			req.Header[name] = append(had, h.Value)
			continue
		}
		values[i] = h.Value
		req.Header[name] = values[i : i+1 : i+1]
	}
	return req, nil
}
