package resthook

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Limits on HTTP/2, by which many requests share a connection. How many they are at once is the endpoint's to say; when it takes no
// more, further ones go by a further connection.
const (
	// A peer that is silent so long while a request waits for it is asked whether it is still there, and has so long to answer: a
	// connection that died is given up sooner than most requests.
	quietFor   = 5 * time.Second
	lostAfter  = 5 * time.Second
	stuckAfter = 5 * time.Second // that the peer takes nothing: frames of other requests wait behind these

	streamBytes     = readReply // that may come unasked of one reply: more is never read
	connectionBytes = 1 << 20   // and of all replies by one connection

	// How often a request that the endpoint refused unseen (REFUSED_STREAM, GOAWAY; RFC 9113, 8.7) is sent anew within an attempt,
	// which is at once. What it refuses again is for the Subscription's ladder.
	sentAnew = 1

	// avoidFor is how long an endpoint that HTTP/2 didn't work with is spoken to by HTTP/1.1.
	avoidFor  = 10 * time.Minute
	mostAvoid = 4096 // endpoints that are remembered
)

// limits are those of HTTP/2 connections. A request waits for no place on a full one.
func limits() *http.HTTP2Config {
	return &http.HTTP2Config{
		SendPingTimeout:               quietFor,
		PingTimeout:                   lostAfter,
		WriteByteTimeout:              stuckAfter,
		MaxReceiveBufferPerStream:     streamBytes,
		MaxReceiveBufferPerConnection: connectionBytes,
	}
}

// lines are the two transports of a way. They differ in what they offer to an endpoint in the TLS handshake.
type lines struct {
	both *http.Transport // HTTP/2 or HTTP/1.1, as the endpoint likes
	old  *http.Transport // HTTP/1.1 alone
}

func (l lines) closeIdle() {
	l.both.CloseIdleConnections()
	l.old.CloseIdleConnections()
}

// avoided remembers the endpoints that HTTP/2 doesn't work with, so that what is stuck on a shared connection hurts others once and
// not again: by HTTP/1.1 each request has a connection of its own. It is safe for concurrent use.
type avoided struct {
	mu    sync.Mutex           // guards what follows
	until map[string]time.Time // by host:port
}

func newAvoided() *avoided { return &avoided{until: map[string]time.Time{}} }

// has tells whether an endpoint is to be spoken to by HTTP/1.1 at present.
func (a *avoided) has(name string, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	until, ok := a.until[name]
	if ok && !now.Before(until) {
		delete(a.until, name)
		return false
	}
	return ok
}

// add remembers an endpoint. Of too many, any is forgotten: it is tried once more.
func (a *avoided) add(name string, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for forgotten := range a.until {
		if len(a.until) < mostAvoid {
			break
		}
		delete(a.until, forgotten)
	}
	a.until[name] = now.Add(avoidFor)
}

// errRefused is the end of an attempt whose request the endpoint has refused too often.
var errRefused = errors.New("refused unseen, and again")

// streamError has the form in which net/http's own error of a stream lets itself be seen by errors.As (net/http/h2_error.go).
type streamError struct {
	StreamID uint32
	Code     streamCode
	Cause    error
}

// streamCode is an error code of HTTP/2 (RFC 9113, 7).
type streamCode uint32

const (
	codeProtocol   streamCode = 0x1
	codeRefused    streamCode = 0x7
	codeCalm       streamCode = 0xb
	codeOldVersion streamCode = 0xd // HTTP_1_1_REQUIRED
)

// Error implements error.
func (e streamError) Error() string { return fmt.Sprintf("stream error %d", e.Code) }

// fromPeer tells a reset by the endpoint from one by this server, which read something wrong.
func (e streamError) fromPeer() bool {
	return e.Cause != nil && e.Cause.Error() == "received from peer"
}

// wantsOld tells whether the endpoint refused a request unseen because it takes such by HTTP/1.1 alone.
func wantsOld(err error) bool {
	var e streamError
	return errors.As(err, &e) && e.fromPeer() && e.Code == codeOldVersion
}

// sharedFailure names what can only go wrong on a connection of HTTP/2; its class is "" if it is something else. net/http has no
// types for most of it.
func sharedFailure(err error) failure {
	var e streamError
	switch text := err.Error(); {
	case errors.Is(err, errRefused):
		return failure{ClassReset, "the endpoint refused the request before it looked at it, twice (HTTP/2 REFUSED_STREAM or GOAWAY); it may be overloaded or about to restart"}
	case errors.As(err, &e) && e.fromPeer():
		return e.failure()
	case strings.Contains(text, "http2: server sent GOAWAY"), strings.Contains(text, "graceful shutdown GOAWAY"):
		return failure{ClassReset, "the endpoint closed the connection before a reply (HTTP/2 GOAWAY)"}
	case strings.Contains(text, "http2: client connection lost"), strings.Contains(text, "http2: client conn"):
		return failure{ClassReset, "the connection went dead before a reply: the endpoint answered no ping (HTTP/2)"}
	case strings.Contains(text, "larger than peer's advertised limit"):
		return failure{ClassMessage, "the endpoint takes no requests with so many or so long headers; see channel.header"}
	default:
		return failure{}
	}
}

// failure is what a reset by the endpoint means.
func (e streamError) failure() failure {
	switch e.Code {
	case codeRefused:
		return failure{ClassReset, "the endpoint refused the request before it looked at it (HTTP/2 REFUSED_STREAM)"}
	case codeCalm:
		return failure{ClassReset, "the endpoint broke off the request as one too many (HTTP/2 ENHANCE_YOUR_CALM)"}
	case codeOldVersion:
		return failure{ClassReset, "the endpoint takes the request by HTTP/1.1 alone (HTTP_1_1_REQUIRED)"}
	case codeProtocol:
		return failure{ClassReset, "the endpoint took the request for malformed and broke it off (HTTP/2 PROTOCOL_ERROR)"}
	default:
		return failure{ClassReset, fmt.Sprintf("the endpoint broke off the request (HTTP/2 error code %d)", uint32(e.Code))}
	}
}
