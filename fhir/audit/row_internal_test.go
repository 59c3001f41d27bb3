package audit

import (
	"encoding/json"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestRow_readsWhatItWrites: the quick way to write is JSON that says the same, whatever the texts are.
func TestRow_readsWhatItWrites(t *testing.T) {
	t.Parallel()
	texts := rapid.OneOf(rapid.Just(""), rapid.String(), rapid.StringMatching(`[A-Za-z/?=&]{0,20}`), rapid.SampledFrom([]string{`a"b\c`, "é\u2028\n\x01<&>"}))
	rapid.Check(t, func(rt *rapid.T) {
		text := func(name string) string { return clip(texts.Draw(rt, name), 1000) }
		flag := func(name string) bool { return rapid.Bool().Draw(rt, name) }
		want := row{
			Request: text("request"), Entry: rapid.IntRange(0, 9).Draw(rt, "entry"), Issuer: text("issuer"), Subject: text("subject"), From: text("from"),
			Admin: flag("admin"), Open: flag("open"), Method: text("method"), Interaction: text("interaction"), About: text("about"),
			Version: rapid.Uint64().Draw(rt, "version"), Query: text("query"), Clipped: flag("clipped"), Status: rapid.IntRange(0, 599).Draw(rt, "status"),
			Issue: text("issue"), Reason: text("reason"), Micros: rapid.Int64().Draw(rt, "micros"),
		}
		if flag("address") {
			want.Address = netip.AddrFrom4([4]byte{192, 0, 2, rapid.Byte().Draw(rt, "host")})
		}
		written := want.append(nil)
		var got row
		if err := json.Unmarshal(written, &got); err != nil {
			rt.Fatalf("%s: %v", written, err)
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			rt.Fatal(diff)
		}
		var known map[string]any
		quick, err := json.Marshal(got)
		if err != nil || json.Unmarshal(written, &known) != nil {
			rt.Fatal(err)
		}
		var slow map[string]any
		if err := json.Unmarshal(quick, &slow); err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(slow, known); diff != "" {
			rt.Fatal(diff)
		}
	})
}
