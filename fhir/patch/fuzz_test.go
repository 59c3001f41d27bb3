package patch

import (
	"encoding/json"
	"reflect"
	"testing"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// FuzzApply: whatever the patch, the result is JSON, the document stays, and a secret never shows.
func FuzzApply(f *testing.F) {
	const stored = `{"resourceType":"Patient","id":"1","name":[{"given":["a","b"],"_given":[null,{"id":"x"}]}],"active":true,"secret":["hunter2"],"n":1.50}`
	const shown = `{"resourceType":"Patient","id":"1","name":[{"given":["a","b"],"_given":[null,{"id":"x"}]}],"active":true,"secret":["*******"],"n":1.50}`
	for _, s := range []string{
		`[{"op":"move","from":"/name/0","path":"/name/-"},{"op":"copy","from":"/name","path":"/x"},{"op":"remove","path":"/secret/0"}]`,
		`[{"op":"test","path":"/n","value":15e-1},{"op":"add","path":"/secret/0","value":1},{"op":"replace","path":"","value":[]}]`,
		`{"name":null,"x":{"y":[null]},"secret":null}`,
		parameters(op("move", path("Patient.name[0].given"), `source:"valueInteger":0`, `destination:"valueInteger":1`)),
		parameters(op("delete", path("Patient.name.where(given.first()='a').given[1]"))),
		parameters(op("add", path("Patient"), `name:"valueString":"contact"`, `value:"part":[{"name":"name","valueHumanName":{}}]`)),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		doc, err := tape.Parse(body, 0)
		if err != nil {
			return
		}
		var patches []Patch
		if p, err := JSON(doc); err == nil {
			patches = append(patches, p)
		}
		if p, err := Merge(doc); err == nil {
			patches = append(patches, p)
		}
		if in, err := fhir.Check(doc); err == nil {
			if p, err := FHIRPath(in); err == nil {
				patches = append(patches, p)
			}
		}
		full, masked := parse(t, stored), parse(t, shown)
		for _, p := range patches {
			r, err := Apply(p, full, masked, 1<<16)
			if err != nil {
				if fhir.KindOf(err) == fhir.Internal {
					t.Fatalf("%s: %v", body, err)
				}
				continue
			}
			again, err := Apply(p, full, masked, 1<<16)
			if err != nil || string(again.Shown) != string(r.Shown) || string(again.Full) != string(r.Full) {
				t.Fatalf("%s: applied again %v: %s", body, err, again.Shown)
			}
			if parse(t, string(r.Full)).Root().Kind() == tape.Object && string(full.Bytes()) != stored {
				t.Fatal("the document changed")
			}
			if _, merge := p.(mergePatch); merge {
				sameAsNaive(t, shown, body, r.Shown)
			}
			parse(t, string(r.Shown))
		}
	})
}

// sameAsNaive compares a merge with RFC 7396's own pseudocode over decoded JSON.
func sameAsNaive(t *testing.T, doc string, body, got []byte) {
	t.Helper()
	var target, change, result any
	for _, read := range []struct {
		from []byte
		to   *any
	}{{[]byte(doc), &target}, {body, &change}, {got, &result}} {
		if err := json.Unmarshal(read.from, read.to); err != nil {
			return // a number that float64 can't hold
		}
	}
	if want := naive(target, change); !reflect.DeepEqual(want, result) {
		t.Fatalf("%s: got %v, want %v", body, result, want)
	}
}

func naive(target, change any) any {
	members, ok := change.(map[string]any)
	if !ok {
		return change
	}
	out := map[string]any{}
	if old, ok := target.(map[string]any); ok {
		for name, v := range old {
			out[name] = v
		}
	}
	for name, v := range members {
		if v == nil {
			delete(out, name)
		} else {
			out[name] = naive(out[name], v)
		}
	}
	return out
}
