package edge

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// follow feeds a framer in pieces of a size, and returns what it passes on.
func follow(input []byte, size int) (passed []byte, err error) {
	f := framer{limit: 4 << 10}
	for rest := input; len(rest) > 0; {
		p := rest[:min(size, len(rest))]
		n, err := f.feed(p)
		passed = append(passed, p[:n]...)
		if err != nil {
			return passed, err
		}
		rest = rest[len(p):]
	}
	return passed, nil
}

func TestFramer_passesWhatIsFramedInOneWay(t *testing.T) {
	const get = "GET /fhir/R4/Patient/1 HTTP/1.1\r\nHost: h\r\n\r\n"
	for name, input := range map[string]string{
		"two in a row":               get + get,
		"HTTP/1.0":                   "GET / HTTP/1.0\r\n\r\n",
		"with a body":                "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello" + get,
		"a body with line feeds":     "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n\n\n\r\r" + get,
		"an empty body":              "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n" + get,
		"chunks":                     "POST / HTTP/1.1\r\nHost: h\r\ntransfer-encoding: Chunked\r\n\r\n5\r\nhello\r\n1;a=b\r\n\n\r\n0\r\n\r\n" + get,
		"trailers":                   "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\n\r\n" + get,
		"white space around":         "GET / HTTP/1.1\r\nHost: \t h \t\r\nX-A:\r\n\r\n",
		"absolute form":              "GET http://H/x?y HTTP/1.1\r\nHost: h\r\n\r\n",
		"asterisk form":              "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
		"UTF-8":                      "GET /Patient?name=Müller HTTP/1.1\r\nHost: h\r\nX: ü\r\n\r\n",
		"FHIR's escape in a query":   "GET /Patient?name=a\\,b HTTP/1.1\r\nHost: h\r\n\r\n",
		"incomplete":                 "GET / HTTP/1.1\r\nHos",
		"CR at the end of what came": "GET / HTTP/1.1\r",
	} {
		for _, size := range []int{1, 2, 7, 4096} {
			passed, err := follow([]byte(input), size)
			if err != nil || string(passed) != input {
				t.Errorf("%s, in pieces of %d: %v, passed %q", name, size, err, passed)
			}
		}
	}
}

// smuggled stands behind a request that breaks the rules: net/http must never see it whole.
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"

func TestFramer_stopsBeforeWhatTwoReadersUnderstandDifferently(t *testing.T) {
	for name, input := range map[string]string{
		"lengths and chunks":             "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"two lengths":                    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
		"a list of lengths":              "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n\r\nhello",
		"a signed length":                "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\nhello",
		"a length below zero":            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
		"a length in hexadecimal":        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x5\r\n\r\nhello",
		"a length beyond 63 bits":        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9223372036854775808\r\n\r\n",
		"no length":                      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n",
		"another coding":                 "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"a list of codings":              "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"identity":                       "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n",
		"two codings":                    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"a coding with a tab":            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
		"a coding in HTTP/1.0":           "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"a space before the colon":       "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
		"a folded line":                  "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
		"LF alone":                       "GET / HTTP/1.1\nHost: h\n\n",
		"LF alone at the end":            "GET / HTTP/1.1\r\nHost: h\r\n\n",
		"CR alone":                       "GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n",
		"NUL in a value":                 "GET / HTTP/1.1\r\nHost: h\r\nX: a\x00b\r\n\r\n",
		"NUL in a name":                  "GET / HTTP/1.1\r\nHost: h\r\nX\x00: a\r\n\r\n",
		"no name":                        "GET / HTTP/1.1\r\nHost: h\r\n: a\r\n\r\n",
		"no colon":                       "GET / HTTP/1.1\r\nHost: h\r\nX\r\n\r\n",
		"two hosts":                      "GET / HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n",
		"no host":                        "GET / HTTP/1.1\r\n\r\n",
		"a host that isn't the target's": "GET http://i/ HTTP/1.1\r\nHost: h\r\n\r\n",
		"a fragment":                     "GET /#x HTTP/1.1\r\nHost: h\r\n\r\n",
		"a space in the target":          "GET / x HTTP/1.1\r\nHost: h\r\n\r\n",
		"two spaces":                     "GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
		"a tab":                          "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n",
		"a backslash":                    "GET /\\x HTTP/1.1\r\nHost: h\r\n\r\n",
		"a relative target":              "GET x HTTP/1.1\r\nHost: h\r\n\r\n",
		"a user":                         "GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n",
		"a proxy's method":               "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n",
		"another version":                "GET / HTTP/1.2\r\nHost: h\r\n\r\n",
		"no version":                     "GET /\r\n",
		"HTTP/2 in the clear":            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"an empty line first":            "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
		"an endless line":                "GET /" + strings.Repeat("x", 5<<10),
		"a chunk without a size":         "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n;a=b\r\n",
		"a signed chunk size":            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
		"a chunk size with 0x":           "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
		"a chunk size and a space":       "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n",
		"a chunk size that wraps":        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n",
		"a chunk size with LF":           "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
		"a chunk that is longer":         "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n0\r\n\r\n",
		"a long extension":               "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;" + strings.Repeat("x", 300) + "\r\nhello\r\n0\r\n\r\n",
		"an extension with LF":           "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n0\r\n\r\n",
		"a length in the trailers":       "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n",
		"endless trailers":               "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("X: y\r\n", 2000),
	} {
		for _, size := range []int{1, 2, 7, 1 << 20} {
			passed, err := follow([]byte(input+smuggled), size)
			if _, ok := errors.AsType[*framingError](err); !ok {
				t.Errorf("%s, in pieces of %d: error %v", name, size, err)
			}
			if bytes.Contains(passed, []byte("smuggled")) {
				t.Errorf("%s, in pieces of %d: passed on what follows: %q", name, size, passed)
			}
		}
	}
}

// FuzzFramer compares a framer with net/http: what passes is cut into the same requests by both.
func FuzzFramer(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: h\r\n\r\n"))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello" + smuggled))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\nX: y\r\n\r\n" + smuggled))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n"))
	f.Add([]byte("POST http://h/ HTTP/1.0\r\nContent-Length: +1\n\nx"))
	f.Fuzz(func(t *testing.T, input []byte) {
		var ends []int
		at := framer{limit: 4 << 10}
		passed := 0
		for passed < len(input) {
			if n, err := at.feed(input[passed : passed+1]); err != nil || n == 0 {
				break
			}
			if passed++; at.state == inRequestLine && len(at.line) == 0 {
				ends = append(ends, passed)
			}
		}
		for _, size := range []int{3, len(input) + 1} {
			whole, err := follow(input, size)
			if len(whole) > passed || err == nil && passed < len(input) {
				t.Fatalf("in pieces of %d, %d bytes pass (%v), one by one %d", size, len(whole), err, passed)
			}
		}
		source := bytes.NewReader(input[:passed])
		reader := bufio.NewReader(source)
		for i := 0; ; i++ {
			request, err := http.ReadRequest(reader)
			if err != nil {
				return // net/http ends the connection
			}
			if _, err := io.Copy(io.Discard, request.Body); err != nil {
				return
			}
			if end := passed - source.Len() - reader.Buffered(); i >= len(ends) || ends[i] != end {
				t.Fatalf("net/http ends request %d at %d, the framer ends requests at %v", i, end, ends)
			}
		}
	})
}
