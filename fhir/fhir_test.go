package fhir_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fhirhook/fhir"
)

func TestRead(t *testing.T) {
	tests := []struct {
		name, src  string
		kind       fhir.Kind
		expression string
		text       string // a part of the diagnostic
	}{
		{"not JSON", "{\n  x}", fhir.Structure, "", "line 2, column 3"},
		{"an array", `[]`, fhir.Structure, "", "this is a JSON array"},
		{"no type", `{"id":"x"}`, fhir.Required, "Resource.resourceType", "missing"},
		{"type of the wrong type", `{"resourceType":1}`, fhir.Value, "Resource.resourceType", "must be a string"},
		{"unknown type", `{"resourceType":"Pationt"}`, fhir.Value, "Resource.resourceType", `"Pationt" is not a resource type`},
		{"abstract type", `{"resourceType":"DomainResource"}`, fhir.Value, "Resource.resourceType", "not a resource type"},
		{"wrong case", `{"resourceType":"patient"}`, fhir.Value, "Resource.resourceType", "not a resource type"},
		{"long unknown type", `{"resourceType":"` + strings.Repeat("x", 1e5) + `"}`, fhir.Value, "Resource.resourceType", "not a resource type"},
		{"id with a slash", `{"resourceType":"Patient","id":"a/b"}`, fhir.Value, "Patient.id", `"a/b" is not a FHIR id`},
		{"empty id", `{"resourceType":"Patient","id":""}`, fhir.Value, "Patient.id", "not a FHIR id"},
		{"null id", `{"resourceType":"Patient","id":null}`, fhir.Value, "Patient.id", "not a FHIR id"},
		{"numeric id", `{"resourceType":"Patient","id":7}`, fhir.Value, "Patient.id", "not a FHIR id"},
		{"long id", `{"resourceType":"Patient","id":"` + strings.Repeat("ü", 1e5) + `"}`, fhir.Value, "Patient.id", "not a FHIR id"},
		{"meta is a list", `{"resourceType":"Patient","meta":[]}`, fhir.Value, "Patient.meta", "this is a JSON array"},
		{"meta is null", `{"resourceType":"Patient","meta":null}`, fhir.Value, "Patient.meta", "this is a JSON null"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := fhir.Read([]byte(tt.src), 0)
			e, ok := errors.AsType[*fhir.Error](err)
			if !ok {
				t.Fatalf("got %v", err)
			}
			if e.Kind != tt.kind || e.Expression != tt.expression || !strings.Contains(e.Diagnostic, tt.text) || len(e.Diagnostic) > 300 {
				t.Errorf("got kind %d, %.400v", e.Kind, e)
			}
		})
	}
}

func TestRead_acceptsAnyResource(t *testing.T) {
	in, err := fhir.Read([]byte(` {"extra":[{}],"id":"A-1.b","resourceType":"Patient","meta":{}} `), 0)
	if err != nil {
		t.Fatal(err)
	}
	if in.Type != "Patient" || in.ID != "A-1.b" || string(in.Doc.Bytes()) != `{"extra":[{}],"id":"A-1.b","resourceType":"Patient","meta":{}}` {
		t.Errorf("got %+v", in)
	}
	if _, err := fhir.Read([]byte(`{"resourceType":"Patient","a":{"b":{}}}`), 2); fhir.KindOf(err) != fhir.Structure {
		t.Errorf("the depth given does not count: %v", err)
	}
}

func TestValidID(t *testing.T) {
	valid := func(s string) bool { // the expression of R4 datatypes.html#id
		const set = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-."
		return len(s) >= 1 && len(s) <= 64 && strings.Trim(s, set) == "" && !strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune(set, r) })
	}
	for _, s := range []string{"", "a", strings.Repeat("a", 64), strings.Repeat("a", 65), "a_b", "ä", "a b", "a\n", "1.2.3", "-"} {
		if fhir.ValidID(s) != valid(s) {
			t.Errorf("ValidID(%q) is %v", s, fhir.ValidID(s))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		if s := rapid.StringMatching(`[A-Za-z0-9.\-]{0,70}.?`).Draw(t, "s"); fhir.ValidID(s) != valid(s) {
			t.Fatalf("ValidID(%q) is %v", s, fhir.ValidID(s))
		}
	})
}

func TestNewID_isValidAndRises(t *testing.T) {
	var ids []string
	for range 2000 {
		ids = append(ids, fhir.NewID())
	}
	if !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != len(ids) || !fhir.ValidID(ids[0]) {
		t.Errorf("not distinct and rising: %v …", ids[:3])
	}
}

