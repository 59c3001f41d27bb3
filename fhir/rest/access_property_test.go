package rest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store/storetest"
)

// twin is an endpoint over a store of its own, asked without a network.
type twin struct {
	server *Server
	token  string
}

func newTwin(t *rapid.T, who callers, token string) *twin {
	db := storetest.NewModel()
	s, err := New(Options{
		DB: db, Search: search.New(db, criteria.R4(), search.Options{}), Authenticator: who,
		Definitions: func(context.Context, string) (*criteria.Definitions, error) { return criteria.R4(), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return &twin{s, token}
}

func (w *twin) do(method, path, body, token string) reply {
	q := httptest.NewRequest(method, "http://own.example"+Prefix+path, strings.NewReader(body))
	q.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		q.Header.Set("Content-Type", FHIRJSON)
	}
	rec := httptest.NewRecorder()
	w.server.ServeHTTP(rec, q)
	return reply{rec.Code, rec.Header(), rec.Body.Bytes()}
}

// drawThings draws resources about two patients.
func drawThings(t *rapid.T) (all []thing) {
	seen := map[string]bool{}
	for range rapid.IntRange(1, 25).Draw(t, "things") {
		subject := rapid.SampledFrom([]string{"p1", "p2"}).Draw(t, "subject")
		x := thing{rapid.SampledFrom([]fhir.Type{"Observation", "Observation", "List", "Patient", "Practitioner"}).Draw(t, "type"), "", "", subject}
		switch x.typ {
		case "Patient":
			x.id = subject
		case "Practitioner":
			x.id, x.subject = "d1", ""
		case "Observation":
			x.id = fmt.Sprintf("o%d", rapid.IntRange(1, 9).Draw(t, "id"))
			x.code = rapid.SampledFrom([]string{"a", "b"}).Draw(t, "code")
		default:
			x.id = fmt.Sprintf("l%d", rapid.IntRange(1, 3).Draw(t, "id"))
		}
		if !seen[x.ref()] {
			seen[x.ref()] = true
			all = append(all, x)
		}
	}
	return all
}

// drawScopes draws scopes to read and find.
func drawScopes(t *rapid.T) scopes {
	of := []struct {
		text string
		also []given
	}{
		{"system/Observation.rs", []given{{"Observation", "rs", nil}}},
		{"system/Observation.rs?code=a", []given{{"Observation", "rs", coded("a")}}},
		{"user/Observation.rs?code=urn:c%7Cb", []given{{"Observation", "rs", coded("b")}}},
		{"patient/Observation.rs", []given{{"Observation", "rs", compartment}}},
		{"patient/Observation.rs?code=a", []given{{"Observation", "rs", func(x thing) bool { return compartment(x) && coded("a")(x) }}}},
		{"patient/*.rs", []given{{"Observation", "rs", compartment}, {"Patient", "rs", compartment}, {"List", "rs", compartment}}},
		{"system/Patient.rs?_id=p2", []given{{"Patient", "rs", func(x thing) bool { return x.ref() == "Patient/p2" }}}},
		{"system/Patient.rs", []given{{"Patient", "rs", nil}}},
		{"system/List.rs", []given{{"List", "rs", nil}}},
		{"system/Practitioner.rs", []given{{"Practitioner", "rs", nil}}},
	}
	s := scopes{name: "some"}
	for _, i := range rapid.SliceOfNDistinct(rapid.IntRange(0, len(of)-1), 1, 4, rapid.ID).Draw(t, "scopes") {
		s.text += " " + of[i].text
		s.given = append(s.given, of[i].also...)
	}
	return s
}

// revealing are requests that lead everywhere.
var revealing = []struct {
	typ  fhir.Type
	path string
}{
	{"Observation", "/Observation"},
	{"Observation", "/Observation?_total=accurate&_count=2"},
	{"Observation", "/Observation?_summary=count"},
	{"Observation", "/Observation?_sort=-_id&_count=3"},
	{"Observation", "/Observation?subject:Patient.name:contains=planted"},
	{"Observation", "/Observation?subject:Patient.general-practitioner.family:contains=planted"},
	{"Observation", "/Observation?_has:List:item:title:contains=planted"},
	{"Observation", "/Observation?_list=l1"},
	{"Observation", "/Observation?_filter=code%20eq%20a%20or%20patient.name%20co%20planted"},
	{"Observation", "/Observation?_include=*&_revinclude=*"},
	{"Observation", "/Observation?_include=Observation:subject&_include:iterate=Patient:general-practitioner&_revinclude=List:item"},
	{"Patient", "/Patient?_has:Observation:patient:code=b"},
	{"Patient", "/Patient?_revinclude=Observation:patient&_revinclude:iterate=List:item"},
	{"Patient", "/Patient?_sort=name&_count=1"},
	{"Practitioner", "/Practitioner?_has:Patient:general-practitioner:_has:Observation:patient:code=b"},
	{"List", "/List?item:Observation.code=a&_include=List:item"},
	{"Observation", "/Patient/p2/Observation"},
	{"", "/Patient/p1/*"},
	{"", "?_type=Observation,Patient,List,Practitioner&_total=accurate&_count=4"},
	{"", "/Patient/$everything?_count=3"},
	{"", "/_history"},
	{"Observation", "/Observation/_history?_count=2"},
}

// TestAccess_asIfNothingElseWereThere holds what a caller finds, page by page and with totals, against what
// an administrator finds in a store that has only what the caller may see. It judges by the model alone.
func TestAccess_asIfNothingElseWereThere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		things, s := drawThings(rt), drawScopes(rt)
		who := callers{}
		who.add(t, "admin", "system/*.cruds", true)
		who.add(t, "some", s.text, false)
		all, seen := newTwin(rt, who, "some"), newTwin(rt, who, "admin")
		for _, x := range things {
			for _, w := range []*twin{all, seen} {
				if w == seen && !s.on("rs", x) {
					continue
				}
				if r := w.do("PUT", "/"+x.ref(), x.json(""), "admin"); r.status != 201 {
					rt.Fatalf("%s: %s", x.ref(), r.body)
				}
			}
		}
		for _, q := range revealing {
			got, text := all.pages(rt, q.path)
			if q.typ != "" && !s.may("s", q.typ) {
				if !strings.HasPrefix(got, "403") {
					rt.Errorf("%s without a scope for %s: %s", q.path, q.typ, got)
				}
				continue
			}
			want, _ := seen.pages(rt, q.path)
			if got != want {
				rt.Errorf("%s with%s:\n got %s\nwant %s", q.path, s.text, got, want)
			}
			for _, x := range things {
				if !s.on("rs", x) && strings.Contains(text, x.planted()) {
					rt.Errorf("%s with%s tells of %s: %s", q.path, s.text, x.ref(), text)
				}
			}
		}
		for _, x := range things {
			for _, suffix := range []string{"", "/_history/1", "/_history", "/$meta", "/$everything"} {
				if suffix == "/$everything" && x.typ != "Patient" {
					continue
				}
				r := all.do("GET", "/"+x.ref()+suffix, "", "some")
				want := status(s.on("r", x), 200, status(s.may("r", x.typ), 404, 403))
				if r.status != want || want != 200 && strings.Contains(string(r.body), "planted") {
					rt.Errorf("%s%s with%s: %d, want %d: %s", x.ref(), suffix, s.text, r.status, want, r.body)
				}
			}
		}
	})
}

