package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"fhirhook/cmd/internal/app"
)

// bombMemory is how much more memory the server may ever have taken from the system after all bombs, one after the
// other, than before: some 20 of the largest body, where the bombs are tens of thousands of it.
const bombMemory = 160 << 20

// gzipped and zstded compress a text. Repeated, what comes out is members and frames of one stream.
func gzipped(t testing.TB, text string) string {
	t.Helper()
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func zstded(t testing.TB, text string) string {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(w.EncodeAll([]byte(text), nil))
}

// taken is how many bytes the server has ever had from the system.
func (p *process) taken() float64 {
	p.t.Helper()
	response, err := http.Get(strings.TrimSuffix(p.base, "/fhir/R4") + "/metrics")
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^go_memstats_sys_bytes (\S+)$`).FindSubmatch(text)
	if m == nil {
		p.t.Fatal("no go_memstats_sys_bytes in the metrics")
	}
	n, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

// TestAttack_bombs sends bodies that are much larger, deeper or more intricate than they look. Each is refused within a second
// or two, and all of them together cost a bounded amount of memory.
func TestAttack_bombs(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), func(o *app.Options) { o.MaxBody, o.MaxBundle = 2<<20, 4<<20 })
	zeros := strings.Repeat("\x00", 32<<20)
	zipped, packed, blank := gzipped(t, zeros), zstded(t, zeros), gzipped(t, strings.Repeat(" ", 32<<20))
	patient := func(inner string) string { return `{"resourceType":"Patient",` + inner + `}` }
	var keys, same strings.Builder
	for i := range 150_000 {
		fmt.Fprintf(&keys, `"k%d":1,`, i)
		same.WriteString(`"k":1,`)
	}
	var colliding strings.Builder // keys that a hash of their letters' sum, or of their length, would find equal
	for i := range 100_000 {
		fmt.Fprintf(&colliding, `"%06d%06d":1,`, i, 999_999-i)
	}
	entries := strings.TrimSuffix(strings.Repeat(`{"resource":{"resourceType":"Basic"},"request":{"method":"POST","url":"Basic"}},`, 20_000), ",")
	for _, c := range []struct {
		name, path, coding, body string
		statuses                 []int
	}{
		{"gzip of zeros", "/Patient", "gzip", zipped, []int{413}},
		{"gzip members, 2 GiB", "/Patient", "gzip", strings.Repeat(zipped, 62), []int{413}},
		{"gzip of spaces", "/Patient", "gzip", blank, []int{413}},
		{"gzip within gzip", "/Patient", "gzip", gzipped(t, strings.Repeat(zipped, 62)), []int{400, 413}},
		{"gzip twice", "/Patient", "gzip, gzip", gzipped(t, zipped), []int{415}},
		{"gzip and zstd", "/Patient", "gzip, zstd", zstded(t, zipped), []int{415}},
		{"gzip empty members", "/Patient", "gzip", strings.Repeat(gzipped(t, ""), 80_000), []int{400, 413}},
		{"gzip that never ends", "/Patient", "gzip", gzipped(t, patient(`"active":true`))[:20], []int{400}},
		{"gzip with a wrong sum", "/Patient", "gzip", gzipped(t, patient(`"active":true`))[:50] + "\x00\x00\x00\x00\x00\x00\x00\x00", []int{400}},
		{"zstd of zeros", "/Patient", "zstd", packed, []int{413}},
		{"zstd frames, 16 GiB", "/Patient", "zstd", strings.Repeat(packed, 512), []int{413}},
		{"zstd with a window of 2 GiB", "/Patient", "zstd", "\x28\xb5\x2f\xfd\x00\xa8" + "\x02\x00\x00\x00" + strings.Repeat("\x00", 64), []int{400}},
		{"zstd that says 16 EiB", "/Patient", "zstd", "\x28\xb5\x2f\xfd\xe0\xff\xff\xff\xff\xff\xff\xff\x7f\x01\x00\x00", []int{400, 413}},
		{"zstd skippable frames", "/Patient", "zstd", strings.Repeat("\x50\x2a\x4d\x18\x00\x00\x00\x00", 200_000), []int{400, 413}},
		{"gzip Bundle", "", "gzip", strings.Repeat(blank, 62), []int{413}},
		{"gzip webhook", "/../../webhooks", "gzip", strings.Repeat(zipped, 62), []int{400, 404, 413, 415}},
		{"brotli", "/Patient", "br", "\x5b\xff\xff\xff\xff", []int{415}},

		{"arrays in arrays", "/Patient", "", patient(`"x":` + strings.Repeat("[", 1<<20)), []int{400}},
		{"objects in objects", "/Patient", "", patient(`"x":` + strings.Repeat(`{"a":`, 400_000)), []int{400}},
		{"closed arrays in arrays", "/Patient", "", patient(`"x":` + strings.Repeat("[", 900_000) + strings.Repeat("]", 900_000)), []int{400}},
		{"extensions in extensions", "/Patient", "", patient(`"extension":[` + strings.Repeat(`{"url":"u","extension":[`, 60_000)), []int{400}},
		{"a number with a million digits", "/Observation", "", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":` + strings.Repeat("9", 1<<20) + `}}`, []int{201, 400, 422}},
		{"a number with a huge exponent", "/Observation", "", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1e999999999}}`, []int{201, 400, 422}},
		{"a number with a tiny exponent", "/Observation", "", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1e-999999999}}`, []int{201, 400, 422}},
		{"many keys", "/Patient", "", patient(keys.String() + `"z":1`), []int{400}},
		{"one key many times", "/Patient", "", patient(same.String() + `"z":1`), []int{400}},
		{"keys alike", "/Patient", "", patient(colliding.String() + `"z":1`), []int{400}},
		{"a key of a megabyte", "/Patient", "", patient(`"` + strings.Repeat("k", 1<<20) + `":1`), []int{400}},
		{"a string of escapes", "/Basic", "", `{"resourceType":"Basic","code":{"text":"` + strings.Repeat(`\u0041`, 300_000) + `"}}`, []int{201, 400}},
		{"an array of empty arrays", "/Patient", "", patient(`"x":[` + strings.Repeat("[],", 600_000) + `[]]`), []int{400}},
		{"many names", "/Patient", "", patient(`"name":[` + strings.Repeat(`{"given":["a"]},`, 100_000) + `{}]`), []int{201, 400}},
		{"20,000 entries", "", "", `{"resourceType":"Bundle","type":"batch","entry":[` + entries + `]}`, []int{400, 413, 422}},
	} {
		t.Run(c.name, func(t *testing.T) {
			began := time.Now()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, strings.Replace(p.base+c.path, "/fhir/R4/../..", "", 1), strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/fhir+json")
			if c.coding != "" {
				r.Header.Set("Content-Encoding", c.coding)
			}
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(io.LimitReader(response.Body, 4<<20))
			_ = response.Body.Close()
			good := false
			for _, status := range c.statuses {
				good = good || status == response.StatusCode
			}
			if !good {
				t.Errorf("status %d, want one of %v: %s", response.StatusCode, c.statuses, clip(string(text)))
			}
			if response.StatusCode != http.StatusCreated && len(text) > 64<<10 {
				t.Errorf("the refusal is %d bytes long", len(text))
			}
			t.Logf("%d bytes: %d after %v", len(c.body), response.StatusCode, time.Since(began))
		})
	}
	t.Run("comparing numbers without end", func(t *testing.T) {
		began := time.Now()
		for _, search := range []string{"gt5", "lt5", "5", "ap5", "sa1e400000000", "eb1e-400000000", "eq1e400000000", "ne0.1"} {
			a, err := p.request(http.MethodGet, "/Observation?value-quantity="+search, "")
			if err != nil || a.status != http.StatusOK && a.status != http.StatusBadRequest {
				t.Errorf("%s: %d, %v: %s", search, a.status, err, clip(string(a.body)))
			}
		}
		if took := time.Since(began); took > patience {
			t.Errorf("it took %v", took)
		}
		t.Logf("after %v", time.Since(began))
	})
	before := start(t, t.TempDir()).taken()
	if took := p.taken() - before; took > bombMemory {
		t.Errorf("the server took %.0f MiB more than one that saw no bombs, want at most %d", took/(1<<20), bombMemory>>20)
	}
}
