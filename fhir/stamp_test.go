package fhir_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

var noon = time.Date(2024, 3, 5, 12, 0, 0, 42e6, time.UTC)

const stampedMeta = `"versionId":"7","lastUpdated":"2024-03-05T12:00:00.042Z"`

func TestStamp_putsTheThreeMembersIn(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"bare", `{"resourceType":"Basic"}`, `{"resourceType":"Basic","id":"x","meta":{` + stampedMeta + `}}`},
		{
			"white space goes", "{ \"resourceType\" : \"Basic\",\n \"code\" : { \"text\" : \" a  b \" } }",
			`{"resourceType":"Basic","id":"x","meta":{` + stampedMeta + `},"code":{"text":" a  b "}}`,
		},
		{
			"own id and meta are replaced where they stand",
			`{"meta":{"lastUpdated":"1999-01-01T00:00:00+01:00","versionId":"99"},"id":"y","resourceType":"Basic"}`,
			`{"meta":{"lastUpdated":"2024-03-05T12:00:00.042Z","versionId":"7"},"id":"x","resourceType":"Basic"}`,
		},
		{"resourceType last", `{"code":{},"resourceType":"Basic"}`, `{"code":{},"resourceType":"Basic","id":"x","meta":{` + stampedMeta + `}}`},
		{"id last", `{"resourceType":"Basic","code":{},"id":"y"}`, `{"resourceType":"Basic","code":{},"id":"x","meta":{` + stampedMeta + `}}`},
		{"id first", `{"id":"y","resourceType":"Basic"}`, `{"id":"x","meta":{` + stampedMeta + `},"resourceType":"Basic"}`},
		{"empty meta", `{"resourceType":"Basic","meta":{}}`, `{"resourceType":"Basic","id":"x","meta":{` + stampedMeta + `}}`},
		{
			"meta with a tag", `{"resourceType":"Basic","meta":{"tag":[{"code":"a"}]}}`,
			`{"resourceType":"Basic","id":"x","meta":{` + stampedMeta + `,"tag":[{"code":"a"}]}}`,
		},
		{
			"half a meta", `{"resourceType":"Basic","meta":{"tag":[],"versionId":"3"}}`,
			`{"resourceType":"Basic","id":"x","meta":{"lastUpdated":"2024-03-05T12:00:00.042Z","tag":[],"versionId":"7"}}`,
		},
		{
			"extensions of primitives stay",
			`{"resourceType":"Basic","_id":{"extension":[]},"meta":{"_versionId":{"id":"a"},"_lastUpdated":{"id":"b"},"extension":[{"url":"u"}]}}`,
			`{"resourceType":"Basic","id":"x","_id":{"extension":[]},"meta":{` + stampedMeta + `,"_versionId":{"id":"a"},"_lastUpdated":{"id":"b"},"extension":[{"url":"u"}]}}`,
		},
		{
			"members of the wrong type", `{"resourceType":"Basic","meta":{"versionId":{"a":[1]},"lastUpdated":null}}`,
			`{"resourceType":"Basic","id":"x","meta":{"versionId":"7","lastUpdated":"2024-03-05T12:00:00.042Z"}}`,
		},
		{
			"escaped names", `{"resourceType":"Basic","\u0069d":"y","m\u0065ta":{"version\u0049d":"1"}}`,
			`{"resourceType":"Basic","\u0069d":"x","m\u0065ta":{"lastUpdated":"2024-03-05T12:00:00.042Z","version\u0049d":"7"}}`,
		},
		{"the same id in other letters", `{"resourceType":"Basic","id":"\u0078"}`, `{"resourceType":"Basic","id":"x","meta":{` + stampedMeta + `}}`},
		{"the same id", `{"resourceType":"Basic","id":"x"}`, `{"resourceType":"Basic","id":"x","meta":{` + stampedMeta + `}}`},
		{
			"ids and metas further in are others'", `{"contained":[{"resourceType":"Basic","id":"c","meta":{"versionId":"1"}}],"resourceType":"Basic"}`,
			`{"contained":[{"resourceType":"Basic","id":"c","meta":{"versionId":"1"}}],"resourceType":"Basic","id":"x","meta":{` + stampedMeta + `}}`,
		},
		{
			"numbers and escapes keep their text", `{"resourceType":"Basic","a":[1.00,1E-22,"\u003c\/"]}`,
			`{"resourceType":"Basic","id":"x","meta":{` + stampedMeta + `},"a":[1.00,1E-22,"\u003c\/"]}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := fhir.Stamp(read(t, tt.in), "x", 7, noon)
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// equalWalk tells whether two values are the same, and stand in the same places.
func equalWalk(a, b tape.Node) bool {
	aStart, aEnd := a.Span()
	bStart, bEnd := b.Span()
	if a.Kind() != b.Kind() || a.Len() != b.Len() || a.Text() != b.Text() || aStart != bStart || aEnd != bEnd {
		return false
	}
	for v, w := a.Walk(), b.Walk(); v.Next() && w.Next(); {
		if v.Name().Text() != w.Name().Text() || !equalWalk(v.Value(), w.Value()) {
			return false
		}
	}
	return true
}

// Invariant 1: what was sent is what is stored, token for token, but for the three members.
func TestStamp_leavesEveryOtherTokenAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src := basic(t)
		stamped := fhir.Stamp(read(t, src), "x", 7, noon)
		doc := read(t, string(stamped))
		root := doc.Root()
		if !bytes.Equal(doc.Bytes(), stamped) || !root.Get("id").Is("x") || !root.Path("meta", "versionId").Is("7") ||
			!root.Path("meta", "lastUpdated").Is(fhir.Instant(noon)) {
			t.Fatalf("%s stamped is %s", src, stamped)
		}
		if diff := cmp.Diff(others(t, []byte(src)), others(t, stamped)); diff != "" {
			t.Fatalf("%s stamped is %s:\n%s", src, stamped, diff)
		}
		r := fhir.Stamped(read(t, src), fhir.Key{ID: "x"}, 7, noon)
		if !bytes.Equal(r.JSON, stamped) || !equalWalk(r.Doc().Root(), doc.Root()) {
			t.Fatalf("%s stamped with its parse is %s", src, r.JSON)
		}
		if again := fhir.Stamp(doc, "x", 7, noon); !bytes.Equal(again, stamped) {
			t.Fatalf("stamped again, %s is %s", stamped, again)
		}
		if !fhir.SameContent(read(t, src), doc) {
			t.Fatalf("%s is not the same content as %s", src, stamped)
		}
	})
}

// SameContent says the same as comparing the tokens that are not stamped.
func TestSameContent_isEqualityOfAllOtherTokens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := basic(t)
		b := basic(t)
		if rapid.Bool().Draw(t, "related") {
			changed := strings.Replace(a, rapid.SampledFrom([]string{"1.0", `"tag"`, `"meta"`, `"y"`, `"3"`, "code"}).Draw(t, "old"), rapid.SampledFrom([]string{"1.00", `"taG"`, `"z"`, `"meta"`}).Draw(t, "new"), 1)
			if _, err := fhir.Read([]byte(changed), 0); err == nil { // else the change broke what must be whole
				b = changed
			}
		}
		want := slices.Equal(others(t, []byte(a)), others(t, []byte(b)))
		if got := fhir.SameContent(parse(t, a), parse(t, b)); got != want {
			t.Fatalf("%s and %s: got %v", a, b, got)
		}
	})
}

func TestSameContent(t *testing.T) {
	const base = `{"resourceType":"Basic","id":"x","meta":{"versionId":"1","lastUpdated":"2024-01-01T00:00:00Z","tag":[{"code":"a"}]},"n":1.0}`
	tests := []struct {
		name, a, b string
		want       bool
	}{
		{"itself", base, base, true},
		{"other id, version and time, elsewhere", base, `{"id":"y","resourceType":"Basic","meta":{"tag":[{"code":"a"}],"versionId":"2"},"n":1.0}`, true},
		{"other tag", base, strings.Replace(base, `"a"`, `"b"`, 1), false},
		{"tag gone", base, `{"resourceType":"Basic","n":1.0}`, false},
		{"number text", base, strings.Replace(base, "1.0", "1.00", 1), false},
		{"order", `{"resourceType":"Basic","a":1,"b":2}`, `{"resourceType":"Basic","b":2,"a":1}`, false},
		{"more behind", `{"resourceType":"Basic"}`, `{"resourceType":"Basic","a":1}`, false},
		{"no meta and a meta of nothing", `{"resourceType":"Basic"}`, `{"resourceType":"Basic","meta":{}}`, true},
		{"no meta and a stamped one", `{"resourceType":"Basic"}`, `{"resourceType":"Basic","meta":{"versionId":"1"}}`, true},
		{"a member that looks like one of meta", `{"resourceType":"Basic","meta":{"tag":[1]}}`, `{"resourceType":"Basic","meta.tag":[1]}`, false},
		{"extension of a stamped member", `{"resourceType":"Basic","_id":{}}`, `{"resourceType":"Basic"}`, false},
		{"extension of meta's", `{"resourceType":"Basic","meta":{"_versionId":{}}}`, `{"resourceType":"Basic","meta":{}}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, pair := range [][2]string{{tt.a, tt.b}, {tt.b, tt.a}} {
				if got := fhir.SameContent(read(t, pair[0]), read(t, pair[1])); got != tt.want {
					t.Errorf("%s and %s: got %v", pair[0], pair[1], got)
				}
			}
		})
	}
}

