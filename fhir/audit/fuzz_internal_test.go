package audit

import (
	"bytes"
	"testing"
	"time"
)

// FuzzID: what is taken for an id is written as it was.
func FuzzID(f *testing.F) {
	for _, s := range []string{"ad-20260131-0000a7k2", "ad-20260231-00000000", "ad-20260131-0000A7K2", "ad-20260131--0000001", "ad-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if p, ok := parseID(s); ok && (p.id() != s || p.offset < 0 || p.offset > mostOffset) {
			t.Errorf("%q is %+v, which is %q", s, p, p.id())
		}
	})
}

// FuzzLine: what is taken for a line of the trail is written as it was; what a crash left is not.
func FuzzLine(f *testing.F) {
	f.Add(bytes.TrimSuffix(appendLine(nil, time.UnixMilli(1_767_225_600_000), "default", []byte(`{"i":"read","s":200}`)), []byte("\n")))
	f.Add([]byte("00000000 0000000000000 default {}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, ok := parseLine(b)
		if !ok || bytes.ContainsRune(b, '\n') {
			return
		}
		if again := appendLine(nil, l.at, l.tenant, l.payload); l.at.UnixMilli() >= 0 && len(again) == len(b)+1 && !bytes.EqualFold(again[sumDigits:len(b)], b[sumDigits:]) {
			t.Errorf("%q is written as %q", b, again)
		}
		_, _ = l.row(nil)
	})
}
