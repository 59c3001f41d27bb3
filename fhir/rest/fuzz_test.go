package rest

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirhook/criteria"
	"fhirhook/fhir"
)

// FuzzParseTarget: what is accepted has a form that leads back to itself.
func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{
		"Patient", "Patient/1", "/Patient/1/", "Patient/1/_history/2", "Patient/1/_history", "_history", "metadata", "", "/",
		"Patient?name=a%2Cb&x=https://y.example/z", "http://h.example/fhir/R4/Patient/1", "http://h.example/fhir/R4X/1", "Patient/%2e%2e", "Patient//1", "Patient/1#x", "?_type=Patient",
		"Patient/$op", "Patient/_search",
	} {
		f.Add(s)
	}
	server := &Server{routes: routes()}
	f.Fuzz(func(t *testing.T, s string) {
		const base = "http://h.example/fhir/R4"
		got, err := parseTarget(base, s)
		if err != nil {
			return
		}
		if got.typ != "" && !got.typ.Known() || strings.HasPrefix(got.id, "_") || strings.HasPrefix(got.id, "$") {
			t.Fatalf("%q: %+v", s, got)
		}
		if r, err := server.interactionOf("GET", got); err == nil && r.code == "" {
			t.Fatalf("%q: a route without a code", s)
		}
		if !fhir.ValidID(got.id) {
			return
		}
		path := string(got.typ) + "/" + got.id
		if got.version != "" {
			path += "/_history/" + url.PathEscape(got.version)
		} else if got.special != "" {
			path += "/" + got.special
		}
		again, err := parseTarget(base, withQuery(path, got.query))
		if err != nil {
			t.Fatalf("%q became %q: %v", s, path, err)
		}
		if diff := cmp.Diff(got, again, cmp.AllowUnexported(target{})); diff != "" {
			t.Fatalf("%q: %s", s, diff)
		}
	})
}

func FuzzEncodeQuery(f *testing.F) {
	f.Add("name=a%20b&_x=1%2C2&&y")
	f.Fuzz(func(t *testing.T, raw string) {
		pairs, err := criteria.ParsePairs(raw)
		if err != nil {
			return
		}
		again, err := criteria.ParsePairs(encodeQuery(pairs))
		if err != nil || !slices.Equal(pairs, again) {
			t.Fatalf("%q: %v, %v, %v", raw, pairs, again, err)
		}
	})
}

// FuzzHeaders: no header makes a parser panic, and what it accepts is in range.
func FuzzHeaders(f *testing.F) {
	for _, s := range []string{`W/"1"`, `"1", W/"2"`, `*`, `1`, `return=minimal; handling=strict`, `application/fhir+json;q=0.5, */*`, "xml", ",;=", `W/""`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if ids, err := parseTags("If-Match", s); err == nil {
			for _, id := range ids {
				if id != "*" && !fhir.ValidID(id) {
					t.Fatalf("tag %q of %q", id, s)
				}
			}
		}
		if p, err := parsePrefer([]string{s}); err == nil && p.ret != "" && !slices.Contains([]string{minimal, representation, asOutcome}, p.ret) {
			t.Fatalf("return %q of %q", p.ret, s)
		}
		for _, parse := range []func() (string, error){
			func() (string, error) { return accept([]string{s}) },
			func() (string, error) { return parseFormat(s) },
		} {
			if got, err := parse(); err == nil && got != FHIRJSON && got != "application/json" {
				t.Fatalf("%q gives %q", s, got)
			}
		}
		_ = checkConsumable(s)
		_, _ = parseConditions(func(string) (string, bool) { return s, true })
	})
}