// basic draws a resource that Read accepts, with id and meta in any state.
func basic(t *rapid.T) string {
	members := []string{`"resourceType":"Basic"`}
	add := func(choices ...string) {
		if m := rapid.SampledFrom(choices).Draw(t, "member"); m != "" {
			members = append(members, m)
		}
	}
	add("", `"id":"y"`, `"\u0069d":"y"`)
	add("", `"_id":{"extension":[{"url":"u"}]}`)
	add("", `"code":{"text":"a \u003c \"b\""}`, `"code":{"coding":[]}`)
	add("", `"n":1.0`, `"n":[1e3,{"id":"z","meta":{"versionId":"1"}}]`)
	add("", `"meta.tag":[]`, `"versionId":"9"`)
	var meta []string
	inner := func(choices ...string) {
		if m := rapid.SampledFrom(choices).Draw(t, "meta member"); m != "" {
			meta = append(meta, m)
		}
	}
	inner("", `"versionId":"3"`, `"versionId":3`, `"version\u0049d":{"a":1}`)
	inner("", `"lastUpdated":"2020-01-01T00:00:00Z"`, `"lastUpdated":null`)
	inner("", `"_lastUpdated":{"id":"e"}`)
	inner("", `"tag":[{"code":"a"}]`)
	if rapid.Bool().Draw(t, "has meta") {
		members = append(members, `"meta":{`+strings.Join(rapid.Permutation(meta).Draw(t, "meta order"), ",")+`}`)
	}
	sep := rapid.SampledFrom([]string{",", " , ", "\n,"}).Draw(t, "separator")
	return "{" + strings.Join(rapid.Permutation(members).Draw(t, "order"), sep) + "}"
}

