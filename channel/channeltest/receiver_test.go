package channeltest_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"fhirhook/channel"
	"fhirhook/channel/channeltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// talk writes raw bytes and returns everything that comes back until the other side closes.
func talk(t *testing.T, r *channeltest.Receiver, text string) (string, error) {
	t.Helper()
	c, err := net.Dial("tcp", r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, "Connection: close") || !strings.Contains(text, "\r\n\r\n") {
		_ = c.(*net.TCPConn).CloseWrite()
	}
	b, err := io.ReadAll(c)
	return string(b), err
}

func TestReceiver_recordsHeadersAsTheyCame(t *testing.T) {
	r := channeltest.New(t)
	if _, err := talk(t, r, "POST /a?b=c HTTP/1.1\r\nHost: x\r\nX-b: 2\r\nx-A: 1\r\nX-b: 1: 0\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"); err != nil {
		t.Fatal(err)
	}
	got := r.Await(1)[0]
	want := []channel.Header{
		{Name: "Host", Value: "x"},
		{Name: "X-b", Value: "2"},
		{Name: "x-A", Value: "1"},
		{Name: "X-b", Value: "1: 0"},
		{Name: "Connection", Value: "close"},
		{Name: "Content-Length", Value: "2"},
	}
	if diff := cmp.Diff(want, got.Headers); diff != "" {
		t.Error(diff)
	}
	if got.Method != "POST" || got.Target != "/a?b=c" || string(got.Body) != "hi" || got.Header("X-B") != "2" || len(got.Values("x-b")) != 2 {
		t.Errorf("%+v", got)
	}
}

func TestReceiver_stepsInOrder(t *testing.T) {
	r := channeltest.New(t).Then(channeltest.Status(500), channeltest.RetryAfter(429, "7")).Otherwise(channeltest.Status(204))
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var got []int
	for range 4 {
		resp, err := client.Post(r.URL("/"), "text/plain", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		got = append(got, resp.StatusCode)
	}
	if diff := cmp.Diff([]int{500, 429, 204, 204}, got); diff != "" {
		t.Error(diff)
	}
}

func TestReceiver_refusesAndAcceptsAgain(t *testing.T) {
	r := channeltest.New(t)
	r.Refuse()
	if _, err := net.Dial("tcp", r.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v", err)
	}
	r.Accept()
	c, err := net.Dial("tcp", r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestReceiver_breaksOff(t *testing.T) {
	const request = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
	r := channeltest.New(t).Then(channeltest.Reset(), channeltest.HangUp(), channeltest.Raw("what?"))
	if _, err := talk(t, r, request); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("reset: %v", err)
	}
	if got, err := talk(t, r, request); got != "" || err != nil {
		t.Errorf("hang up: %q, %v", got, err)
	}
	if got, err := talk(t, r, request); got != "what?" || err != nil {
		t.Errorf("raw: %q, %v", got, err)
	}
}

// Whatever hangs when a test ends is let go: TestMain looks for what is left.
func TestReceiver_endsWithTheTest(t *testing.T) {
	gate := make(chan struct{})
	defer close(gate)
	r := channeltest.New(t).Then(channeltest.Hang(), channeltest.Until(gate, channeltest.Status(200)), channeltest.Drip(200, 0))
	for range 3 {
		c, err := net.Dial("tcp", r.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	r.Await(3)
}

func TestReply_isHTTP(t *testing.T) {
	r := channeltest.New(t).Then(channeltest.Reply(418, "tea", "X-A: b"))
	got, err := talk(t, r, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(got)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 418 || resp.Header.Get("X-A") != "b" || string(body) != "tea" {
		t.Errorf("%+v %s", resp, body)
	}
}
