package operate

import (
	"encoding/json"
	"testing"
)

func TestOutput_stringHoldsOnlyWhatR4Allows(t *testing.T) {
	for in, want := range map[string]string{
		"a\tb\r\nc": "a\tb\r\nc", "\x1f\x8b\x00 gzip": "\uFFFD\uFFFD\uFFFD gzip", "é \u2028 <&>": "é \u2028 <&>", "\x7f": "\x7f",
	} {
		var o output
		o.string("reply", in)
		var got struct{ ValueString string }
		if err := json.Unmarshal(o.b, &got); err != nil || got.ValueString != want {
			t.Errorf("%q is written as %q, want %q (%v)", in, got.ValueString, want, err)
		}
	}
}
