package resthook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"fhirhook/channel"
)

func TestClassify(t *testing.T) {
	op := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	errno := func(e syscall.Errno) error { return op(os.NewSyscallError("connect", e)) }
	tests := []struct {
		name string
		err  error
		at   phase
		want string
	}{
		{"blocked", op(&BlockedError{Words: "no"}), connecting, ClassBlocked},
		{"no such host", op(&net.DNSError{Err: "no such host", Name: "a", IsNotFound: true}), connecting, ClassDNS},
		{"name server failed", op(&net.DNSError{Err: "server misbehaving", Name: "a"}), connecting, ClassDNS},
		{"name server silent", op(&net.DNSError{Err: "timeout", Name: "a", IsTimeout: true}), connecting, ClassDNS},
		{"refused", errno(syscall.ECONNREFUSED), connecting, ClassRefused},
		{"reset while connecting", errno(syscall.ECONNRESET), connecting, ClassReset},
		{"reset", errno(syscall.ECONNRESET), connected, ClassReset},
		{"broken pipe", errno(syscall.EPIPE), connected, ClassReset},
		{"no route", errno(syscall.EHOSTUNREACH), connecting, ClassUnreachable},
		{"no network", errno(syscall.ENETUNREACH), connecting, ClassUnreachable},
		{"firewall", errno(syscall.EPERM), connecting, ClassUnreachable},
		{"no descriptors", errno(syscall.EMFILE), connecting, ClassLocal},
		{"no ports", errno(syscall.EADDRNOTAVAIL), connecting, ClassLocal},
		{"kernel gave up", errno(syscall.ETIMEDOUT), connecting, ClassTimeoutConnect},
		{"deadline while connecting", context.DeadlineExceeded, connecting, ClassTimeoutConnect},
		{"deadline in the handshake", context.DeadlineExceeded, handshaking, ClassTimeoutConnect},
		{"deadline after", context.DeadlineExceeded, connected, ClassTimeoutReply},
		{"socket deadline", op(os.ErrDeadlineExceeded), connected, ClassTimeoutReply},
		{"eof", io.EOF, connected, ClassReset},
		{"eof in the handshake", io.EOF, handshaking, ClassTLS},
		{"closed idle", errors.New("http: server closed idle connection"), connected, ClassReset},
		{"unknown authority", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, handshaking, ClassTLS},
		{"wrong name", x509.HostnameError{Certificate: &x509.Certificate{}, Host: "a"}, handshaking, ClassTLS},
		{"expired", x509.CertificateInvalidError{Reason: x509.Expired}, handshaking, ClassTLS},
		{"invalid", x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign}, handshaking, ClassTLS},
		{"no TLS", tls.RecordHeaderError{Msg: "x"}, handshaking, ClassTLS},
		{"anything after", errors.New("malformed"), connected, ClassMalformed},
		{"anything before", errors.New("strange"), connecting, ClassUnreachable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wrapped := &url.Error{Op: "Post", URL: "https://a.example/?secret", Err: fmt.Errorf("x: %w", tt.err)}
			got := classify(wrapped, tt.at)
			if got.class != tt.want || got.hint == "" || strings.Contains(got.hint, "secret") {
				t.Errorf("got %+v, want %s", got, tt.want)
			}
		})
	}
}

func TestRedact(t *testing.T) {
	m := message("kit")
	m.Target.Secrets = []string{"abc", "ab"}
	m.Target.Headers = nil
	if got := string(redact([]byte("abc ab"), m.Target)); got != "******** ab" {
		t.Errorf("got %s", got) // a key of two letters is in every text
	}
	const secret = `se<cr>&"et/+ value`
	m.Target.Secrets = nil
	m.Target.Headers = []channel.Header{{Name: "X-Key", Value: secret}}
	for _, echoed := range []string{
		secret, `se<cr>&\"et/+ value`, `se\u003ccr\u003e\u0026\"et/+ value`, `se<cr>&"et\/+ value`, "se&lt;cr&gt;&amp;&#34;et/+ value",
		"se%3Ccr%3E%26%22et%2F%2B+value", "c2U8Y3I+JiJldC8rIHZhbHVl", "73653c63723e262265742f2b2076616c7565",
	} {
		if got := string(redact([]byte("you sent "+echoed+"."), m.Target)); got != "you sent ********." {
			t.Errorf("got %s", got)
		}
	}
}
