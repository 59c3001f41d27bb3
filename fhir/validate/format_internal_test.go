package validate

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// patterns are R4's own regular expressions (datatypes.html#primitive).
var patterns = map[string]string{
	"code":        `[^\s]+(\s[^\s]+)*`,
	"id":          `[A-Za-z0-9\-\.]{1,64}`,
	"uri":         `\S*`,
	"oid":         `urn:oid:[0-2](\.(0|[1-9][0-9]*))+`,
	"uuid":        `urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`,
	"date":        `([0-9]([0-9]([0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)(-(0[1-9]|1[0-2])(-(0[1-9]|[1-2][0-9]|3[0-1]))?)?`,
	"dateTime":    `([0-9]([0-9]([0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)(-(0[1-9]|1[0-2])(-(0[1-9]|[1-2][0-9]|3[0-1])(T([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?(Z|(\+|-)((0[0-9]|1[0-3]):[0-5][0-9]|14:00)))?)?)?`,
	"instant":     `([0-9]([0-9]([0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)-(0[1-9]|1[0-2])-(0[1-9]|[1-2][0-9]|3[0-1])T([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?(Z|(\+|-)((0[0-9]|1[0-3]):[0-5][0-9]|14:00))`,
	"time":        `([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?`,
	"integer":     `-?([0]|([1-9][0-9]{0,8}))`, // the texts of JSON numbers, and within 32 bits
	"unsignedInt": `[0]|([1-9][0-9]{0,8})`,
	"positiveInt": `[1-9][0-9]{0,8}`,
}

// TestFormat_agreesWithR4 compares the checks by hand with R4's regular expressions, on texts that fit and on
// texts near them. Days that don't exist are the one difference.
func TestFormat_agreesWithR4(t *testing.T) {
	t.Parallel()
	noSuchDay := regexp.MustCompile(`^\d{4}-(02-(29|3\d)|(04|06|09|11)-31|02-3\d)`)
	for name, pattern := range patterns {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			full := regexp.MustCompile(`^(?:` + pattern + `)$`)
			number := strings.Contains(name, "nt") && name != "instant"
			fits := rapid.StringMatching(pattern)
			rapid.Check(t, func(t *rapid.T) {
				text := fits.Draw(t, "text")
				if len(text) > 0 && rapid.Bool().Draw(t, "break") {
					at := rapid.IntRange(0, len(text)-1).Draw(t, "at")
					with := rapid.SampledFrom([]string{"", "0", "9", "-", ":", "T", "Z", " ", ".", "+", "a", text[at:]}).Draw(t, "with")
					text = text[:at] + with + text[at+1:]
				}
				if text == "" || !isASCII(text) || number && !jsonNumber.MatchString(text) || number && len(text) > 9 {
					return // refused before, or \s of another alphabet
				}
				want := full.MatchString(text)
				got := formats[name].check([]byte(text)) == ""
				if got != want && !noSuchDay.MatchString(text) {
					t.Fatalf("%q: %v, and R4 says %v", text, got, want)
				}
			})
		})
	}
}

var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 || s[i] == '\v' { // Go's \s leaves out the vertical tab
			return false
		}
	}
	return true
}

func TestFormat_daysThatExist(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"2024-02-29": true, "2023-02-29": false, "1900-02-29": false, "2000-02-29": true, "2024-04-31": false, "2024-12-31": true,
		"0000": false, "0001": true, "2024-13": false, "2024-00": false, "2024-1": false, "2024-01-": false, "2024-": false,
	} {
		if got := dateFormat.check([]byte(text)) == ""; got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestFormat_base64(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"YQ==": true, "YWI=": true, "YWJj": true, "YWJj\r\nYWJj": true, " YWJj ": true, "YQ=": false, "YQ=a": false, "a-_b": false,
		"Y===": false, "=": false, " ": false, "YQ==YQ==": false,
	} {
		if got := base64Format.check([]byte(text)) == ""; got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestFormat_reference(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"Patient/1": true, "Patient/1/_history/2": true, "#p": true, "#": true, "http://example.org/fhir/Patient/1": true,
		"https://example.org/anything?x=y": true, "urn:uuid:0193b4f6-0000-7000-8000-000000000000": true, "urn:oid:1.2.3": true,
		"Patient?identifier=urn:x|1": true, "Patient/1#frag": true,
		"Patient": false, "Patient/": false, "/Patient/1": false, "patient/1": false, "Patient/1/": false, "Patient/1/_history/": false,
		"Patient/1/_history": false, "Patient?": false, "Patient/1?x=y": false, "Foo/1": false, "1": false, ":": false, "http:": false, "a b": false, "Patient/ 1": false,
	} {
		if got := referenceFormat.check([]byte(text)) == ""; got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestFormat_longStrings(t *testing.T) {
	t.Parallel()
	if problem := stringFormat.check([]byte(strings.Repeat("ä", maxString))); problem != "" {
		t.Error("1 Mi characters of two bytes: " + problem)
	}
	if stringFormat.check([]byte(strings.Repeat("a", maxString+1))) == "" {
		t.Error("more than 1 Mi characters are accepted")
	}
}

// TestShapes_know every primitive's format: a forgotten one would let everything pass.
func TestShapes_knowEachPrimitive(t *testing.T) {
	t.Parallel()
	for _, s := range shapes() {
		for _, m := range s.members {
			if m.what != primitive {
				continue
			}
			if _, ok := formats[m.typ.Name]; !ok {
				t.Errorf("%s.%s: no format for %s", s.name, m.name, m.typ.Name)
			}
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"name", "gender", "birthDate", "_birthDate", "telecom"}
	for name, want := range map[string]string{
		"nmae": "name", "Name": "name", "birthdate": "birthDate", "_birthdate": "_birthDate", "telcom": "telecom", "x": "", "addresses": "",
		"genders": "gender", strings.Repeat("x", 100): "", "": "",
	} {
		if got := nearest(name, known); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
