package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// DefaultServer is where a server listens by default.
const DefaultServer = "http://127.0.0.1:8080/fhir/R4"

const (
	timeout   = time.Minute      // of a whole exchange: searches end earlier by themselves
	patience  = 10 * time.Minute // of one that waits for an endpoint, or counts
	maxAnswer = 64 << 20         // bytes of an answer
	prefix    = "/fhir/R4"       // of a server that was named without a path
	fhirJSON  = "application/fhir+json"
)

// ErrUsage says that a command was given something that it can't work with.
var ErrUsage = errors.New("usage")

// usage is an ErrUsage that reads as a sentence.
type usage string

func (u usage) Error() string        { return string(u) }
func (u usage) Is(target error) bool { return target == ErrUsage }

func usagef(format string, args ...any) error { return usage(fmt.Sprintf(format, args...)) }

// Options is what a Client works with.
type Options struct {
	Server   string // base URL
	Token    string // bearer token; "": none. It is never printed
	JSON     bool   // for scripts
	Out, Err io.Writer
	// In is where a question is answered, if a person is there to do so; else nil.
	In       io.Reader
	Terminal bool // Err is one: progress may overwrite its line
}

// Client carries out commands against one server.
type Client struct {
	Options
	base *url.URL
	http *http.Client
	now  func() time.Time
	zone *time.Location
}

// New returns a Client; a server's URL or a token that can't be used is an ErrUsage.
func New(o Options) (*Client, error) {
	base, err := url.Parse(o.Server)
	switch {
	case err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https":
		return nil, usagef("--server %s is not a URL: write it as in %s", withoutUser(o.Server), DefaultServer)
	case base.User != nil:
		return nil, usagef("--server must not hold a user or password: set FHIRHOOK_TOKEN to a token")
	case base.RawQuery != "" || base.Fragment != "":
		return nil, usagef("--server %s must end with its path: write it as in %s", withoutQuery(base), DefaultServer)
	case strings.ContainsFunc(o.Token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, usagef("the token holds what no token does: white space, or something outside ASCII")
	}
	if strings.Trim(base.Path, "/") == "" {
		base.Path = prefix
	}
	base.Path = strings.TrimSuffix(base.Path, "/")
	return &Client{
		Options: o, base: base, now: time.Now, zone: time.Local,
		// A token must not follow a redirect to wherever it leads.
		http: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}, nil
}

// withoutUser hides what may be a password in a text that isn't a URL.
func withoutUser(text string) string {
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		return "…" + text[at:]
	}
	return printable(text, 200)
}

func withoutQuery(u *url.URL) string {
	short := *u
	short.RawQuery, short.Fragment = "", ""
	return printable(short.String(), 200)
}

// request is what is asked of the server.
type request struct {
	method  string
	path    string // below the base URL, as in /Subscription/labs/$ping
	query   string
	body    []byte // FHIR JSON; nil: none
	timeout time.Duration
}

// reply is what a server answered that took a request.
type reply struct {
	status int
	header http.Header
}

// do sends a request and decodes the answer into into, unless it is nil. What the server refuses is a *RefusedError.
func (c *Client) do(ctx context.Context, r request, into any) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, max(r.timeout, timeout))
	defer cancel()
	target := *c.base
	target.Path += r.path
	target.RawQuery = r.query
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target.String(), body)
	if err != nil {
		return reply{}, usagef("%s is no request: %v", printable(r.path, 80), err)
	}
	req.Header.Set("Accept", fhirJSON)
	if r.body != nil {
		req.Header.Set("Content-Type", fhirJSON)
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return reply{}, c.unreached(ctx, err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode >= 300 {
		return reply{}, refusal(res)
	}
	if into != nil && res.StatusCode != http.StatusNoContent {
		if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(into); err != nil {
			if ctx.Err() != nil {
				return reply{}, c.unreached(ctx, err)
			}
			return reply{}, fmt.Errorf("%s answers %s, and not with FHIR: %w", c.base, res.Status, err)
		}
	}
	return reply{status: res.StatusCode, header: res.Header}, nil
}

// errInterrupted is context.Canceled as a person reads it.
var errInterrupted = fmt.Errorf("interrupted%w", silent{context.Canceled})

// silent is an error that is there to be found, not to be read.
type silent struct{ error }

func (silent) Error() string   { return "" }
func (s silent) Unwrap() error { return s.error }

// unreached explains why there is no answer.
func (c *Client) unreached(ctx context.Context, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%s gave no answer in time", c.base)
	case ctx.Err() != nil:
		return errInterrupted
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // without the URL, whose query may be long
	}
	if failed, ok := errors.AsType[*net.OpError](err); ok && failed.Op == "dial" {
		return fmt.Errorf("no server answers at %s: %w. Is it running there? --server or FHIRHOOK_SERVER names another", c.base, failed.Err)
	}
	return fmt.Errorf("ask %s: %w", c.base, err)
}

// escape makes a segment of a path out of an id.
func escape(id string) string { return "/" + url.PathEscape(id) }
