package patch

import (
	"strings"
	"testing"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

func parse(t testing.TB, s string) *tape.Doc {
	t.Helper()
	doc, err := tape.Parse([]byte(s), 0)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return doc
}

const most = 1 << 20

// TestJSON_appliesEachOperation has the cases of RFC 6902 appendix A and of section 4, and bytes that must stay.
func TestJSON_appliesEachOperation(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, doc, patch, want string }{
		{"add a member", `{"foo":"bar"}`, `[{"op":"add","path":"/baz","value":"qux"}]`, `{"foo":"bar","baz":"qux"}`},
		{"add an element", `{"foo":["bar","baz"]}`, `[{"op":"add","path":"/foo/1","value":"qux"}]`, `{"foo":["bar","qux","baz"]}`},
		{"remove a member", `{"baz":"qux","foo":"bar"}`, `[{"op":"remove","path":"/baz"}]`, `{"foo":"bar"}`},
		{"remove an element", `{"foo":["bar","qux","baz"]}`, `[{"op":"remove","path":"/foo/1"}]`, `{"foo":["bar","baz"]}`},
		{"replace a value", `{"baz":"qux","foo":"bar"}`, `[{"op":"replace","path":"/baz","value":"boo"}]`, `{"baz":"boo","foo":"bar"}`},
		{"move a value", `{"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}}`, `[{"op":"move","from":"/foo/waldo","path":"/qux/thud"}]`, `{"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}}`},
		{"move an element", `{"foo":["all","grass","cows","eat"]}`, `[{"op":"move","from":"/foo/1","path":"/foo/3"}]`, `{"foo":["all","cows","eat","grass"]}`},
		{"test a value", `{"baz":"qux","foo":["a",2,"c"]}`, `[{"op":"test","path":"/baz","value":"qux"},{"op":"test","path":"/foo/1","value":2}]`, `{"baz":"qux","foo":["a",2,"c"]}`},
		{"add a nested member", `{"foo":"bar"}`, `[{"op":"add","path":"/child","value":{"grandchild":{}}}]`, `{"foo":"bar","child":{"grandchild":{}}}`},
		{"unknown members are ignored", `{"foo":"bar"}`, `[{"op":"add","path":"/baz","value":"qux","xyz":123}]`, `{"foo":"bar","baz":"qux"}`},
		{"escapes", `{"/":9,"~1":10}`, `[{"op":"test","path":"/~01","value":10},{"op":"replace","path":"/~1","value":8}]`, `{"/":8,"~1":10}`},
		{"append", `{"foo":["bar"]}`, `[{"op":"add","path":"/foo/-","value":["abc","def"]}]`, `{"foo":["bar",["abc","def"]]}`},
		{"add replaces where it stands", `{"a":1,"b":2}`, `[{"op":"add","path":"/a","value":3}]`, `{"a":3,"b":2}`},
		{"add at the end by index", `{"a":[1]}`, `[{"op":"add","path":"/a/1","value":2}]`, `{"a":[1,2]}`},
		{"copy", `{"a":{"x":[1.0]},"b":{}}`, `[{"op":"copy","from":"/a","path":"/b/c"},{"op":"replace","path":"/b/c/x/0","value":2}]`, `{"a":{"x":[1.0]},"b":{"c":{"x":[2]}}}`},
		{"the empty name", `{"":1}`, `[{"op":"replace","path":"/","value":2}]`, `{"":2}`},
		{"the whole document", `{"a":1}`, `[{"op":"replace","path":"","value":{"b":2}}]`, `{"b":2}`},
		{"null is a value", `{"a":null}`, `[{"op":"test","path":"/a","value":null},{"op":"replace","path":"/a","value":1}]`, `{"a":1}`},
		{"equal numbers", `{"a":1.50,"b":100,"c":0}`, `[{"op":"test","path":"/a","value":15e-1},{"op":"test","path":"/b","value":1E+2},{"op":"test","path":"/c","value":-0.0}]`, `{"a":1.50,"b":100,"c":0}`},
		{"equal objects", `{"a":{"x":1,"y":[true,"\u0041"]}}`, `[{"op":"test","path":"/a","value":{"y":[true,"A"],"x":1.0}}]`, `{"a":{"x":1,"y":[true,"\u0041"]}}`},
		{"bytes that stay", `{"\u0061":1.500,"b":"\u003c\/","c":[1e2,{"d":"é"}],"e":1}`, `[{"op":"replace","path":"/e","value":2.50},{"op":"add","path":"/c/1/f","value":"\u003e"}]`, `{"\u0061":1.500,"b":"\u003c\/","c":[1e2,{"d":"é","f":"\u003e"}],"e":2.50}`},
		{"a name found by its meaning", `{"\u0061":1,"b":2}`, `[{"op":"replace","path":"/a","value":3}]`, `{"\u0061":3,"b":2}`},
		{"move to where it is", `{"a":1,"b":2}`, `[{"op":"move","from":"/b","path":"/b"}]`, `{"a":1,"b":2}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, err := JSON(parse(t, tt.patch))
			if err != nil {
				t.Fatal(err)
			}
			doc := parse(t, tt.doc)
			for range 2 { // a patch may be applied again
				r, err := Apply(p, doc, doc, most)
				if err != nil {
					t.Fatal(err)
				}
				if string(r.Shown) != tt.want || string(r.Full) != tt.want {
					t.Errorf("got  %s\nwant %s", r.Shown, tt.want)
				}
			}
			if string(doc.Bytes()) != tt.doc {
				t.Errorf("the document changed: %s", doc.Bytes())
			}
		})
	}
}

func TestJSON_refuses(t *testing.T) {
	t.Parallel()
	const doc = `{"a":[1,2],"b":{"c":"x"},"big":1e999999999999999999999}`
	tests := []struct {
		name, patch string
		kind        fhir.Kind
	}{
		{"an object", `{}`, fhir.Structure},
		{"an operation that is no object", `[1]`, fhir.Structure},
		{"no op", `[{"path":"/a"}]`, fhir.Required},
		{"no path", `[{"op":"remove"}]`, fhir.Required},
		{"no value", `[{"op":"add","path":"/x"}]`, fhir.Required},
		{"no from", `[{"op":"copy","path":"/x"}]`, fhir.Required},
		{"unknown op", `[{"op":"spam","path":"/a","value":1}]`, fhir.Value},
		{"op in capitals", `[{"op":"ADD","path":"/x","value":1}]`, fhir.Value},
		{"path without a slash", `[{"op":"remove","path":"a"}]`, fhir.Value},
		{"path with a bare tilde", `[{"op":"remove","path":"/a~2"}]`, fhir.Value},
		{"path that is a number", `[{"op":"remove","path":1}]`, fhir.Value},
		{"into itself", `[{"op":"move","from":"/b","path":"/b/d"}]`, fhir.Value},
		{"remove of nothing", `[{"op":"remove","path":"/x"}]`, fhir.BusinessRule},
		{"remove of all", `[{"op":"remove","path":""}]`, fhir.BusinessRule},
		{"replace of nothing", `[{"op":"replace","path":"/b/x","value":1}]`, fhir.BusinessRule},
		{"add below nothing", `[{"op":"add","path":"/x/y","value":1}]`, fhir.BusinessRule},
		{"add below a string", `[{"op":"add","path":"/b/c/d","value":1}]`, fhir.BusinessRule},
		{"behind the end", `[{"op":"add","path":"/a/3","value":1}]`, fhir.BusinessRule},
		{"leading zero", `[{"op":"replace","path":"/a/01","value":1}]`, fhir.BusinessRule},
		{"negative index", `[{"op":"remove","path":"/a/-1"}]`, fhir.BusinessRule},
		{"remove behind the end", `[{"op":"remove","path":"/a/-"}]`, fhir.BusinessRule},
		{"another value", `[{"op":"test","path":"/b/c","value":"y"}]`, fhir.BusinessRule},
		{"another type", `[{"op":"test","path":"/a/0","value":"1"}]`, fhir.BusinessRule},
		{"another number", `[{"op":"test","path":"/big","value":1e999999999999999999998}]`, fhir.BusinessRule},
		{"test of nothing", `[{"op":"test","path":"/x","value":null}]`, fhir.BusinessRule},
		{"copy of nothing", `[{"op":"copy","from":"/x","path":"/y"}]`, fhir.BusinessRule},
		{"too many", `[` + strings.Repeat(`{"op":"add","path":"/x","value":1},`, MaxOperations) + `{"op":"remove","path":"/x"}]`, fhir.TooCostly},
		{"doubling", `[` + strings.Repeat(`{"op":"copy","from":"/b","path":"/b/c"},{"op":"copy","from":"/b","path":"/b/d"},`, 100) + `{"op":"remove","path":"/b"}]`, fhir.TooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, err := JSON(parse(t, tt.patch))
			if err == nil {
				_, err = Apply(p, parse(t, doc), parse(t, doc), most)
			}
			if fhir.KindOf(err) != tt.kind {
				t.Errorf("kind %d, want %d: %v", fhir.KindOf(err), tt.kind, err)
			}
		})
	}
}

// TestMerge_isRFC7396 has the cases of RFC 7396 appendix A that a resource can be.
func TestMerge_isRFC7396(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ doc, patch, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		{`{"n":1.500,"\u0061":"\u003c","z":{"y":1e2}}`, `{"z":{"x":2.0}}`, `{"n":1.500,"\u0061":"\u003c","z":{"y":1e2,"x":2.0}}`},
		{`{"a":1,"b":2,"c":3}`, `{"b":null,"a":9,"d":[null]}`, `{"a":9,"c":3,"d":[null]}`},
	} {
		p, err := Merge(parse(t, tt.patch))
		if err != nil {
			t.Fatal(err)
		}
		r, err := Apply(p, parse(t, tt.doc), parse(t, tt.doc), most)
		if err != nil || string(r.Shown) != tt.want {
			t.Errorf("%s + %s: got %s, want %s (%v)", tt.doc, tt.patch, r.Shown, tt.want, err)
		}
	}
	if _, err := Merge(parse(t, `[1]`)); fhir.KindOf(err) != fhir.Structure {
		t.Error(err)
	}
}
