package operate

import "testing"

func TestOutput_stringHoldsOnlyWhatR4Allows(t *testing.T) {
	var o output
	o.string("reply", " \x1f<gzip>\n")
	o.string("note", " \r\n")
	if got, want := string(o.b), `{"name":"reply","valueString":"`+"\uFFFD"+`<gzip>"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
