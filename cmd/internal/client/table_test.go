package client

import (
	"strings"
	"testing"
	"time"
)

func TestTable_alignsAndGoesOnAligned(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	table := newTable(&out, column{name: "N", right: true}, column{name: "NAME", most: 8}, column{name: "LAST"})
	if err := table.flush(); err != nil || out.String() != "" {
		t.Errorf("nothing prints %q, %v", out.String(), err)
	}
	table.row("1", "Zoë", "a")
	table.row("1000", "a very long name", "")
	table.below("  below")
	if err := table.flush(); err != nil {
		t.Fatal(err)
	}
	table.row("2", "x\x1b[2J\ty", "b")
	if err := table.flush(); err != nil {
		t.Fatal(err)
	}
	want := "   N  NAME      LAST\n" +
		"   1  Zoë       a\n" +
		"1000  a very …\n" +
		"  below\n" +
		"   2  x\uFFFD[2J y   b\n"
	if out.String() != want {
		t.Errorf("printed\n%q, want\n%q", out.String(), want)
	}
}

func TestPrintable_leavesNothingToTheTerminal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain": "plain", " a\r\nb\tc ": "a  b c", "\x1b]0;title\x07": "\uFFFD]0;title\uFFFD", "\u202Eoops": "\uFFFDoops", "\xff": "\uFFFD", "naïve 漢字": "naïve 漢字",
	} {
		if got := printable(text, 0); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestShort_isLocalAndLeavesTodayOut(t *testing.T) {
	t.Parallel()
	c, _, _ := open(t, &server{}, nil)
	for instant, want := range map[string]string{
		"": "", "2026-01-31T11:59:58.123Z": "12:59:58", "2026-01-30T23:30:00.000Z": "00:30:00", "2026-01-30T22:30:00.000Z": "2026-01-30 23:30",
		"2026-01-31T23:30:00.000Z": "2026-02-01 00:30", "soon": "soon",
	} {
		if got := c.short(instant); got != want {
			t.Errorf("%s is %q, want %q", instant, got, want)
		}
	}
}

func TestInstant_readsWhatPeopleWrite(t *testing.T) {
	t.Parallel()
	c, _, _ := open(t, &server{}, nil)
	for text, want := range map[string]string{
		"1h": "2026-01-31T11:00:00.000Z", "90s": "2026-01-31T11:58:30.000Z", "2d": "2026-01-29T12:00:00.000Z", "0s": "2026-01-31T12:00:00.000Z",
		"2026-01-30": "2026-01-29T23:00:00.000Z", "2026-01-30 08:15": "2026-01-30T07:15:00.000Z", "2026-01-30T08:15:30": "2026-01-30T07:15:30.000Z",
		"08:15": "2026-01-31T07:15:00.000Z", "2026-01-30T08:15:30.5Z": "2026-01-30T08:15:30.500Z", "2026-01-30T08:15:30-05:00": "2026-01-30T13:15:30.000Z", "": "",
	} {
		got, err := c.instant("since", text)
		if err != nil || wire(got) != want {
			t.Errorf("%s is %s, %v, want %s", text, wire(got), err, want)
		}
	}
	for _, text := range []string{"-1h", "yesterday", "25:00", "2026-02-30", "99999d", "d", "1"} {
		_, err := c.instant("until", text)
		wantUsage(t, err, "--until "+text)
	}
	if _, offset := noon.In(c.zone).Zone(); time.Duration(offset)*time.Second != time.Hour {
		t.Error("the tests' zone is not what they say")
	}
}