// others lists the document's tokens as encoding/json sees their texts, each with its path, without what Stamp owns.
func others(t interface{ Fatalf(string, ...any) }, src []byte) []string {
	d := json.NewDecoder(bytes.NewReader(src))
	d.UseNumber()
	var all []string
	var walk func(path string)
	walk = func(path string) {
		token, err := d.Token()
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		owned := path == "/id" || path == "/meta/versionId" || path == "/meta/lastUpdated"
		if delim, ok := token.(json.Delim); ok {
			before := len(all)
			all = append(all, path+" "+delim.String())
			for i := 0; d.More(); i++ {
				name := fmt.Sprint(i)
				if delim == '{' {
					key, _ := d.Token()
					name = key.(string)
				}
				walk(path + "/" + name)
			}
			_, _ = d.Token()
			if owned || path == "/meta" && len(all) == before+1 {
				all = all[:before]
			}
			return
		}
		if !owned {
			all = append(all, fmt.Sprintf("%s %T %v", path, token, token))
		}
	}
	walk("")
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		t.Fatalf("%s: %v", src, err)
	}
	return all
}

func read(t interface{ Fatalf(string, ...any) }, src string) *tape.Doc {
	in, err := fhir.Read([]byte(src), 0)
	if err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	return in.Doc
}

func parse(t interface{ Fatalf(string, ...any) }, src string) *tape.Doc {
	doc, err := tape.Parse([]byte(src), 0)
	if err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	return doc
}

// BenchmarkStamp stamps what clients send, and reads what came of it.
func BenchmarkStamp(b *testing.B) {
	in, err := fhir.Read([]byte(`{"resourceType":"Observation","status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory","display":"Laboratory"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"718-7","display":"Hemoglobin [Mass/volume] in Blood"}],"text":"Hemoglobin"},"subject":{"reference":"Patient/p1","display":"Ada Example"},"encounter":{"reference":"Encounter/e1"},"effectiveDateTime":"2026-05-04T10:00:00Z","issued":"2026-05-04T11:30:00.000Z","performer":[{"reference":"Organization/lab","display":"Example Laboratory"}],"valueQuantity":{"value":13.2,"unit":"g/dL","system":"http://unitsofmeasure.org","code":"g/dL"},"note":[{"text":"measured twice, the second value is reported"}],"referenceRange":[{"low":{"value":12.0,"unit":"g/dL"},"high":{"value":15.5,"unit":"g/dL"},"text":"12.0 to 15.5 g/dL"}]}`), 0)
	if err != nil {
		b.Fatal(err)
	}
	key := fhir.Key{Tenant: fhir.DefaultTenant, Type: in.Type, ID: "b7d2c6a0-3c5e-4e0b-9a53-4f7d31c2a9e1"}
	for _, way := range []struct {
		name  string
		stamp func() *fhir.Resource
	}{
		{"parse moved", func() *fhir.Resource { return fhir.Stamped(in.Doc, key, 1, noon) }},
		{"parsed again", func() *fhir.Resource {
			return &fhir.Resource{Key: key, Version: 1, Updated: noon, JSON: fhir.Stamp(in.Doc, key.ID, 1, noon)}
		}},
	} {
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				way.stamp().Doc()
			}
		})
	}
}
