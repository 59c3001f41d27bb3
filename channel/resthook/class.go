package resthook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
)

// The classes of a failed attempt (channel.SendError.Class).
const (
	ClassDNS            = "dns"             // the host's name has no address
	ClassRefused        = "refused"         // nothing listens there
	ClassReset          = "reset"           // the connection ended before a reply
	ClassUnreachable    = "unreachable"     // no way to the host
	ClassTimeoutConnect = "timeout-connect" // no connection in time
	ClassTimeoutReply   = "timeout-reply"   // no complete reply in time
	ClassTLS            = "tls"             // certificate or handshake
	ClassBlocked        = "blocked"         // the operator's policy forbids the address
	ClassProxy          = "proxy"           // the operator's forward proxy made no connection
	ClassAuth           = "auth"            // no token for the endpoint, or none that it takes
	ClassRedirect       = "redirect"        // a 3xx, which is never followed
	ClassStatus2xx      = "status-2xx"      // a 2xx that the dialect doesn't count as success
	ClassStatus4xx      = "status-4xx"
	ClassStatus410      = "status-410" // the endpoint asked to be switched off
	ClassStatus429      = "status-429"
	ClassStatus5xx      = "status-5xx"
	ClassMalformed      = "malformed" // what came back isn't HTTP
	ClassMessage        = "message"   // the request can't be made: the Subscription or its dialect is at fault
	ClassLocal          = "local"     // this server had no socket, port or memory to spare
)

// phase is how far an exchange has come.
type phase int32

const (
	connecting phase = iota
	handshaking
	connected
	sent // the whole request
)

// failure is what classify makes of an error.
type failure struct{ class, hint string }

// classify names a transport error. Its texts are its own: the error's may quote what a stranger sent.
func classify(err error, at phase) failure {
	if b, ok := errors.AsType[*BlockedError](err); ok {
		return failure{ClassBlocked, b.Words}
	}
	if p, ok := errors.AsType[*proxyError](err); ok {
		return failure{ClassProxy, p.hint}
	}
	if hint := tlsHint(err); hint != "" {
		return failure{ClassTLS, hint}
	}
	if d, ok := errors.AsType[*net.DNSError](err); ok {
		if d.IsTimeout && errors.Is(err, context.DeadlineExceeded) {
			return failure{ClassTimeoutConnect, "the name server didn't answer in time"}
		}
		if d.IsNotFound {
			return failure{ClassDNS, "the host's name has no address; check its spelling and the name server"}
		}
		return failure{ClassDNS, "the name server gave no answer for the host's name"}
	}
	if timeout(err) {
		switch at {
		case sent:
			return failure{ClassTimeoutReply, "connected, but the reply wasn't complete in time; answer first and work later"}
		case connected:
			return failure{ClassTimeoutReply, "connected, but the endpoint didn't take the whole request in time; does it read what comes?"}
		case handshaking:
			return failure{ClassTimeoutConnect, "the TLS handshake took too long"}
		default:
			return failure{ClassTimeoutConnect, "no connection in time; a firewall may drop the packets"}
		}
	}
	if f := errnoFailure(err); f.class != "" {
		return f
	}
	if f := sharedFailure(err); at >= connected && f.class != "" {
		return f
	}
	switch {
	case at == handshaking:
		return failure{ClassTLS, "the TLS handshake broke off; does the port speak TLS 1.2 or newer?"}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		strings.Contains(err.Error(), "server closed idle connection"):
		return failure{ClassReset, "the connection was closed before a reply"}
	case at >= connected:
		return failure{ClassMalformed, "what came back is not an HTTP reply within the limits"}
	default:
		return failure{ClassUnreachable, "no connection to the host"}
	}
}

func timeout(err error) bool {
	for _, e := range []error{context.DeadlineExceeded, os.ErrDeadlineExceeded, syscall.ETIMEDOUT} {
		if errors.Is(err, e) {
			return true
		}
	}
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout()
}

func errnoFailure(err error) failure {
	errno, ok := errors.AsType[syscall.Errno](err)
	if !ok {
		return failure{}
	}
	switch errno {
	case syscall.ECONNREFUSED:
		return failure{ClassRefused, "nothing listens on that port"}
	case syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED:
		return failure{ClassReset, "the connection was reset before a reply"}
	case syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.ENETDOWN, syscall.EACCES, syscall.EPERM:
		return failure{ClassUnreachable, "no route to the host, or a firewall forbids it"}
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL:
		return failure{ClassLocal, "this server has no socket or port to spare; raise its limits"}
	default:
		return failure{}
	}
}

// tlsHint explains an error of TLS, "" if it isn't one.
func tlsHint(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the certificate is not signed by an authority that this server knows"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the certificate is for another host name"
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if e.Reason == x509.Expired {
			return "the certificate has expired or is not valid yet"
		}
		return "the certificate is not valid"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "the port doesn't speak TLS; is it an http endpoint?"
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "remote error" { // an alert: crypto/tls has no type for it
		return "the endpoint broke off the TLS handshake: " + e.Err.Error()
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "the certificate can't be verified"
	}
	if strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		return "the port doesn't speak TLS; is it an http endpoint?"
	}
	return ""
}

// statusFailure names a status that isn't success.
func statusFailure(status int, success Codes) failure {
	switch {
	case status == 410:
		return failure{ClassStatus410, "the endpoint answered 410: it wants no more notifications"}
	case status == 429:
		return failure{ClassStatus429, "the endpoint answered 429: too many requests"}
	case status >= 500 && status < 600:
		return failure{ClassStatus5xx, fmt.Sprintf("the endpoint answered %d: it failed or is down", status)}
	case status == 401, status == 403:
		return failure{ClassStatus4xx, fmt.Sprintf("the endpoint answered %d: check the credentials in channel.header", status)}
	case status == 404:
		return failure{ClassStatus4xx, "the endpoint answered 404: check the path of the endpoint"}
	case status >= 400 && status < 500:
		return failure{ClassStatus4xx, fmt.Sprintf("the endpoint answered %d: it doesn't take the request", status)}
	case status >= 300 && status < 400:
		return failure{ClassRedirect, fmt.Sprintf("the endpoint answered %d: redirects are not followed; name the final URL as endpoint", status)}
	case status >= 200 && status < 300:
		return failure{ClassStatus2xx, fmt.Sprintf("the endpoint answered %d, and only %s counts as success", status, success)}
	default:
		return failure{ClassMalformed, fmt.Sprintf("the endpoint answered %d, which ends no exchange", status)}
	}
}
