package tape_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fhirhook/fhir/tape"
)

func TestParse_refusesWhatCannotBeStoredFaithfully(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	wide := func(last string) string {
		var s strings.Builder
		s.WriteByte('{')
		for i := range 100 {
			fmt.Fprintf(&s, `"n%d":0,`, i)
		}
		return s.String() + last + `:1}`
	}
	tests := []struct {
		name, src    string
		line, column int
		reason       string // a part of it
	}{
		{"nothing", ``, 1, 1, "ends where a value should be"},
		{"only space", " \n ", 2, 2, "ends where a value should be"},
		{"garbage behind", "{}\n {}", 2, 2, "more behind the end"},
		{"byte order mark", "\xef\xbb\xbf{}", 1, 1, "byte order mark"},
		{"duplicate name", `{"a":1, "a":2}`, 1, 9, `the member "a" stands twice`},
		{"duplicate by an escape", `{"a":1,"\u0061":2}`, 1, 8, `stands twice`},
		{"duplicate of an escape", `{"\u0061":1,"b":2,"a":2}`, 1, 19, `stands twice`},
		{"duplicate empty name", `{"":1,"":2}`, 1, 7, `stands twice`},
		{"duplicate in the depth", `{"x":[{"a":{"b":1,"b":1}}]}`, 1, 19, `stands twice`},
		{"duplicate in a wide object", wide(`"n7"`), 1, 792, `stands twice`},
		{"duplicate by an escape in a wide object", wide(`"n\u0037"`), 1, 792, `stands twice`},
		{"lone high surrogate", `["\ud800"]`, 1, 3, "half of a surrogate pair"},
		{"lone low surrogate", `["\udc00"]`, 1, 3, "half of a surrogate pair"},
		{"high surrogate twice", `["\ud800\ud800"]`, 1, 3, "half of a surrogate pair"},
		{"high surrogate, then a letter", `["\ud800\u0041"]`, 1, 3, "half of a surrogate pair"},
		{"surrogate as UTF-8", "[\"\xed\xa0\x80\"]", 1, 3, "byte 0xed is not valid UTF-8"},
		{"overlong UTF-8", "[\"\xc0\xaf\"]", 1, 3, "byte 0xc0 is not valid UTF-8"},
		{"cut UTF-8", "[\"ü\xc3\"]", 1, 5, "byte 0xc3 is not valid UTF-8"},
		{"line break in a string", "[\"a\nb\"]", 1, 4, `control character 0x0a in a string: write it as \u000a`},
		{"NUL in a string", "[\"a\x00b\"]", 1, 4, "control character 0x00"},
		{"NUL between values", "[1,\x00]", 1, 4, "byte 0x00 can't begin"},
		{"string without end", `["abc`, 1, 6, "ends inside a string"},
		{"string that ends in an escape", `["abc\`, 1, 6, "ends inside a string"},
		{"unknown escape", `["\x41"]`, 1, 3, "no JSON escape"},
		{"short escape", `["\u00"]`, 1, 3, "four hexadecimal digits"},
		{"leading zero", `[01]`, 1, 2, "can't begin with 0"},
		{"plus sign", `[+1]`, 1, 2, "can't begin"},
		{"no digit before the point", `[.5]`, 1, 2, "can't begin"},
		{"no digit behind the point", `[5.]`, 1, 2, "behind the decimal point"},
		{"no digit in the exponent", `[5e+]`, 1, 2, "in the exponent"},
		{"only a minus", `[-]`, 1, 2, "expected a digit"},
		{"NaN", `[NaN]`, 1, 2, "can't begin"},
		{"long literal", `[truely]`, 1, 6, "expected , or ]"},
		{"cut literal", `[tru`, 1, 2, "expected true"},
		{"comma at the end of an array", `[1,]`, 1, 4, "can't begin"},
		{"comma at the end of an object", `{"a":1,}`, 1, 8, "member name"},
		{"no comma", `{"a":1 "b":2}`, 1, 8, "expected , or }"},
		{"no colon", `{"a" 1}`, 1, 6, "expected :"},
		{"name without quotes", `{a:1}`, 1, 2, "member name"},
		{"single quotes", `['a']`, 1, 2, "can't begin"},
		{"comment", "[1 // one\n]", 1, 4, "expected , or ]"},
		{"open object", `{"a":1`, 1, 7, "the document ends where"},
		{"open array", `[1`, 1, 3, "the document ends where"},
		{"too deep", deep(tape.MaxDepth + 1), 1, tape.MaxDepth + 1, "nested too deeply"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			doc, err := tape.Parse([]byte(tt.src), 0)
			if doc != nil || err == nil {
				t.Fatalf("it was accepted")
			}
			e, ok := errors.AsType[*tape.SyntaxError](err)
			if !ok {
				t.Fatalf("%T is not a *SyntaxError", err)
			}
			if e.Line != tt.line || e.Column != tt.column || !strings.Contains(e.Reason, tt.reason) {
				t.Errorf("got %v, want line %d, column %d: …%s…", e, tt.line, tt.column, tt.reason)
			}
		})
	}
}

func TestParse_acceptsTheEdgesOfJSON(t *testing.T) {
	for _, src := range []string{
		`{}`, `[]`, `""`, `0`, `-0`, `null`, `true`, `{"":{"":[]}}`,
		`[1.000000000000000000E-245,-1.000000000000000000E+245,1E-22,1e999999,100000000000000000000000000]`,
		`["\ud83d\ude00","😀","\ufffe\u0000","\/","/","` + "\u007f\ufffd" + `"]`,
		`{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}],"A":0,"ａ":0}`,
		strings.Repeat("[", tape.MaxDepth) + strings.Repeat("]", tape.MaxDepth),
	} {
		doc, err := tape.Parse([]byte(" "+src+"\r\n\t"), 0)
		if err != nil {
			t.Errorf("%.40s: %v", src, err)
			continue
		}
		if got := string(doc.Bytes()); got != src {
			t.Errorf("compact form of %.40s is %.40s", src, got)
		}
	}
}

// An error names the member, but not all of it, for names can be as long as the body.
func TestParse_cutsLongNamesInErrors(t *testing.T) {
	name := `"` + strings.Repeat("ä", 5000) + `"`
	_, err := tape.Parse([]byte(`{`+name+`:1,`+name+`:1}`), 0)
	if err == nil || len(err.Error()) > 200 || !utf8.ValidString(err.Error()) {
		t.Errorf("got %v", err)
	}
}

// The oracle is encoding/json plus the rules by which we are stricter: exactly the same documents pass, the
// compact form is byte for byte that of json.Compact, and walking yields the same tree in the same order.
func checkAgainstEncodingJSON(t interface{ Fatalf(string, ...any) }, src []byte) {
	const depth = 20
	doc, err := tape.Parse(src, depth)
	want := acceptable(src, depth)
	switch {
	case (err == nil) != (want == nil):
		t.Fatalf("%q: tape says %v, the oracle says %v", src, err, want)
	case err != nil:
		e, _ := errors.AsType[*tape.SyntaxError](err)
		if e.Offset < 0 || e.Offset > len(src) || e.Reason == "" ||
			e.Line != 1+bytes.Count(src[:e.Offset], []byte("\n")) || e.Column != e.Offset-bytes.LastIndexByte(src[:e.Offset], '\n') {
			t.Fatalf("%q: the error's place is wrong: %+v", src, e)
		}
		return
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, src); err != nil {
		t.Fatalf("%q: %v", src, err)
	}
	if !bytes.Equal(compact.Bytes(), doc.Bytes()) {
		t.Fatalf("%q: the compact form is %q", src, doc.Bytes())
	}
	d := json.NewDecoder(bytes.NewReader(src))
	d.UseNumber()
	if err := sameTree(d, doc.Bytes(), doc.Root()); err != nil {
		t.Fatalf("%q: %v", src, err)
	}
}

var escapes = regexp.MustCompile(`\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.`)

func acceptable(src []byte, depth int) error {
	if !json.Valid(src) {
		return fmt.Errorf("not JSON")
	}
	if !utf8.Valid(src) {
		return fmt.Errorf("not UTF-8")
	}
	for _, e := range escapes.FindAll(src, -1) {
		if len(e) == 6 && (e[2] == 'd' || e[2] == 'D') && e[3] >= '8' {
			return fmt.Errorf("half a surrogate pair")
		}
	}
	d := json.NewDecoder(bytes.NewReader(src))
	d.UseNumber()
	var names []map[string]bool // nil for arrays
	name := false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		switch token {
		case json.Delim('{'):
			names = append(names, map[string]bool{})
			name = true
		case json.Delim('['):
			names = append(names, nil)
			name = false
		case json.Delim('}'), json.Delim(']'):
			names = names[:len(names)-1]
			name = len(names) > 0 && names[len(names)-1] != nil
		default:
			if inside := len(names) > 0 && names[len(names)-1] != nil; inside && name {
				s := token.(string)
				if names[len(names)-1][s] {
					return fmt.Errorf("%q twice", s)
				}
				names[len(names)-1][s] = true
				name = false
			} else {
				name = inside
			}
		}
		if len(names) > depth {
			return fmt.Errorf("too deep")
		}
	}
}

func sameTree(d *json.Decoder, all []byte, n tape.Node) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	if start, end := n.Span(); !bytes.Equal(all[start:end], n.Raw()) {
		return fmt.Errorf("span %d:%d is not %q", start, end, n.Raw())
	}
	switch v := token.(type) {
	case json.Delim:
		size := 0
		if v == '{' {
			for name, m := range n.Members() {
				size++
				key, err := d.Token()
				if err != nil || key != name {
					return fmt.Errorf("member %q, want %v", name, key)
				}
				if got := n.Get(name); got != m {
					return fmt.Errorf("Get(%q) is not the member", name)
				}
				start, end, ok := n.MemberSpan(name)
				var quoted string
				if !ok || json.Unmarshal(bytes.TrimSuffix(all[start:end], append([]byte{':'}, m.Raw()...)), &quoted) != nil || quoted != name {
					return fmt.Errorf("MemberSpan(%q) is %q", name, all[start:end])
				}
				if err := sameTree(d, all, m); err != nil {
					return err
				}
			}
		} else {
			for e := range n.Elements() {
				if n.At(size) != e {
					return fmt.Errorf("At(%d) is not the element", size)
				}
				size++
				if err := sameTree(d, all, e); err != nil {
					return err
				}
			}
		}
		if end, err := d.Token(); err != nil || end != v+2 || n.Len() != size || n.Text() != "" || n.At(size).Exists() {
			return fmt.Errorf("%v of %d ends with %v", n.Kind(), n.Len(), end)
		}
	case string:
		if n.Kind() != tape.String || n.Text() != v || !n.Is(v) || n.Is(v+"x") {
			return fmt.Errorf("%v %q, want string %q", n.Kind(), n.Text(), v)
		}
	case json.Number:
		if n.Kind() != tape.Number || n.Text() != v.String() || n.Is(v.String()) {
			return fmt.Errorf("%v %q, want number %q", n.Kind(), n.Text(), v)
		}
	case bool:
		if n.Kind() != tape.Bool || n.Bool() != v || n.Text() != fmt.Sprint(v) {
			return fmt.Errorf("%v %q, want %v", n.Kind(), n.Text(), v)
		}
	case nil:
		if n.Kind() != tape.Null || n.Text() != "null" || !n.Exists() {
			return fmt.Errorf("%v %q, want null", n.Kind(), n.Text())
		}
	}
	return nil
}

// document draws JSON text: any spelling of strings and numbers, any white space, names that often repeat.
func document(t *rapid.T) []byte {
	var out []byte
	space := func() {
		out = append(out, rapid.SampledFrom([]string{"", "", "", " ", "\n\t", "\r\n  "}).Draw(t, "space")...)
	}
	str := func(pieces []string) {
		out = append(out, '"')
		for range rapid.IntRange(0, 12).Draw(t, "pieces") {
			out = append(out, rapid.SampledFrom(pieces).Draw(t, "piece")...)
		}
		out = append(out, '"')
	}
	texts := []string{"a", "b", "resourceType", "\\u0061", "\\n", "\\\"", "\\\\", "\\/", "ü", "∕", "😀", "\\ud83d\\ude00", "\\u00E9", "\\u0000", " ", ":", "{", "12345678"}
	var value func(depth int)
	value = func(depth int) {
		kinds := 8
		if depth == 0 {
			kinds = 5
		}
		switch kind := rapid.IntRange(0, kinds-1).Draw(t, "kind"); kind {
		case 0, 1:
			str(texts)
		case 2, 3:
			out = append(out, rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?`).Draw(t, "number")...)
		case 4:
			out = append(out, rapid.SampledFrom([]string{"true", "false", "null"}).Draw(t, "literal")...)
		default:
			object := kind != 5
			out = append(out, "[{"[min(kind-5, 1)])
			space()
			size := rapid.IntRange(0, 6).Draw(t, "size")
			if kind == 7 && rapid.IntRange(0, 9).Draw(t, "wide") == 0 {
				size += 40
			}
			for i := range size {
				if i > 0 {
					out = append(out, ',')
					space()
				}
				if object {
					if size > 6 {
						out = fmt.Appendf(out, `"%s%d"`, rapid.SampledFrom([]string{"n", "\\u006e", "m"}).Draw(t, "name"), i*rapid.IntRange(1, 20).Draw(t, "i")/19)
					} else {
						str(texts[:5])
					}
					space()
					out = append(out, ':')
					space()
				}
				value(depth - 1)
				space()
			}
			out = append(out, "]}"[min(kind-5, 1)])
		}
	}
	space()
	value(rapid.IntRange(0, 5).Draw(t, "depth"))
	space()
	return out
}

