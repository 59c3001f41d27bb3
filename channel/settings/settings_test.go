package settings_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirhook/channel/settings"
)

type section struct {
	Name  string
	Count uint16
	Rate  float64
	On    bool
	Wait  time.Duration
	Until time.Time
	List  []string
	Inner struct{ A int }
}

type file struct {
	Ours   section
	Others map[string]any `yaml:",inline"`
}

// What can't be read is told line by line, all of it at once, in words that know nothing of Go; the rest is read.
func TestDecode_namesEveryLine(t *testing.T) {
	t.Parallel()
	var got file
	err := settings.Decode([]byte(`others: {name: 1, nmae: 2}
ours:
  name: [x]
  count: many
  rate: much
  on: perhaps
  wait: soon
  list: none
  inner: none
  nmae: x
`), &got)
	if err == nil {
		t.Fatal("accepted")
	}
	lines := strings.Split(err.Error(), "\n")
	slices.Sort(lines)
	want := []string{
		"line 10: no key nmae is known here",
		"line 3: this must be a text",
		"line 4: `many` must be a whole number",
		"line 5: `much` must be a number",
		"line 6: `perhaps` must be true or false",
		"line 7: `soon` must be a time with its unit, as in 30s",
		"line 8: `none` must be a list",
		"line 9: `none` must be a mapping of keys to values",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
	if got.Others["others"] == nil {
		t.Error("other keys were not read")
	}
}

// A time that is none ends the reading.
func TestDecode_noTime(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"ours: {until: then}":  `"then" must be a date, as in 2027-01-31, or a date and time with its zone`,
		"ours: {until: [now]}": "line 1: this must be a date, as in 2027-01-31, or a date and time with its zone",
	} {
		if err := settings.Decode([]byte(text), new(file)); err == nil || err.Error() != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestDecode_nothing(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# nothing\n", "listen: x\n", "ours:\n"} {
		var got file
		if err := settings.Decode([]byte(text), &got); err != nil || got.Ours.Name != "" {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"- a\n", "a: [\n", "\x00"} {
		if err := settings.Decode([]byte(text), new(file)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

// FuzzDecode: a text is read or refused with a reason on lines of its own, whatever it holds.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{"ours: {name: a, wait: 3s}", "ours: &a [*a]", "ours: {<<: {name: b}, \"on\": [1]}", "a: &a [x,x]\nours: {list: *a}", "ours: {name: !!int x, inner: {a: |\n  b\n  c\n}}"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := settings.Decode(text, new(file)); err != nil && strings.TrimSpace(err.Error()) == "" {
			t.Errorf("%q is refused without a reason", text)
		}
	})
}
