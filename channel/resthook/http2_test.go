package resthook_test

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"fhirhook/channel"
	"fhirhook/channel/channeltest"
	"fhirhook/channel/resthook"
)

// receiver is a TLS server and a Channel that trusts it.
func receiver(t testing.TB, h http.HandlerFunc, prepare func(*httptest.Server)) (*httptest.Server, *resthook.Channel) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = quiet()
	prepare(s)
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	c := resthook.New(resthook.Options{Policy: resthook.Policy{Dev: true}, RootCAs: roots})
	t.Cleanup(c.Close) // before the server's: it waits for its connections
	return s, c
}

func modern(s *httptest.Server) { s.EnableHTTP2 = true }

// framed answers connections of HTTP/2 frame by frame, and others by the server's handler.
func framed(serve func(*http2.Framer, *tls.Conn)) func(*httptest.Server) {
	return func(s *httptest.Server) {
		s.TLS = &tls.Config{NextProtos: []string{"h2", "http/1.1"}}
		s.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){"h2": func(_ *http.Server, c *tls.Conn, _ http.Handler) {
			preface := make([]byte, len(http2.ClientPreface))
			if _, err := c.Read(preface); err != nil {
				return
			}
			serve(http2.NewFramer(c, c), c)
		}}
	}
}

// each calls answer with the stream of each request whose headers came, until the connection ends.
func each(f *http2.Framer, answer func(stream uint32)) {
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				_ = f.WriteSettingsAck()
			}
		case *http2.PingFrame:
			_ = f.WritePing(true, frame.Data)
		case *http2.HeadersFrame:
			answer(frame.StreamID)
		}
	}
}

// ok answers 200 without a body.
func ok(f *http2.Framer, stream uint32) {
	var block strings.Builder
	_ = hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte(block.String()), EndHeaders: true, EndStream: true})
}

func sendTo(t testing.TB, c *resthook.Channel, url string) (channel.Reply, string, string) {
	t.Helper()
	reply, err := c.Send(t.Context(), messageTo(url))
	e, ok := errors.AsType[*channel.SendError](err)
	switch {
	case err == nil:
		return reply, "", ""
	case !ok:
		t.Fatal(err)
	}
	return reply, e.Class, e.Hint
}

func messageTo(url string) channel.Message {
	m := messages()["create"]
	m.Target.Endpoint, m.Target.Timeout = url, time.Minute
	return m
}

func TestHTTP2_isSpokenByTLSWhereTheReceiverDoes(t *testing.T) {
	var seen sync.Map
	h := func(_ http.ResponseWriter, q *http.Request) { seen.Store(q.Proto, true) }
	plain := httptest.NewServer(http.HandlerFunc(h))
	t.Cleanup(plain.Close)
	both, overBoth := receiver(t, h, modern)
	old, overOld := receiver(t, h, func(*httptest.Server) {})
	for _, tt := range []struct {
		c         *resthook.Channel
		url, want string
	}{{overBoth, both.URL, "HTTP/2.0"}, {overOld, old.URL, "HTTP/1.1"}, {open(t), plain.URL, "HTTP/1.1"}} {
		seen.Clear()
		if _, class, hint := sendTo(t, tt.c, tt.url); class != "" {
			t.Errorf("%s: %s, %s", tt.want, class, hint)
		}
		if _, ok := seen.Load(tt.want); !ok {
			t.Errorf("it was not %s", tt.want)
		}
	}
}

// Requests at the same time share a connection, and what arrives is what HTTP/1.1 would have brought.
func TestHTTP2_sharesAConnection(t *testing.T) {
	var connections atomic.Int32
	var wrong sync.Map
	m := messages()["create"]
	s, c := receiver(t, func(_ http.ResponseWriter, q *http.Request) {
		if q.Header.Get("Webhook-Id") != m.ID || q.ContentLength <= 0 || q.Header.Get("Connection") != "" {
			wrong.Store(q.Header.Get("Webhook-Id"), q.Header)
		}
	}, func(s *httptest.Server) {
		modern(s)
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				connections.Add(1)
			}
		}
	})
	if _, class, hint := sendTo(t, c, s.URL); class != "" {
		t.Fatal(class, hint)
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := c.Send(t.Context(), messageTo(s.URL)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	wrong.Range(func(_, header any) bool { t.Errorf("%v", header); return false })
}

// A place on a full connection is not waited for.
func TestHTTP2_fullConnectionHoldsNobodyUp(t *testing.T) {
	hanging, end := make(chan struct{}), make(chan struct{})
	s, c := receiver(t, func(_ http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/hang" {
			close(hanging)
			<-end
		}
	}, func(s *httptest.Server) {
		modern(s)
		s.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 1}
	})
	if _, class, hint := sendTo(t, c, s.URL); class != "" { // so that the limit is known
		t.Fatal(class, hint)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := c.Send(t.Context(), messageTo(s.URL+"/hang")); err != nil {
			t.Error(err)
		}
	})
	<-hanging
	for range 3 {
		if _, class, hint := sendTo(t, c, s.URL); class != "" {
			t.Error(class, hint)
		}
	}
	close(end)
	wg.Wait()
}

