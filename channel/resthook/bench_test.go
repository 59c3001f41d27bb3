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
