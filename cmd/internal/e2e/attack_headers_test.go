package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// rawReceiver keeps the very bytes that come over each connection, and answers each with 200 and its end.
type rawReceiver struct {
	url string
	mu  sync.Mutex // guards got
	got [][]byte
}

func newRawReceiver(t testing.TB) *rawReceiver {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &rawReceiver{url: "http://" + l.Addr().String()}
	var serving sync.WaitGroup
	serving.Go(func() { // stops when the listener is closed
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { r.serve(c) }) // stops with the connection
		}
	})
	t.Cleanup(func() {
		_ = l.Close() // only here
		serving.Wait()
	})
	return r
}

// serve reads one request by its Content-Length, answers, and then whatever else comes.
func (r *rawReceiver) serve(c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patient)) // of a connection that is open
	var all bytes.Buffer
	in := bufio.NewReader(io.TeeReader(c, &all))
	if q, err := http.ReadRequest(in); err == nil {
		_, _ = io.Copy(io.Discard, q.Body) // what is missing shows in the bytes
	}
	_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n") // the sender may be gone
	if half, ok := c.(*net.TCPConn); ok {
		_ = half.CloseWrite() // so that the sender ends, too
	}
	_, _ = io.Copy(&all, in)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, all.Bytes())
}

func (r *rawReceiver) all() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// breaks are ways to end a line, or a text, for somebody.
var breaks = map[string]string{
	"CRLF": "\r\n", "LF": "\n", "CR": "\r", "NUL": "\x00", "folded": "\r\n ", "folded by a tab": "\r\n\t", "vertical tab": "\v", "form feed": "\f", "DEL": "\x7f",
	"next line": "\u0085", "line separator": "\u2028", "paragraph separator": "\u2029", "CR of another width": "\uff0d\uff0a", "two bytes that end in CR LF": "\u010d\u010a",
	"escaped": "%0d%0a", "escaped twice": "%250d%250a", "overlong": "\xc0\x8d\xc0\x8a",
}