func TestHTTP2_failures(t *testing.T) {
	reset := func(code http2.ErrCode) func(*http2.Framer, *tls.Conn, uint32) {
		return func(f *http2.Framer, _ *tls.Conn, stream uint32) { _ = f.WriteRSTStream(stream, code) }
	}
	for _, tt := range []struct {
		name        string
		answer      func(*http2.Framer, *tls.Conn, uint32)
		class, hint string
		requests    int32
	}{
		{"answered", func(f *http2.Framer, _ *tls.Conn, stream uint32) { ok(f, stream) }, "", "", 1},
		{"refused", reset(http2.ErrCodeRefusedStream), resthook.ClassReset, "REFUSED_STREAM", 2},
		{"broken off", reset(http2.ErrCodeInternal), resthook.ClassReset, "broke off", 1},
		{"cancelled", reset(http2.ErrCodeCancel), resthook.ClassReset, "broke off", 1},
		{"calmed", reset(http2.ErrCodeEnhanceYourCalm), resthook.ClassReset, "one too many", 1},
		{"goes away in the middle", func(f *http2.Framer, c *tls.Conn, stream uint32) {
			_ = f.WriteGoAway(stream, http2.ErrCodeNo, nil)
			_ = c.Close()
		}, resthook.ClassReset, "GOAWAY", 1},
		{"hangs up", func(_ *http2.Framer, c *tls.Conn, _ uint32) { _ = c.Close() }, resthook.ClassReset, "closed before a reply", 1},
		{"half a frame", func(_ *http2.Framer, c *tls.Conn, _ uint32) {
			_, _ = c.Write([]byte{0, 0, 9, 1})
			_ = c.Close()
		}, resthook.ClassReset, "closed before a reply", 1},
		{"no frames", func(_ *http2.Framer, c *tls.Conn, _ uint32) {
			_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
		}, resthook.ClassMalformed, "not an HTTP reply", 1},
		{"headers without end", func(f *http2.Framer, _ *tls.Conn, stream uint32) {
			block := make([]byte, 16<<10)
			for i := range block {
				block[i] = 0x82 // an indexed field, of many bytes when it is read
			}
			err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block})
			for err == nil {
				err = f.WriteContinuation(stream, false, block)
			}
		}, resthook.ClassMalformed, "within the limits", 1},
		{"pushed to", func(f *http2.Framer, _ *tls.Conn, stream uint32) {
			_ = f.WritePushPromise(http2.PushPromiseParam{StreamID: stream, PromiseID: 2, BlockFragment: []byte{0x82}, EndHeaders: true})
		}, resthook.ClassMalformed, "not an HTTP reply", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var requests atomic.Int32
			s, c := receiver(t, nil, framed(func(f *http2.Framer, conn *tls.Conn) {
				_ = f.WriteSettings()
				each(f, func(stream uint32) {
					requests.Add(1)
					tt.answer(f, conn, stream)
				})
			}))
			_, class, hint := sendTo(t, c, s.URL)
			if class != tt.class || !strings.Contains(hint, tt.hint) || requests.Load() != tt.requests {
				t.Errorf("class %q, %q, %d requests; want %q, %q, %d", class, hint, requests.Load(), tt.class, tt.hint, tt.requests)
			}
		})
	}
}

// What an endpoint says that it has not looked at is sent anew in the same attempt: on another connection, if it closes this one.
func TestHTTP2_unseenIsSentAnew(t *testing.T) {
	for name, refuse := range map[string]func(*http2.Framer, uint32){
		"stream":     func(f *http2.Framer, stream uint32) { _ = f.WriteRSTStream(stream, http2.ErrCodeRefusedStream) },
		"connection": func(f *http2.Framer, _ uint32) { _ = f.WriteGoAway(0, http2.ErrCodeNo, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int32
			s, c := receiver(t, nil, framed(func(f *http2.Framer, _ *tls.Conn) {
				_ = f.WriteSettings()
				each(f, func(stream uint32) {
					if requests.Add(1) == 1 {
						refuse(f, stream)
						return
					}
					ok(f, stream)
				})
			}))
			if _, class, hint := sendTo(t, c, s.URL); class != "" || requests.Load() != 2 {
				t.Errorf("%s, %s after %d requests", class, hint, requests.Load())
			}
		})
	}
}

