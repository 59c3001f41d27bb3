package edge

import (
	"bytes"
	"strconv"
	"strings"
)

// head is what the head of a request says of its framing and of its host.
type head struct {
	old       bool   // HTTP/1.0
	authority string // of a target in absolute form
	hosts     int
	host      string
	lengths   int
	length    int64
	chunked   bool
}

// requestLine reads METHOD SP TARGET SP VERSION (RFC 9112 section 3).
func (h *head) requestLine(line []byte) error {
	method, rest, ok := strings.Cut(string(line), " ")
	target, version, ok2 := strings.Cut(rest, " ")
	if !ok || !ok2 || !isToken(method) {
		return broken("the request line is not a method, a target and a version, with one space between them")
	}
	switch version {
	case "HTTP/1.1":
	case "HTTP/1.0":
		h.old = true
	default:
		return broken("the version is neither HTTP/1.1 nor HTTP/1.0")
	}
	query := false
	for i := range len(target) {
		// FHIR escapes by backslash in a query (R4 search.html#escaping), and not every client encodes it.
		if c := target[i]; c <= ' ' || c == 0x7f || c == '#' || c == '\\' && !query {
			return broken("the target holds a character that has to be escaped")
		}
		query = query || target[i] == '?'
	}
	switch {
	case method == "CONNECT":
		return broken("this server is no proxy")
	case strings.HasPrefix(target, "/"), target == "*" && method == "OPTIONS":
		return nil
	}
	scheme, below, ok := strings.Cut(target, "://")
	if scheme = strings.ToLower(scheme); !ok || scheme != "http" && scheme != "https" {
		return broken("the target is neither a path nor an http or https URL")
	}
	h.authority, _, _ = strings.Cut(below, "/")
	h.authority, _, _ = strings.Cut(h.authority, "?")
	if h.authority == "" || strings.Contains(h.authority, "@") {
		return broken("the target names no host, or a user")
	}
	return nil
}

// field reads one header field, and remembers those that matter to framing.
func (h *head) field(line []byte) error {
	name, value, err := splitField(line)
	if err != nil {
		return err
	}
	switch {
	case is(name, "content-length"):
		if h.lengths++; h.lengths > 1 {
			return broken("Content-Length stands twice")
		}
		return h.contentLength(string(value))
	case is(name, "transfer-encoding"):
		switch {
		case h.old:
			return broken("HTTP/1.0 knows no Transfer-Encoding")
		case h.chunked:
			return broken("Transfer-Encoding stands twice")
		case !is(value, "chunked"):
			return broken("a Transfer-Encoding other than chunked")
		}
		h.chunked = true
	case is(name, "host"):
		h.hosts++
		h.host = string(value)
	}
	return nil
}

func (h *head) contentLength(value string) error {
	if value == "" || strings.Trim(value, "0123456789") != "" {
		return broken("Content-Length is not a number")
	}
	n, err := strconv.ParseInt(value, 10, 63)
	if err != nil {
		return broken("Content-Length is too large")
	}
	h.length = n
	return nil
}

// check judges the head as a whole.
func (h *head) check() error {
	switch {
	case h.chunked && h.lengths > 0:
		return broken("Transfer-Encoding and Content-Length contradict each other")
	case h.hosts > 1:
		return broken("Host stands twice")
	case h.hosts == 0 && !h.old:
		return broken("Host is missing")
	case h.authority != "" && h.hosts == 1 && !strings.EqualFold(h.authority, h.host):
		return broken("the target and Host name two hosts")
	}
	return nil
}

// splitField splits a field line into its name and its value without the white space around it (RFC 9112 section 5).
func splitField(line []byte) (name, value []byte, err error) {
	if line[0] == ' ' || line[0] == '\t' {
		return nil, nil, broken("a header field goes on in the next line")
	}
	name, value, ok := bytes.Cut(line, []byte{':'})
	if !ok || !isToken(name) {
		return nil, nil, broken("a header field has no name, or one with a character that no name has")
	}
	if value = bytes.Trim(value, " \t"); bytes.ContainsFunc(value, isControl) {
		return nil, nil, broken("the header field %s holds a control character", name)
	}
	return name, value, nil
}

// is compares a text with one in lower case, ASCII letters alone being folded.
func is(text []byte, want string) bool {
	if len(text) != len(want) {
		return false
	}
	for i, c := range text {
		if lower(c) != want[i] {
			return false
		}
	}
	return true
}

// isControl tells whether a rune can't stand in a field's value; a tab can.
func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// isToken tells whether a text is a token (RFC 9110 section 5.6.2).
func isToken[T string | []byte](text T) bool {
	if len(text) == 0 {
		return false
	}
	for i := range len(text) {
		c := lower(text[i])
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
