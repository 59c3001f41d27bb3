package channeltest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Exchange is what a Step works with.
type Exchange struct {
	Conn    net.Conn
	Request *http.Request
	Done    <-chan struct{} // closed when the test ends
}

// Step answers one request, well or badly, and tells whether the connection goes on.
type Step func(*Exchange) bool

// Status answers a status and an empty body.
func Status(code int) Step { return Reply(code, "") }

// Reply answers a status, a body and header lines such as "Retry-After: 5".
func Reply(code int, body string, headers ...string) Step {
	return func(x *Exchange) bool {
		var b strings.Builder
		fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", code, http.StatusText(code))
		for _, h := range headers {
			b.WriteString(h + "\r\n")
		}
		if code == http.StatusNoContent || code == http.StatusNotModified {
			body = ""
		} else {
			fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
		}
		b.WriteString("\r\n" + body)
		return x.write(b.String())
	}
}

// RetryAfter answers a status with a Retry-After.
func RetryAfter(code int, value string) Step { return Reply(code, "", "Retry-After: "+value) }

// Redirect answers a redirect.
func Redirect(code int, to string) Step { return Reply(code, "", "Location: "+to) }

// Echo answers a status and everything of the request, as debugging endpoints do.
func Echo(code int) Step {
	return func(x *Exchange) bool {
		var b bytes.Buffer
		fmt.Fprintf(&b, "%s %s\n", x.Request.Method, x.Request.RequestURI)
		_ = x.Request.Header.Write(&b)
		return Reply(code, b.String())(x)
	}
}

// EchoLine answers a status line that isn't one and holds all of the request's header values.
func EchoLine() Step {
	return func(x *Exchange) bool {
		var all []string
		for _, values := range x.Request.Header {
			all = append(all, values...)
		}
		x.write(x.Request.RequestURI + " " + strings.Join(all, " ") + "\r\n\r\n")
		return false
	}
}

// After waits before a step.
func After(d time.Duration, s Step) Step {
	return func(x *Exchange) bool {
		select {
		case <-time.After(d):
			return s(x)
		case <-x.Done:
			return false
		}
	}
}

// Until holds a step back until a channel is closed.
func Until(gate <-chan struct{}, s Step) Step {
	return func(x *Exchange) bool {
		select {
		case <-gate:
			return s(x)
		case <-x.Done:
			return false
		}
	}
}

// Hang never answers. It ends when the other side hangs up, or with the test.
func Hang() Step {
	return func(x *Exchange) bool {
		x.untilHungUp(nil)
		return false
	}
}

// Reset breaks the connection off with a TCP reset.
func Reset() Step {
	return func(x *Exchange) bool {
		if t, ok := x.Conn.(*net.TCPConn); ok {
			_ = t.SetLinger(0)
		}
		return false
	}
}

// HangUp closes the connection without a word.
func HangUp() Step { return func(*Exchange) bool { return false } }

// Raw sends text that need not be HTTP and closes the connection.
func Raw(text string) Step {
	return func(x *Exchange) bool {
		x.write(text)
		return false
	}
}

// Drip answers a status at once and then a byte of the body each interval, without end.
func Drip(code int, interval time.Duration) Step {
	return func(x *Exchange) bool {
		if x.write(fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Length: 1000000\r\n\r\n", code, http.StatusText(code))) {
			x.untilHungUp(func() bool {
				select {
				case <-time.After(interval):
					return x.write(".")
				case <-x.Done:
					return false
				}
			})
		}
		return false
	}
}

// Giant answers a status and a body of any size.
func Giant(code int, size int64) Step {
	return func(x *Exchange) bool {
		head := fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Length: %d\r\n\r\n", code, http.StatusText(code), size)
		if !x.write(head) {
			return false
		}
		_, err := io.CopyN(x.Conn, zeros{}, size)
		return err == nil
	}
}

// Interim sends 1xx replies without end.
func Interim() Step {
	return func(x *Exchange) bool {
		for x.write("HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n") {
		}
		return false
	}
}

// EndlessHeader sends header lines without end.
func EndlessHeader() Step {
	return func(x *Exchange) bool {
		x.write("HTTP/1.1 200 OK\r\n")
		for i := 0; x.write("X-Line-" + strconv.Itoa(i) + ": more\r\n"); i++ {
		}
		return false
	}
}

func (x *Exchange) write(s string) bool {
	select {
	case <-x.Done:
		return false
	default:
	}
	_, err := io.WriteString(x.Conn, s)
	return err == nil
}

// untilHungUp repeats more (nil: nothing) until it says no or the other side is gone.
func (x *Exchange) untilHungUp(more func() bool) {
	gone := make(chan struct{}) // closed by the goroutine below, which stops when the connection ends
	go func() {
		defer close(gone)
		_, _ = io.Copy(io.Discard, x.Conn)
	}()
	for more != nil && more() {
	}
	select {
	case <-gone:
	case <-x.Done:
	}
	x.Conn.Close()
	<-gone
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
