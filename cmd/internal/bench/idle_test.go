package bench_test

import (
	"bufio"
	"fmt"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"fhirhook/cmd/internal/bench"
)

// BenchmarkIdleLanes makes 10,000 Subscriptions, lets each have one notification, and measures what a server has for
// them while nothing happens: right after a start, and when every lane has been at work. What counts is what is alive
// after a collection, stacks included. Anonymous memory depends on how much garbage came together before as well.
func BenchmarkIdleLanes(b *testing.B) {
	const subscriptions, inBundle = 10_000, 500
	for b.Loop() {
		empty, profiles := startOpen(b, b.TempDir())
		write(b, empty, "/DiagnosticReport", report, http.StatusCreated)
		caughtUp(b, empty)
		none, anonymousNone := alive(b, profiles), memory(b, empty)
		if err := empty.Kill(); err != nil {
			b.Fatal(err)
		}

		data, receiver := b.TempDir(), newReceiver(b)
		p := startServer(b, data)
		for from := 0; from < subscriptions; from += inBundle {
			var entries []string
			for i := from; i < from+inBundle; i++ { // each with other criteria, endpoint and key; the report meets them all
				entries = append(entries, fmt.Sprintf(`{"resource":{"resourceType":"Subscription","status":"requested","reason":"benchmark","criteria":"DiagnosticReport?status=final&code:not=http://loinc.org|%d-x",`+
					`"channel":{"type":"rest-hook","endpoint":"%s/%d","payload":"application/fhir+json","header":["Authorization: Bearer token-%[1]d"]},`+
					`"extension":[{"url":"https://fhirhook.dev/StructureDefinition/subscription-secret","valueString":"a-long-enough-secret-%[1]d"}]},"request":{"method":"POST","url":"Subscription"}}`, i, receiver.URL, i))
			}
			write(b, p, "", `{"resourceType":"Bundle","type":"transaction","entry":[`+strings.Join(entries, ",")+`]}`, http.StatusOK)
		}
		caughtUp(b, p)
		if err := p.Kill(); err != nil {
			b.Fatal(err)
		}

		p, profiles = startOpen(b, data)
		caughtUp(b, p)
		started, anonymousStarted := alive(b, profiles), memory(b, p)
		const delivered = `fhirhook_delivery_attempts_total{class="",state="delivered"}`
		write(b, p, "/DiagnosticReport", report, http.StatusCreated)
		for metric(b, p, delivered) < subscriptions {
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(6 * time.Second) // connections are kept for four seconds
		worked, anonymousWorked := alive(b, profiles), memory(b, p)

		table.Figure("idle lanes: alive, MB", "%.3g without Subscriptions, %.3g with 10,000 after a start, %.3g after a notification each", none/1e6, started/1e6, worked/1e6)
		table.Figure("idle lanes: anonymous MiB", "%.3g, %.3g and %.3g", float64(anonymousNone.Anonymous)/mib, float64(anonymousStarted.Anonymous)/mib, float64(anonymousWorked.Anonymous)/mib)
		table.AtMost(50, (worked-none)/1e6, "idle lanes: 10,000 cost, MB alive", "%.3g", (worked-none)/1e6)
		b.ReportMetric((worked-none)/1e6, "MB-alive")
	}
}

// startOpen is startServer with profiles, and where they are.
func startOpen(b *testing.B, data string) (p *bench.Process, profiles string) {
	b.Helper()
	path, err := binary()
	if err != nil {
		b.Fatal(err)
	}
	p = start(b, exec.Command(path, "serve", "--dev", "--listen", "127.0.0.1:0", "--data", data, "--pprof", "127.0.0.1:0"), data)
	if profiles, err = p.Address(); err != nil {
		b.Fatal(err)
	}
	return p, profiles
}

// alive is what of heap and stacks is in use after a collection, in bytes. The collector's ballast is part of it.
func alive(b *testing.B, profiles string) float64 {
	b.Helper()
	sum := 0.0
	for range 2 { // pools are emptied by the second
		sum = 0
		response, err := http.Get(profiles + "heap?gc=1&debug=1")
		if err != nil {
			b.Fatal(err)
		}
		lines := bufio.NewScanner(response.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			name, value, _ := strings.Cut(strings.TrimPrefix(lines.Text(), "# "), " = ")
			if name == "HeapAlloc" || name == "Stack" {
				value, _, _ = strings.Cut(value, " / ")
				n, err := strconv.ParseFloat(value, 64)
				if err != nil {
					b.Fatal(err)
				}
				sum += n
			}
		}
		response.Body.Close()
	}
	if sum == 0 {
		b.Fatal("the profile tells no sizes")
	}
	return sum
}

// write sends one request.
func write(b *testing.B, p *bench.Process, path, body string, status int) {
	b.Helper()
	response, err := http.Post(p.Base+path, "application/fhir+json", strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != status {
		b.Fatalf("POST %s: status %d", path, response.StatusCode)
	}
}