// versionsAndTimes differ between the two stores.
var versionsAndTimes = regexp.MustCompile(`"lastUpdated":"[^"]*"|-page=[^"]*|-before=[^"]*`)

// pages follows the links of a searchset or history to the end. It returns what was found, and all of the text.
func (w *twin) pages(t *rapid.T, path string) (found, text string) {
	var all []string
	for n := 0; path != ""; n++ {
		if n > 60 {
			t.Fatalf("%s has no end", path)
		}
		r := w.do("GET", path, "", w.token)
		if r.status != 200 {
			return fmt.Sprint(r.status), string(r.body)
		}
		text += string(r.body)
		var b struct {
			Total *int
			Entry []struct {
				Resource json.RawMessage
				Search   struct{ Mode string }
			}
		}
		if err := json.Unmarshal(r.body, &b); err != nil {
			t.Fatal(err)
		}
		page := []string{}
		for _, e := range b.Entry {
			page = append(page, e.Search.Mode+versionsAndTimes.ReplaceAllString(string(e.Resource), ""))
		}
		if strings.Contains(path, "_sort=") || strings.Contains(path, "_history") {
			all = append(all, page...)
		} else {
			slices.Sort(page)
			all = append(all, page...)
		}
		if b.Total != nil {
			all = append(all, fmt.Sprint("total ", *b.Total))
		}
		_, path, _ = strings.Cut(r.link("next"), Prefix)
	}
	if strings.Contains(text, `"type":"history"`) {
		slices.Sort(all) // pages of histories end where their walk does
	}
	return strings.Join(all, "\n"), text
}

// TestAccess_transactionsSeeNoMore: reads and searches inside a transaction see what they see outside, and what it
// wrote.
func TestAccess_transactionsSeeNoMore(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	for _, s := range someScopes {
		for _, path := range []string{"Observation/o2", "Observation/o2/_history", "Observation/o2/_history/1", "Observation?_include=*&_revinclude=*", "?_type=Observation,Patient,List", "Patient/p2/Observation", "_history", "Observation/_history", "Patient/p2/*"} {
			for _, kind := range []string{"batch", "transaction"} {
				outside := w.as(s, "GET", "/"+path, "")
				inside := w.as(s, "POST", "", bundleOf(kind, `{"request":{"method":"GET","url":"`+path+`"}}`))
				w.mustNotTell(t, s, kind+" of "+path, inside)
				got := inside.status
				if kind == "batch" || inside.status == 200 {
					fmt.Sscan(inside.at("entry", 0, "response", "status"), &got)
				}
				if got != outside.status {
					t.Errorf("%s of %s as %s: %d, outside %d", kind, path, s.name, got, outside.status)
				}
			}
		}
	}
}

// TestAccess_unreadablePrincipalsMayNothing: a caller whom nobody compiled is nobody.
func TestAccess_unreadablePrincipalsMayNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(o *Options) {
		o.Authenticator = callers{"raw": {Tenant: fhir.DefaultTenant, Scopes: auth.Scopes{}}}
	})
	for _, path := range []string{"/Patient", "/Patient/1", "/Patient/_history"} {
		if r := h.do("GET", path, "", "Authorization: Bearer raw"); r.status != 403 {
			t.Errorf("%s: %d", path, r.status)
		}
	}
}
