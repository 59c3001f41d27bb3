package fhir_test

import (
	"testing"

	"fhirhook/fhir"
)

func TestText_holdsOnlyWhatR4Allows(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a\tb\r\nc": "a\tb\r\nc", "\x1f\x8b\x00 gzip": "\uFFFD\uFFFD\uFFFD gzip", "é \u2028 <&>": "é \u2028 <&>", "\x7f": "\x7f",
		" later\r\n": "later", " \n": "", "": "",
	} {
		if got := fhir.Text(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
