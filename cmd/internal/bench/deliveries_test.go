package bench_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"fhirhook/cmd/internal/app"
	"fhirhook/cmd/internal/bench"
)

// serveReceiver is a healthy receiver in a process of its own, until SIGTERM.
func serveReceiver(ctx context.Context) error {
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	app.TuneCollector()
	fmt.Println("a receiver serves http://" + l.Addr().String())
	server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { //nolint:gosec // it talks to the benchmark only
		_, _ = io.Copy(io.Discard, q.Body) // what broke off shows at the sender
	})}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	_ = server.Serve(l) // ends with ctx
	return nil
}

// BenchmarkDeliveries_againstBareLoop is `fhirhook bench --deliveries` (issue 5).
func BenchmarkDeliveries_againstBareLoop(b *testing.B) {
	app.TuneCollector()
	receiver := start(b, again(receiverVariable+"=1"), b.TempDir())
	for b.Loop() {
		arms, err := bench.Deliveries{Endpoint: receiver.Base, Body: []byte(report), Times: 8000, Turns: 9}.Run(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		bench.Tell(&table, arms)
		b.ReportMetric(bench.Spreading(bench.Ratios(arms[1].Rates, arms[0].Rates)).Median, "of-bare-loop")
	}
}