func TestParse_agreesWithEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkAgainstEncodingJSON(t, document(t)) })
}

// Damage to a good document is found, or leaves another good one.
func TestParse_agreesWithEncodingJSONOnDamage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src := document(t)
		for range rapid.IntRange(1, 3).Draw(t, "damages") {
			at := rapid.IntRange(0, len(src)).Draw(t, "at")
			with := rapid.SampledFrom([]string{"", "\"", "\\", "{", "}", "[", "]", ",", ":", "0", "-", ".", "e", "t", " ", "\x00", "\x1f", "\xff", "\xc3", "\\ud800", "u"}).Draw(t, "with")
			end := min(len(src), at+rapid.IntRange(0, 2).Draw(t, "cut"))
			src = append(append(bytes.Clone(src[:at]), with...), src[end:]...)
		}
		checkAgainstEncodingJSON(t, src)
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(observation))
	for _, s := range []string{`{"a":1,"\u0061":2}`, `["\ud83d\ude00"]`, `[1e5,-0.0]`, "\xef\xbb\xbf{}", `{"":{"":[]}}`, `"\ud800"`, strings.Repeat("[", 21), `{"a":1,"b":2,"c":3,}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) { checkAgainstEncodingJSON(t, src) })
}

// Comparing each name of a wide object with each would take minutes here, and the whole test binary with it;
// BenchmarkParse_wide shows that the cost is linear.
func TestParse_wideObjectsAreReadWhole(t *testing.T) {
	for _, format := range []string{`"n%d":0`, `"\u006e%d":0`, `"n%d":{}`} {
		const members = 300_000
		doc, err := tape.Parse(wide(members, format), 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := doc.Root().Len(); got != members {
			t.Errorf("%s: %d members, want %d", format, got, members)
		}
	}
}

// wide writes an object of n members.
func wide(n int, format string) []byte {
	out := []byte{'{'}
	for i := range n {
		if i > 0 {
			out = append(out, ',')
		}
		out = fmt.Appendf(out, format, i)
	}
	return append(out, '}')
}

func TestParse_keepsNothingOfItsInput(t *testing.T) {
	for _, s := range []string{`{"a":"b"}`, `{ "a" : "b" }`} {
		src := []byte(s)
		doc, err := tape.Parse(src, 0)
		if err != nil {
			t.Fatal(err)
		}
		clear(src)
		if diff := cmp.Diff(`{"a":"b"}`, string(doc.Bytes())); diff != "" {
			t.Error(diff)
		}
	}
}

// Two goroutines may both append to what Bytes or Raw gave them.
func TestDoc_appendingToItsBytesLeavesItAlone(t *testing.T) {
	doc, err := tape.Parse([]byte(`{ "a" : [1, 2] }`), 0)
	if err != nil {
		t.Fatal(err)
	}
	one, two := append(doc.Bytes(), "one"...), append(doc.Bytes(), "two"...)
	_ = append(doc.Root().Get("a").Raw(), "three"...)
	if string(one) != `{"a":[1,2]}one` || string(two) != `{"a":[1,2]}two` || string(doc.Bytes()) != `{"a":[1,2]}` {
		t.Errorf("got %s, %s and %s", one, two, doc.Bytes())
	}
}

// TestParse_boundsTheNumberOfValues refuses a document of nothing but tiny values before its tokens take many
// times its own memory.
func TestParse_boundsTheNumberOfValues(t *testing.T) {
	t.Parallel()
	zeros := func(n int) []byte { return []byte("[" + strings.Repeat("0,", n) + "0]") }
	if _, err := tape.Parse(zeros(2<<20), 0); err == nil {
		t.Error("two million one-digit numbers in 4 MB were accepted")
	}
	if _, err := tape.Parse(zeros(1<<19), 0); err != nil {
		t.Errorf("half a million numbers: %v", err)
	}
}