func TestParseInstant(t *testing.T) {
	tests := []struct{ in, want string }{ // "" is an error
		{"2024-03-05T12:00:00Z", "2024-03-05T12:00:00.000Z"},
		{"2024-03-05T12:00:00.1239+02:00", "2024-03-05T10:00:00.123Z"},
		{"2024-02-29T23:59:59.999-14:00", "2024-03-01T13:59:59.999Z"},
		{"2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"},
		{"2024-03-05T12:00:00", ""},
		{"2024-03-05T12:00Z", ""},
		{"2024-03-05", ""},
		{"2024-03-05 12:00:00Z", ""},
		{"2024-03-05T1:00:00Z", ""},
		{"2024-03-05T12:00:00,5Z", ""},
		{"2024-03-05T12:00:00+14:30", ""},
		{"2024-03-05T24:00:00Z", ""},
		{"2023-02-29T12:00:00Z", ""},
		{"2024-03-05T12:00:61Z", ""},
		{"", ""},
	}
	for _, tt := range tests {
		got, err := fhir.ParseInstant(tt.in)
		switch {
		case tt.want == "" && err == nil:
			t.Errorf("%q is accepted as %v", tt.in, got)
		case tt.want != "" && (err != nil || fhir.Instant(got) != tt.want):
			t.Errorf("%q is read as %v, %v", tt.in, got, err)
		}
	}
}

func TestInstant_holdsWhatMillisLeaves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(0, 250e9).Draw(t, "s"), rapid.Int64Range(0, 1e9-1).Draw(t, "ns")).In(time.FixedZone("", 3600))
		got, err := fhir.ParseInstant(fhir.Instant(at))
		if err != nil || !got.Equal(fhir.Millis(at)) || fhir.Millis(at).Location() != time.UTC {
			t.Fatalf("%v becomes %v, %v", at, got, err)
		}
	})
}

func TestError(t *testing.T) {
	cause := io.ErrUnexpectedEOF
	e := fhir.Errorf(fhir.Conflict, "Patient.id", "taken by %s", "x")
	e.Err = cause
	wrapped := fmt.Errorf("entry 3: %w", e)
	if e.Error() != "Patient.id: taken by x: unexpected EOF" || !errors.Is(wrapped, cause) || fhir.KindOf(wrapped) != fhir.Conflict {
		t.Errorf("got %v of kind %d", wrapped, fhir.KindOf(wrapped))
	}
	if fhir.KindOf(cause) != fhir.Internal || fhir.KindOf(nil) != fhir.Internal {
		t.Error("an error of no kind must be internal")
	}
}

func TestJoin_keepsOrderAndItsArguments(t *testing.T) {
	if err := fhir.Join(nil); err != nil {
		t.Errorf("nothing joined is %v", err)
	}
	a, b, c, d := fhir.Errorf(fhir.Value, "a", ""), fhir.Errorf(fhir.Invalid, "b", ""), fhir.Errorf(fhir.Required, "c", ""), fhir.Errorf(fhir.Gone, "d", "")
	a.More = append(make([]*fhir.Error, 0, 8), b)
	one, _ := errors.AsType[*fhir.Error](fhir.Join([]*fhir.Error{a, c}))
	two, _ := errors.AsType[*fhir.Error](fhir.Join([]*fhir.Error{a, d}))
	if diff := cmp.Diff([][]*fhir.Error{{b}, {b, c}, {b, d}}, [][]*fhir.Error{a.More, one.More, two.More}); diff != "" {
		t.Error(diff)
	}
	if one.Kind != fhir.Value || one.Expression != "a" {
		t.Errorf("led by %v", one)
	}
}

func TestResource_itsNames(t *testing.T) {
	r := &fhir.Resource{Key: fhir.Key{Tenant: "t", Type: "Patient", ID: "x"}, Version: 12}
	if diff := cmp.Diff([]string{"Patient/x", "12", `W/"12"`, "Patient/x/_history/12"},
		[]string{r.Key.String(), r.VersionID(), r.ETag(), r.VersionedReference()}); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"unknown", "create", "update", "delete"},
		[]string{fhir.Interaction(0).String(), fhir.Create.String(), fhir.Update.String(), fhir.Delete.String()}); diff != "" {
		t.Error(diff)
	}
}

func TestResource_Doc(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 500) + "1" + strings.Repeat("}", 500)
	r := &fhir.Resource{JSON: []byte(`{"resourceType":"Basic","deep":` + deep + `}`)}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if !r.Doc().Root().Get("resourceType").Is("Basic") {
				t.Error("it is not read; how deep a resource may be is not Doc's to decide")
			}
		})
	}
	group.Wait()
	for _, r := range []*fhir.Resource{{Deleted: true}, {JSON: []byte("{")}} {
		if doc := r.Doc(); doc.Root().Exists() || len(doc.Bytes()) != 0 {
			t.Errorf("got %s", doc.Bytes())
		}
	}
}

func TestTypes(t *testing.T) {
	all := fhir.Types()
	if len(all) != 146 || !slices.IsSorted(all) || !all[0].Known() || fhir.Type("Resource").Known() || fhir.Type("").Known() {
		t.Errorf("%d types: %v", len(all), all)
	}
	for _, named := range []fhir.Type{fhir.AuditEvent, fhir.Binary, fhir.Bundle, fhir.CapabilityStatement, fhir.OperationOutcome, fhir.Parameters, fhir.SearchParameter, fhir.Subscription, fhir.ValueSet} {
		if !named.Known() {
			t.Errorf("%s is not known", named)
		}
	}
}
