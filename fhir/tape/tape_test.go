package tape_test

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"fhirhook/fhir/tape"
)

func TestNode_absentOneAnswersEverything(t *testing.T) {
	for name, n := range map[string]tape.Node{
		"zero":           {},
		"nil doc":        (*tape.Doc)(nil).Root(),
		"empty doc":      (&tape.Doc{}).Root(),
		"missing member": parse(t, `{"a":1}`).Root().Get("b"),
		"member of text": parse(t, `"a"`).Root().Get("a"),
		"path":           parse(t, `{"a":{"b":1}}`).Root().Path("a", "c", "d"),
		"behind the end": parse(t, `[1]`).Root().At(1),
		"before it":      parse(t, `[1]`).Root().At(-1),
	} {
		t.Run(name, func(t *testing.T) {
			for range n.Members() {
				t.Error("it has a member")
			}
			for range n.Elements() {
				t.Error("it has an element")
			}
			start, end := n.Span()
			_, _, member := n.MemberSpan("a")
			if n.Exists() || n.Kind() != tape.Absent || n.Len() != 0 || n.Raw() != nil || n.Text() != "" || n.Bool() ||
				n.Is("") || start != end || member || n.Get("a").Exists() || n.At(0).Exists() {
				t.Errorf("it is not absent: %v", n)
			}
		})
	}
}

func TestNode_Elements_aSingleValueIsItsOwnElement(t *testing.T) {
	var got []string
	for e := range parse(t, `{"a":{"b":1}}`).Root().Get("a").Elements() {
		got = append(got, string(e.Raw()))
	}
	if !slices.Equal(got, []string{`{"b":1}`}) {
		t.Errorf("got %v", got)
	}
}

// Edits that do not overlap can be made in any order and one at a time from the back, with the same outcome.
func TestDoc_Splice_isTheSameAsOneEditAtATime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc := parse(t, `{"resourceType":"Basic","text":"`+rapid.StringMatching(`[a-z]{0,30}`).Draw(t, "text")+`"}`)
		var edits []tape.Edit
		at := 0
		for at <= len(doc.Bytes()) && len(edits) < 6 {
			start := rapid.IntRange(at, len(doc.Bytes())).Draw(t, "start")
			end := min(len(doc.Bytes()), start+rapid.IntRange(0, 5).Draw(t, "length"))
			edits = append(edits, tape.Edit{Start: start, End: end, With: []byte(rapid.StringMatching(`[A-Z]{0,4}`).Draw(t, "with"))})
			at = end + 1 // so that no two begin at one place, for then their order would count
		}
		before := bytes.Clone(doc.Bytes())
		want := bytes.Clone(before)
		for _, e := range slices.Backward(edits) {
			want = slices.Replace(want, e.Start, e.End, e.With...)
		}
		shuffled := rapid.Permutation(edits).Draw(t, "order")
		given := slices.Clone(shuffled)
		if got := doc.Splice(shuffled...); !bytes.Equal(got, want) {
			t.Fatalf("got %s, want %s", got, want)
		}
		if !bytes.Equal(before, doc.Bytes()) || !slices.EqualFunc(given, shuffled, func(a, b tape.Edit) bool { return a.Start == b.Start }) {
			t.Fatal("it changed what it was given")
		}
	})
}

func TestDoc_Splice_insertionsAtOnePlaceKeepTheirOrder(t *testing.T) {
	doc := parse(t, `[]`)
	got := doc.Splice(tape.Edit{Start: 1, End: 1, With: []byte("1,")}, tape.Edit{Start: 1, End: 1, With: []byte("2")})
	if string(got) != `[1,2]` {
		t.Errorf("got %s", got)
	}
}

// An insertion where a replacement begins comes before it, in whichever order they are given.
func TestDoc_Splice_insertsBeforeWhatItReplaces(t *testing.T) {
	doc := parse(t, `[1]`)
	insert, replace := tape.Edit{Start: 1, End: 1, With: []byte("0,")}, tape.Edit{Start: 1, End: 2, With: []byte("2")}
	for _, edits := range [][]tape.Edit{{insert, replace}, {replace, insert}} {
		if got := doc.Splice(edits...); string(got) != `[0,2]` {
			t.Errorf("got %s", got)
		}
	}
}

func parse(t interface {
	Helper()
	Fatalf(string, ...any)
}, src string,
) *tape.Doc {
	t.Helper()
	doc, err := tape.Parse([]byte(src), 0)
	if err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	return doc
}
