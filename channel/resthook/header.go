package resthook

import (
	"errors"
	"fmt"
	"mime"
	"strings"
	"unicode"

	"fhirhook/channel"
)

// ParseHeader reads a line of Subscription.channel.header for a dialect that was narrowed to the Subscription
// (Dialect.For). Errors say what to do and never quote a value.
func ParseHeader(line string, d Dialect) (channel.Header, error) {
	name, value, found := strings.Cut(line, ":")
	if !found {
		return channel.Header{}, errors.New(`a header line has no colon; write it as "Name: value"`)
	}
	if err := checkName(name); err != nil {
		return channel.Header{}, err
	}
	value = strings.Trim(value, " \t")
	if strings.ContainsFunc(value, unicode.IsControl) {
		return channel.Header{}, fmt.Errorf("the value of header %s holds a control character (a line break, tab or the like); remove it", name)
	}
	lower := strings.ToLower(name)
	switch {
	case framing[lower]:
		return channel.Header{}, fmt.Errorf("header %s can't be set: the server or the connection decides it", name)
	case reservedPrefix(lower):
		return channel.Header{}, fmt.Errorf("header %s can't be set: names that begin with webhook-, X-Fhirhook- or Proxy- are reserved", name)
	case d.Owns(name):
		return channel.Header{}, fmt.Errorf("header %s can't be set: the dialect %s sends it itself", name, d.Name)
	case lower == "content-type" && !sameType(value, d.ContentType):
		return channel.Header{}, fmt.Errorf("header Content-Type can't differ from what is sent, which is %s", d.ContentType)
	}
	return channel.Header{Name: name, Value: value}, nil
}

// framing are the names that decide how a request is read or where it goes.
var framing = map[string]bool{
	"host": true, "content-length": true, "transfer-encoding": true, "connection": true,
	"te": true, "trailer": true, "upgrade": true, "expect": true,
}

func reservedPrefix(lower string) bool {
	return strings.HasPrefix(lower, "webhook-") || strings.HasPrefix(lower, "x-fhirhook-") || strings.HasPrefix(lower, "proxy-")
}

// checkName wants a token (RFC 9110 5.6.2). It quotes the name only as far as it can't be a value gone astray.
func checkName(name string) error {
	if name == "" {
		return errors.New(`a header line has nothing before its colon; write it as "Name: value"`)
	}
	for i := range len(name) {
		if !token(name[i]) {
			return errors.New("a header name may hold only letters, digits and !#$%&'*+-.^_`|~; blanks before the colon aren't allowed either")
		}
	}
	return nil
}

func token(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	default:
		return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
	}
}

// sameType compares MIME types, ignoring letter case and parameters that say what is the case anyway. An empty
// want takes any: the request will have no body, or another check knows the payload.
func sameType(got, want string) bool {
	g, params, err := mime.ParseMediaType(got)
	if err != nil {
		return false
	}
	if want == "" {
		return true
	}
	w, own, err := mime.ParseMediaType(want)
	if err != nil || g != w {
		return false
	}
	for k, v := range params {
		switch {
		case strings.EqualFold(own[k], v) && v != "":
		case k == "charset" && strings.EqualFold(v, "utf-8"):
		case k == "fhirversion" && v == "4.0":
		default:
			return false
		}
	}
	return true
}
