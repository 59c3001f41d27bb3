package load

import (
	"bufio"
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func split(text []byte, most int64) (values [][]byte, lines []int, err error) {
	r := records{text: bufio.NewReaderSize(bytes.NewReader(text), 16), most: most}
	for {
		rec, err := r.next()
		if err != nil {
			return values, lines, err
		}
		values, lines = append(values, rec.text), append(lines, rec.line)
	}
}

// TestRecords_findsEachValue whatever the values hold and however they are printed.
func TestRecords_findsEachValue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOfN(rapid.StringOf(rapid.SampledFrom([]rune(`ab{}[]"\ ä`))), 1, 6).Draw(t, "texts")
		nice := rapid.Bool().Draw(t, "nice")
		gap := "\n"
		if nice {
			gap = rapid.SampledFrom([]string{"\n", "", "\r\n\r\n", " "}).Draw(t, "gap")
		}
		var all []byte
		var want []string
		for _, text := range texts {
			v, err := json.Marshal(map[string]any{text: []any{text, map[string]any{}}})
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, string(v))
			if nice {
				var b bytes.Buffer
				if err := json.Indent(&b, v, "", " "); err != nil {
					t.Fatal(err)
				}
				v = b.Bytes()
			}
			all = append(append(all, v...), gap...)
		}
		values, _, _ := split(all, 1<<20)
		if len(values) != len(want) {
			t.Fatalf("%d values, want %d, in\n%s", len(values), len(want), all)
		}
		for i, v := range values {
			var b bytes.Buffer
			if err := json.Compact(&b, v); err != nil || b.String() != want[i] {
				t.Fatalf("%s (%v), want %s", b.String(), err, want[i])
			}
		}
	})
}

func FuzzRecords(f *testing.F) {
	f.Add([]byte("{\"a\":1}\n{}\n"))
	f.Add([]byte("{\n\"a\":\"}\\\"\"}{}\n x"))
	f.Fuzz(func(t *testing.T, text []byte) {
		values, lines, err := split(text, 64)
		if err == nil {
			t.Error("no end")
		}
		last := 0
		for i, line := range lines {
			if line < last || line > bytes.Count(text, []byte("\n"))+1 || len(values[i]) > 3*64 {
				t.Errorf("value %d: line %d behind %d, %d bytes", i, line, last, len(values[i]))
			}
			last = line
		}
	})
}

// TestProgress draws one bar over and over on a terminal, and writes lines elsewhere.
func TestProgress(t *testing.T) {
	t.Parallel()
	for _, bar := range []bool{true, false} {
		var out, errs strings.Builder
		now := time.Unix(0, 0)
		p := NewProgress(&out, bar)
		p.now, p.began = func() time.Time { return now }, now
		for i := range 4 {
			now = now.Add(3 * time.Second)
			p.update("dir/f.ndjson", int64(i)*25, 100, Report{Created: 10 * i, Failed: i}, false)
		}
		p.line(&errs, "f:1: broken")
		p.update("dir/f.ndjson", 100, 100, Report{Created: 60}, true)
		p.end()
		want := "f.ndjson   0%  0 resources, 0/s\nf.ndjson  50%  20 resources, 2/s, 2 refused\nf.ndjson 100%  60 resources, 5/s\n"
		if !bar && out.String() != want {
			t.Errorf("lines:\n%s\nwant\n%s", out.String(), want)
		}
		if bar && (strings.Contains(out.String(), "\n") || strings.Count(out.String(), "[==") != 4 || !strings.HasSuffix(out.String(), "\r")) {
			t.Errorf("bar: %q", out.String())
		}
		if errs.String() != "f:1: broken\n" {
			t.Errorf("%q", errs.String())
		}
	}
	var none *Progress
	none.update("x", 0, 0, Report{}, true)
	none.end()
}
