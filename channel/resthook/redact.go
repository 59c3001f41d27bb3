package resthook

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"net/url"
	"sort"
	"strings"

	"fhirhook/channel"
	"fhirhook/fhir/tape"
)

// mask stands where a secret stood.
const mask = "********"

// shortestToken is the length from which a word of a header value is masked by itself too: "Bearer" and
// "application" say nothing, a token without its scheme does.
const shortestToken = 8

// redact takes the target's secrets, header values and query out of what an endpoint sent back, which may echo
// the request. It bounds what an honest receiver gives away; one that wants to tell can always encode.
func redact(reply []byte, t channel.Target) []byte {
	if len(reply) == 0 {
		return reply
	}
	for _, s := range secretsOf(t) {
		if bytes.Contains(reply, []byte(s)) {
			reply = bytes.ReplaceAll(reply, []byte(s), []byte(mask))
		}
	}
	return reply
}

// secretsOf lists what must not be told, the longest first so that no part of one stays behind.
func secretsOf(t channel.Target) []string {
	var all []string
	add := func(s string) {
		if len(s) > 2 {
			all = append(all, s)
		}
		if len(s) >= shortestToken {
			all = append(all, encodings(s)...)
		}
	}
	for _, s := range t.Secrets {
		add(s)
	}
	for _, h := range t.Headers {
		add(h.Value)
		for _, word := range strings.Fields(h.Value) {
			if len(word) >= shortestToken {
				add(word)
			}
		}
	}
	if u, err := url.Parse(t.Endpoint); err == nil && u.RawQuery != "" {
		add(u.RawQuery)
		for _, values := range u.Query() {
			for _, v := range values {
				if len(v) >= shortestToken {
					add(v)
				}
			}
		}
	}
	sort.SliceStable(all, func(i, j int) bool { return len(all[i]) > len(all[j]) })
	return all
}

// encodings are the other forms in which endpoints that show what they got write a text: inside JSON, with all the escapes
// that are in use, in a URL, in base64 and in hexadecimal digits. Those that leave it as it is aren't among them.
func encodings(s string) []string {
	var all []string
	for _, form := range []string{
		strings.Trim(string(tape.Quote(s)), `"`), strings.ReplaceAll(s, "/", `\/`), strings.Trim(escapedHTML(s), `"`), html.EscapeString(s),
		url.QueryEscape(s), url.PathEscape(s),
		base64.StdEncoding.EncodeToString([]byte(s)), base64.RawURLEncoding.EncodeToString([]byte(s)), hex.EncodeToString([]byte(s)),
	} {
		if form != s {
			all = append(all, form)
		}
	}
	return all
}

// escapedHTML is JSON with <, > and & escaped, as encoding/json and others write it.
func escapedHTML(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		return s // of a string there is none
	}
	return string(text)
}
