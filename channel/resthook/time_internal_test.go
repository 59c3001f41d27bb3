package resthook

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"fhirhook/channel"
)

// answers makes a Channel whose connections are pipes into serve, so that time can be faked.
func answers(serve func(net.Conn)) *Channel {
	c := New(Options{Policy: Policy{Dev: true}})
	c.network.plain.lines.both.DialContext = func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		go func() {
			defer there.Close()
			if _, err := http.ReadRequest(bufio.NewReader(there)); err == nil {
				serve(there)
			}
		}()
		return here, nil
	}
	return c
}

func message(dialect string) channel.Message {
	return channel.Message{
		Target: channel.Target{Endpoint: "http://receiver.example/hook", Dialect: dialect}, ID: "1",
		Event: "ping", Test: true,
	}
}

// Each dialect's timeout is the exchange's, to the end of the reply's body: a byte a second doesn't stretch it.
func TestChannel_timeoutCoversTheBody(t *testing.T) {
	for _, d := range Dialects() {
		t.Run(d.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := answers(func(conn net.Conn) {
					fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
					for {
						if _, err := conn.Write([]byte(".")); err != nil {
							return
						}
						<-time.After(time.Second)
					}
				})
				defer c.Close()
				start := time.Now()
				reply, err := c.Send(t.Context(), message(d.Name))
				e, ok := errors.AsType[*channel.SendError](err)
				if !ok || e.Class != ClassTimeoutReply {
					t.Errorf("got %v", err)
				}
				if took := time.Since(start); took != d.Timeout || reply.Duration != took {
					t.Errorf("took %s, recorded %s, want %s", took, reply.Duration, d.Timeout)
				}
				<-time.After(2 * time.Second) // the receiver notices at its next byte
			})
		})
	}
}

func TestChannel_targetsTimeoutReplacesTheDialects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := answers(func(conn net.Conn) { _, _ = conn.Read(make([]byte, 1)) })
		defer c.Close()
		m := message("kit")
		m.Target.Timeout = 90 * time.Second
		start := time.Now()
		if _, err := c.Send(t.Context(), m); err == nil {
			t.Error("delivered")
		}
		if took := time.Since(start); took != 90*time.Second {
			t.Errorf("took %s", took)
		}
		synctest.Wait()
	})
}

// An answer within the last moment counts.
func TestChannel_slowIsNotLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := answers(func(conn net.Conn) {
			<-time.After(29 * time.Second)
			fmt.Fprint(conn, "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
		})
		defer c.Close()
		reply, err := c.Send(t.Context(), message("kit"))
		if err != nil || reply.Status != 202 || reply.Duration != 29*time.Second {
			t.Errorf("%+v, %v", reply, err)
		}
		c.Close()
		synctest.Wait()
	})
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		value, date string
		want        time.Duration
	}{
		{"", "", 0},
		{"0", "", 0},
		{"120", "", 2 * time.Minute},
		{" 120 ", "", 2 * time.Minute},
		{"-5", "", 0},
		{"1.5", "", 0},
		{"soon", "", 0},
		{"99999999999999999999999", "", longestWait},
		{"9223372036854775807", "", longestWait},
		{"Wed, 04 Mar 2026 12:05:00 GMT", "", 5 * time.Minute},
		{"Wednesday, 04-Mar-26 12:05:00 GMT", "", 5 * time.Minute},
		{"Wed Mar  4 12:05:00 2026", "", 5 * time.Minute},
		{"Wed, 04 Mar 2026 11:00:00 GMT", "", 0},
		{"Fri, 31 Dec 9999 23:59:59 GMT", "", longestWait},
		{"Wed, 04 Mar 2026 10:05:00 GMT", "Wed, 04 Mar 2026 10:00:00 GMT", 5 * time.Minute},
		{"Wed, 04 Mar 2026 12:05:00 GMT", "yesterday", 5 * time.Minute},
	}
	for _, tt := range tests {
		h := http.Header{}
		h.Set("Retry-After", tt.value)
		if tt.date != "" {
			h.Set("Date", tt.date)
		}
		if got := retryAfter(h, now); got != tt.want {
			t.Errorf("%q at %q: %s, want %s", tt.value, tt.date, got, tt.want)
		}
	}
}