// An endpoint that wants HTTP/1.1 gets it in the same attempt, and from then on at once.
func TestHTTP2_oldVersionWhereItIsWanted(t *testing.T) {
	var framed2, old atomic.Int32
	s, c := receiver(t, func(http.ResponseWriter, *http.Request) { old.Add(1) }, framed(func(f *http2.Framer, _ *tls.Conn) {
		_ = f.WriteSettings()
		each(f, func(stream uint32) {
			framed2.Add(1)
			_ = f.WriteRSTStream(stream, http2.ErrCodeHTTP11Required)
		})
	}))
	for range 3 {
		if _, class, hint := sendTo(t, c, s.URL); class != "" {
			t.Error(class, hint)
		}
	}
	if framed2.Load() != 1 || old.Load() != 3 {
		t.Errorf("%d requests by HTTP/2, %d by HTTP/1.1", framed2.Load(), old.Load())
	}
}

// A receiver that doesn't read what one stream sends blocks others with it. That costs one attempt: those after it have connections
// of their own.
func TestHTTP2_stuckConnectionIsNotSharedAgain(t *testing.T) {
	t.Parallel()
	s, c := receiver(t, func(http.ResponseWriter, *http.Request) {}, framed(func(f *http2.Framer, _ *tls.Conn) {
		_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		each(f, func(stream uint32) {
			if stream == 1 {
				ok(f, stream) // by then the endpoint's window is known
			}
		})
	}))
	if _, class, hint := sendTo(t, c, s.URL); class != "" {
		t.Fatal(class, hint)
	}
	m := messageTo(s.URL)
	m.Target.Timeout = 5 * time.Second // in which at least the request begins
	_, err := c.Send(t.Context(), m)
	if e, ok := errors.AsType[*channel.SendError](err); !ok || e.Class != resthook.ClassTimeoutReply || !strings.Contains(e.Hint, "didn't take the whole request") {
		t.Errorf("got %v", err)
	}
	if _, class, hint := sendTo(t, c, s.URL); class != "" {
		t.Error(class, hint)
	}
}

// A reply is bounded by HTTP/2 as it is by HTTP/1.1.
func TestHTTP2_bounds(t *testing.T) {
	long := strings.Repeat("x", 8<<10)
	elsewhere := channeltest.New(t)
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
		class   string
		body    int
	}{
		{"a giant body", func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write([]byte(long)); err != nil {
					return
				}
			}
		}, "", 16 << 10},
		{"long headers", func(w http.ResponseWriter, _ *http.Request) {
			for i := range 100 {
				w.Header().Set("X-A"+string(rune('a'+i%26))+strings.Repeat("a", i/26), long)
			}
		}, resthook.ClassMalformed, 0},
		{"1xx without end", func(w http.ResponseWriter, q *http.Request) {
			w.Header().Set("Link", long)
			for q.Context().Err() == nil {
				w.WriteHeader(http.StatusEarlyHints)
			}
		}, resthook.ClassMalformed, 0},
		{"long trailers", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("ok"))
			for i := range 100 {
				w.Header().Set(http.TrailerPrefix+"X-A"+string(rune('a'+i%26))+strings.Repeat("a", i/26), long)
			}
		}, "", 2},
		{"a redirect", func(w http.ResponseWriter, q *http.Request) {
			http.Redirect(w, q, elsewhere.URL("/"), http.StatusTemporaryRedirect)
		}, resthook.ClassRedirect, 0},
		{"an alternative", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Alt-Svc", `h2="`+elsewhere.Addr()+`"`)
		}, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, c := receiver(t, tt.handler, modern)
			for range 2 {
				if reply, class, hint := sendTo(t, c, s.URL); class != tt.class || len(reply.Body) != tt.body {
					t.Errorf("class %q, %q, %d bytes; want %q, %d", class, hint, len(reply.Body), tt.class, tt.body)
				}
				if tt.class == resthook.ClassMalformed {
					return // then by HTTP/1.1
				}
			}
		})
	}
	if n := elsewhere.Connections(); n != 0 {
		t.Errorf("%d connections elsewhere", n)
	}
}
