package tape

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// nested draws a value; names are unique in the whole document, so that members may be put anywhere.
func nested(t *rapid.T, depth int, names *int) string {
	kind := rapid.IntRange(0, 5).Draw(t, "kind")
	if depth == 0 {
		kind = min(kind, 3)
	}
	var parts []string
	for range rapid.IntRange(0, 4).Draw(t, "size") {
		switch kind {
		case 4:
			parts = append(parts, nested(t, depth-1, names))
		case 5:
			*names++
			parts = append(parts, fmt.Sprintf(`"n%d":%s`, *names, nested(t, depth-1, names)))
		}
	}
	switch kind {
	case 4:
		return "[" + strings.Join(parts, ",") + "]"
	case 5:
		return "{" + strings.Join(parts, ",") + "}"
	default:
		return []string{`"plain"`, `"esc\"aped\u00e9"`, "-1.50e3", "null"}[kind]
	}
}

// edits draws edits of values and of objects' members that don't overlap.
func edits(t *rapid.T, d *Doc, names *int) []Edit {
	var all []Edit
	gone := 0 // values up to here are replaced
	var object func(n Node)
	object = func(n Node) {
		start, end := n.Span()
		if start < gone {
			return
		}
		if rapid.IntRange(0, 5).Draw(t, "replace") == 0 {
			all = append(all, Edit{Start: start, End: end, With: []byte(nested(t, 2, names))})
			gone = end
			return
		}
		var more []string
		if n.Kind() == Object {
			for range rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "members") {
				*names++
				more = append(more, fmt.Sprintf(`"n%d":%s`, *names, nested(t, 2, names)))
			}
		}
		with := strings.Join(more, ",")
		if len(more) > 0 && (n.Len() == 0 || rapid.Bool().Draw(t, "first")) {
			if n.Len() > 0 {
				with += ","
			}
			all = append(all, Edit{Start: start + 1, End: start + 1, With: []byte(with)})
			more = nil
		}
		for w := n.Walk(); w.Next(); {
			object(w.Value())
			if _, behind := w.Value().Span(); len(more) > 0 {
				all = append(all, Edit{Start: behind, End: behind, With: []byte("," + with)})
				more = nil
			}
		}
	}
	object(d.Root())
	return all
}

// What is grafted is, token for token, what parsing the spliced bytes gives.
func TestDoc_Graft_isParsingWhatIsSpliced(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := 0
		src := nested(t, 4, &names)
		d, err := Parse([]byte(src), 0)
		if err != nil {
			t.Fatal(err)
		}
		before := slices.Clone(d.tokens)
		change := rapid.Permutation(edits(t, d, &names)).Draw(t, "order")
		spliced := d.Splice(change...)
		want, err := Parse(spliced, 0)
		if err != nil {
			t.Fatalf("%s became %s: %v", src, spliced, err)
		}
		got := d.Graft(change...)
		if string(got.bytes) != string(spliced) || !slices.Equal(got.tokens, want.tokens) {
			t.Fatalf("%s became %s\ngot  %+v\nwant %+v", src, spliced, got.tokens, want.tokens)
		}
		if !slices.Equal(before, d.tokens) || string(d.bytes) != src {
			t.Fatal("it changed the document that it was made from")
		}
	})
}

func TestDoc_Graft_refusesWhatIsNoWholeValueOrMember(t *testing.T) {
	d, err := Parse([]byte(`{"a":[1,"text"]}`), 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string]Edit{
		"part of a value":        {Start: 9, End: 11, With: []byte(`"x"`)},
		"nothing for a value":    {Start: 6, End: 7},
		"two values":             {Start: 6, End: 7, With: []byte(`1,2`)},
		"no JSON":                {Start: 6, End: 7, With: []byte(`x`)},
		"a value, not a member":  {Start: 1, End: 1, With: []byte(`1,`)},
		"half a member":          {Start: 1, End: 1, With: []byte(`"b",`)},
		"a member into an array": {Start: 6, End: 6, With: []byte(`"b":1,`)},
		"a member outside":       {Start: 16, End: 16, With: []byte(`"b":1`)},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("it was taken")
				}
			}()
			d.Graft(e)
		})
	}
}
