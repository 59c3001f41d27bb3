package resthook_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"fhirhook/channel/resthook"
)

// BenchmarkBuild makes requests, each signed twice, as most Subscriptions have them.
func BenchmarkBuild(b *testing.B) {
	m := messages()["create"]
	d, _ := resthook.Lookup("kit")
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := resthook.Build(m, d, now); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSend makes attempts one after the other, the receiver's own work in both figures.
func BenchmarkSend(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		_, _ = io.Copy(io.Discard, q.Body)
	}))
	b.Cleanup(s.Close)
	m := messages()["create"]
	m.Target.Endpoint = s.URL
	c := open(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Send(b.Context(), m); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSendTLS makes attempts over TLS, by each protocol: one after the other, and sixteen at a time as a busy lane does.
func BenchmarkSendTLS(b *testing.B) {
	for name, http2 := range map[string]bool{"HTTP1": false, "HTTP2": true} {
		s, c := receiver(b, func(_ http.ResponseWriter, q *http.Request) {
			_, _ = io.Copy(io.Discard, q.Body)
		}, func(s *httptest.Server) { s.EnableHTTP2 = http2 })
		m := messageTo(s.URL)
		b.Run(name+"/alone", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Send(b.Context(), m); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/sixteen", func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(8) // of 2 cores
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := c.Send(b.Context(), m); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
