package tape_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirhook/fhir/tape"
)

func TestWalk_yieldsWhatMembersAndElementsDo(t *testing.T) {
	t.Parallel()
	doc, err := tape.Parse([]byte(`{"a":[1,"x\u0041",{"b":null},[]],"\u0063":true,"d":{}}`), 0)
	if err != nil {
		t.Fatal(err)
	}
	var check func(n tape.Node)
	check = func(n tape.Node) {
		var want, got []string
		switch n.Kind() {
		case tape.Object:
			for name, v := range n.Members() {
				want = append(want, name, string(v.Raw()))
			}
		case tape.Array:
			for v := range n.Elements() {
				want = append(want, "", string(v.Raw()))
			}
		default:
		}
		for w := n.Walk(); w.Next(); {
			got = append(got, w.Name().Text(), string(w.Value().Raw()))
			check(w.Value())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	check(doc.Root())
	if w := (tape.Node{}).Walk(); w.Next() {
		t.Error("an absent value has members")
	}
}

func TestNode_contentIsTextAsBytes(t *testing.T) {
	t.Parallel()
	doc, err := tape.Parse([]byte(`["plain","esc\"aped\u00e9",-1.50,true,null,{"a":1},[1]]`), 0)
	if err != nil {
		t.Fatal(err)
	}
	for n := range doc.Root().Elements() {
		if got := string(n.Content()); got != n.Text() {
			t.Errorf("%s: content %q, text %q", n.Raw(), got, n.Text())
		}
	}
	if got := (tape.Node{}).Content(); got != nil {
		t.Errorf("an absent value has the content %q", got)
	}
}

func TestNode_docIsWhatParsingItAgainGives(t *testing.T) {
	t.Parallel()
	doc, err := tape.Parse([]byte(`{"a": [1, "x\u0041", {"b": null, "c": {"d": [true, []]}}, []], "e": "last"}`), 0)
	if err != nil {
		t.Fatal(err)
	}
	var check func(n tape.Node)
	check = func(n tape.Node) {
		again, err := tape.Parse(n.Raw(), 0)
		if err != nil {
			t.Fatal(err)
		}
		same(t, again.Root(), n.Doc().Root())
		for w := n.Walk(); w.Next(); {
			check(w.Value())
		}
	}
	check(doc.Root())
	if (tape.Node{}).Doc().Root().Exists() {
		t.Error("an absent value gives a document with a value")
	}
}

// same compares two values and all in them, and where they stand.
func same(t *testing.T, a, b tape.Node) {
	t.Helper()
	aStart, aEnd := a.Span()
	bStart, bEnd := b.Span()
	if a.Kind() != b.Kind() || string(a.Raw()) != string(b.Raw()) || a.Len() != b.Len() || a.Text() != b.Text() || aStart != bStart || aEnd != bEnd {
		t.Errorf("%s at %d and %s at %d", a.Raw(), aStart, b.Raw(), bStart)
	}
	v, w := a.Walk(), b.Walk()
	for v.Next() && w.Next() {
		if v.Name().Text() != w.Name().Text() {
			t.Errorf("the names %s and %s", v.Name().Raw(), w.Name().Raw())
		}
		same(t, v.Value(), w.Value())
	}
}