// TestAttack_headers puts line ends wherever a text of the client's becomes a part of a notification. Whatever the
// server makes of them, a receiver sees requests with one head each and nothing behind their bodies.
func TestAttack_headers(t *testing.T) {
	t.Parallel()
	p, receiver := start(t, t.TempDir()), newRawReceiver(t)
	const injected = "X-Injected: yes"
	quoted := func(text string) string {
		q, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		return string(q)
	}
	extension := func(name, kind, text string) string {
		return fmt.Sprintf(`"extension":[{"url":"https://fhirhook.dev/StructureDefinition/%s","%s":%s}],`, name, kind, quoted(text))
	}
	subscription := func(extension, endpoint, payload, header string) string {
		return `{"resourceType":"Subscription",` + extension + `"status":"active","reason":"r","criteria":"Basic","channel":{"type":"rest-hook","endpoint":` + quoted(endpoint) + `,"payload":` + quoted(payload) + `,"header":[` + quoted(header) + `]}}`
	}
	const fine, json = "X-A: b", "application/fhir+json"
	places := map[string]func(broken string) string{
		"header value":       func(b string) string { return subscription("", receiver.url, json, "X-A: b"+b+injected) },
		"header value's end": func(b string) string { return subscription("", receiver.url, json, "X-A: b"+b) },
		"header name":        func(b string) string { return subscription("", receiver.url, json, "X-A"+b+"X-Injected: yes") },
		"header alone":       func(b string) string { return subscription("", receiver.url, json, b+b+"GET /smuggled HTTP/1.1") },
		"payload":            func(b string) string { return subscription("", receiver.url, json+b+injected, fine) },
		"endpoint's path":    func(b string) string { return subscription("", receiver.url+"/a"+b+injected, json, fine) },
		"endpoint's query":   func(b string) string { return subscription("", receiver.url+"/a?b="+b+injected, json, fine) },
		"endpoint's host":    func(b string) string { return subscription("", receiver.url+b+"evil.example/", json, fine) },
		"event": func(b string) string {
			return subscription(extension("subscription-event", "valueString", "basic.created"+b+injected), receiver.url, json, fine)
		},
		"dialect": func(b string) string {
			return subscription(extension("subscription-dialect", "valueCode", "clinik"+b+injected), receiver.url, json, fine)
		},
		"signature": func(b string) string {
			return subscription(extension("subscription-signature", "valueCode", "sha256"+b+injected), receiver.url, json, fine)
		},
		"secret": func(b string) string {
			return subscription(extension("subscription-secret", "valueString", "key"+b+injected), receiver.url, json, fine)
		},
		"reason": func(b string) string {
			return strings.Replace(subscription("", receiver.url, json, fine), `"reason":"r"`, `"reason":`+quoted("r"+b+injected), 1)
		},
	}
	accepted := 0
	for place, body := range places {
		for name, broken := range breaks {
			r, err := p.request("POST", "/Subscription", body(broken))
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case r.status == http.StatusCreated:
				accepted++
			case r.status < 400 || r.status >= 500:
				t.Errorf("%s with %s: %d %s", place, name, r.status, r.body)
			case strings.Contains(string(r.body), injected) && strings.HasPrefix(place, "header"):
				t.Errorf("the refusal of a %s with %s quotes it: %s", place, name, r.body)
			}
			for _, line := range r.header {
				if strings.ContainsAny(strings.Join(line, ""), "\r\n\x00") {
					t.Errorf("%s with %s breaks the answer's head: %q", place, name, line)
				}
			}
		}
	}
	// Ids, types and request ids become parts of headers, too.
	for name, broken := range breaks {
		for _, path := range []string{"/Basic/a" + broken + injected, "/Subscription/a" + broken + injected, "/Basic" + broken + "/a"} {
			raw := fmt.Sprintf("PUT /fhir/R4%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/fhir+json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", path, p.host())
			if text := rawRequest(t, p.host(), raw); strings.HasPrefix(text, "HTTP/1.1 2") || strings.Contains(text, "\n"+injected) {
				t.Errorf("id with %s: %s", name, text)
			}
		}
		if strings.ContainsAny(broken, "\r\n\x00\v\f\x7f") {
			continue // no client sends it in a header's value
		}
		q, err := http.NewRequestWithContext(t.Context(), "PUT", p.base+"/Basic/requested", strings.NewReader(`{"resourceType":"Basic","id":"requested","code":{"text":`+quoted(name)+`}}`))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Content-Type", json)
		q.Header.Set("X-Request-Id", "r"+broken+injected)
		response, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close() // only the head counts
		if response.Header.Get("X-Injected") != "" {
			t.Errorf("a request id with %s breaks the answer's head: %v", name, response.Header)
		}
	}
	if accepted == 0 {
		t.Fatal("nothing was taken, so nothing can be sent")
	}
	p.must(201, "PUT", "/Basic/last", `{"resourceType":"Basic","id":"last","code":{"text":"`+strings.Repeat(`\r\n\r\nGET /smuggled HTTP/1.1\r\n`, 3)+`"}}`)
	p.matched(t)
	eventually(t, "the end of the deliveries", func() bool {
		return strings.Contains(string(p.must(200, "GET", "/Subscription/$deliveries?status=owed", "").body), `"total":0`)
	})
	eventually(t, "a request of each Subscription that was taken", func() bool { return len(receiver.all()) >= accepted })
	got := receiver.all()
	for _, raw := range got {
		in := bufio.NewReader(bytes.NewReader(raw))
		q, err := http.ReadRequest(in)
		if err != nil {
			t.Errorf("no request: %v\n%q", err, raw)
			continue
		}
		if _, err := io.Copy(io.Discard, q.Body); err != nil {
			t.Errorf("no whole body: %v\n%q", err, raw)
		}
		rest, _ := io.ReadAll(in) // of bytes in memory
		if len(rest) > 0 || q.Header.Get("X-Injected") != "" || q.ContentLength < 0 || len(q.Header.Values("Content-Type")) != 1 || q.Host != strings.TrimPrefix(receiver.url, "http://") {
			t.Errorf("more than one request, or another: %q", raw)
		}
		head, _, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
		for line := range bytes.SplitSeq(head, []byte("\r\n")) {
			if bytes.ContainsAny(line, "\r\n\x00\v\f\x7f") || bytes.HasPrefix(line, []byte("X-Injected")) {
				t.Errorf("a line of the head is %q", line)
			}
		}
	}
}
