package rest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/validate"
)

// callers are principals by the token that they send, here their name.
type callers map[string]*auth.Principal

func (c callers) Authenticate(_ context.Context, authorization ...string) (*auth.Principal, error) {
	if len(authorization) == 0 {
		return nil, &auth.RefusedError{Reason: auth.Missing, Text: "send a token"}
	}
	name, _ := strings.CutPrefix(authorization[0], "Bearer ")
	if p, ok := c[name]; ok {
		return p, nil
	}
	return nil, &auth.RefusedError{Reason: auth.Unknown, Text: "the token is not known here"}
}

// add makes a caller of the default tenant, whose patient/ scopes are about Patient/p1.
func (c callers) add(t testing.TB, name, scopes string, admin bool) {
	t.Helper()
	parsed, err := auth.ParseScopes(scopes)
	if err != nil {
		t.Fatal(err)
	}
	p := auth.Principal{Issuer: "test", Subject: name, Tenant: fhir.DefaultTenant, Scopes: parsed, Patient: "p1", Admin: admin}
	c[name] = p.Compile(criteria.R4())
	if err := c[name].Problem(); err != nil {
		t.Fatal(err)
	}
}

// thing is what the model knows of a resource: enough to say who may do what with it.
type thing struct {
	typ     fhir.Type
	id      string
	code    string // of an Observation
	subject string // a Patient's id; of a Patient its own
}

func (x thing) ref() string { return string(x.typ) + "/" + x.id }

// planted is a text that stands in the resource and nowhere else.
func (x thing) planted() string { return "planted" + string(x.typ) + strings.ToUpper(x.id) + "end" }

func (x thing) json(mark string) string {
	head := fmt.Sprintf(`{"resourceType":%q,"id":%q,`, x.typ, x.id)
	text := x.planted() + mark
	switch x.typ {
	case "Observation":
		return head + fmt.Sprintf(`"status":"final","code":{"coding":[{"system":"urn:c","code":%q}],"text":%q},"subject":{"reference":"Patient/%s"}}`, x.code, text, x.subject)
	case "List":
		return head + fmt.Sprintf(`"status":"current","mode":"working","title":%q,"subject":{"reference":"Patient/%s"},"entry":[{"item":{"reference":"Observation/o1"}},{"item":{"reference":"Observation/o2"}}]}`, text, x.subject)
	case "Patient":
		return head + fmt.Sprintf(`"name":[{"family":%q}],"generalPractitioner":[{"reference":"Practitioner/d1"}]}`, text)
	default:
		return head + fmt.Sprintf(`"name":[{"family":%q}]}`, text)
	}
}

// given is a scope as the model reads it: SMART App Launch 2, "Scopes for requesting FHIR Resources". It shares nothing
// with package auth.
type given struct {
	typ     fhir.Type // "": all
	letters string
	only    func(thing) bool // nil: all
}

type scopes struct {
	name, text string
	given      []given
	all        bool // no scope is needed
}

// may tells whether a letter is given for some resources of a type.
func (s scopes) may(letter string, t fhir.Type) bool {
	return s.all || slices.ContainsFunc(s.given, func(g given) bool {
		return (g.typ == "" || t == "" || g.typ == t) && strings.Contains(g.letters, letter)
	})
}

// on tells whether one of the letters is given for a resource.
func (s scopes) on(letters string, x thing) bool {
	return s.all || slices.ContainsFunc(s.given, func(g given) bool {
		return (g.typ == "" || g.typ == x.typ) && strings.ContainsAny(g.letters, letters) && (g.only == nil || g.only(x))
	})
}

// compartment is the model's compartment of Patient/p1: itself, and what is about it.
func compartment(x thing) bool { return x.subject == "p1" && x.typ != "Practitioner" }

func coded(code string) func(thing) bool {
	return func(x thing) bool { return x.typ == "Observation" && x.code == code }
}

var someScopes = []scopes{
	{name: "admin", all: true},
	{name: "nothing", text: "system/Basic.cruds", given: []given{{"Basic", "cruds", nil}}},
	{name: "everything", text: "system/*.cruds", given: []given{{"", "cruds", nil}}},
	{name: "other", text: "system/Patient.cruds", given: []given{{"Patient", "cruds", nil}}},
	{name: "create", text: "system/Observation.c", given: []given{{"Observation", "c", nil}}},
	{name: "read", text: "system/Observation.r", given: []given{{"Observation", "r", nil}}},
	{name: "update", text: "system/Observation.u", given: []given{{"Observation", "u", nil}}},
	{name: "delete", text: "system/Observation.d", given: []given{{"Observation", "d", nil}}},
	{name: "search", text: "system/Observation.s", given: []given{{"Observation", "s", nil}}},
	{name: "createsearch", text: "system/Observation.cs", given: []given{{"Observation", "cs", nil}}},
	{name: "updatesearch", text: "system/Observation.us", given: []given{{"Observation", "us", nil}}},
	{name: "deletesearch", text: "system/Observation.ds", given: []given{{"Observation", "ds", nil}}},
	{name: "readsearch", text: "user/*.rs", given: []given{{"", "rs", nil}}},
	{name: "firstversion", text: "user/Observation.read user/Observation.write", given: []given{{"Observation", "cruds", nil}}},
	{name: "granular", text: "system/Observation.cruds?code=a", given: []given{{"Observation", "cruds", coded("a")}}},
	{name: "granularwrite", text: "system/Observation.rs system/Observation.cud?code=b", given: []given{{"Observation", "rs", nil}, {"Observation", "cud", coded("b")}}},
	{name: "patient", text: "patient/*.cruds", given: []given{{"Observation", "cruds", compartment}, {"Patient", "cruds", compartment}, {"List", "cruds", compartment}, {"Basic", "cruds", compartment}}},
	{name: "patientread", text: "patient/Observation.rs patient/Patient.r", given: []given{{"Observation", "rs", compartment}, {"Patient", "r", compartment}}},
	{name: "mixed", text: "patient/Observation.rs system/Practitioner.r system/List.s", given: []given{{"Observation", "rs", compartment}, {"Practitioner", "r", nil}, {"List", "s", nil}}},
}

// accessWorld is a server with callers and resources that the model knows.
type accessWorld struct {
	*harness
	things []thing
	next   int
}

func newAccessWorld(t testing.TB) *accessWorld {
	t.Helper()
	all := callers{}
	for _, s := range someScopes {
		all.add(t, s.name, s.text, s.all)
	}
	w := &accessWorld{harness: newHarness(t, func(o *Options) {
		o.Authenticator, o.DeleteMultiple, o.AllowQuiet, o.Validator = all, true, true, validate.Structure
	})}
	for _, x := range []thing{
		{"Practitioner", "d1", "", ""},
		{"Patient", "p1", "", "p1"},
		{"Patient", "p2", "", "p2"},
		{"Observation", "o1", "a", "p1"},
		{"Observation", "o2", "b", "p2"},
		{"Observation", "o3", "a", "p2"},
		{"Observation", "o4", "b", "p1"},
		{"List", "l1", "", "p1"},
		{"List", "l2", "", "p2"},
	} {
		w.put(x)
	}
	return w
}

// put stores a thing, and a second version of it.
func (w *accessWorld) put(x thing) thing {
	w.must(201, "PUT", "/"+x.ref(), x.json(""), "Authorization: Bearer admin")
	w.must(200, "PUT", "/"+x.ref(), x.json("V2"), "Authorization: Bearer admin")
	w.things = append(w.things, x)
	return x
}

// fresh stores another Observation, of its own.
func (w *accessWorld) fresh(code, subject string) thing {
	w.next++
	return w.put(thing{"Observation", fmt.Sprintf("x%d", w.next), code, subject})
}

// now takes down what a thing has become, if a write was taken.
func (w *accessWorld) now(r reply, then thing) reply {
	for i, x := range w.things {
		if x.ref() == then.ref() && r.status < 300 {
			w.things[i] = then
		}
	}
	return r
}

// id is one that nothing has.
func (w *accessWorld) id() string {
	w.next++
	return fmt.Sprintf("n%d", w.next)
}

// as sends a request as a caller.
func (w *accessWorld) as(s scopes, method, path, body string, headers ...string) reply {
	return w.do(method, path, body, append(headers, "Authorization: Bearer "+s.name)...)
}

// mustNotTell fails if an answer says something of a resource that a caller may neither read nor find; own is what the
// caller wrote in the same request.
func (w *accessWorld) mustNotTell(t *testing.T, s scopes, what string, r reply, own ...thing) {
	t.Helper()
	text := string(r.body) + fmt.Sprint(r.header)
	for _, x := range w.things {
		if s.on("rs", x) || slices.ContainsFunc(own, func(o thing) bool { return o.ref() == x.ref() }) {
			continue
		}
		if strings.Contains(text, x.planted()) || strings.Contains(text, `"id":"`+x.id+`"`) || strings.Contains(text, `R4/`+x.ref()+`"`) {
			t.Errorf("%s as %s tells of %s: %d %.300s", what, s.name, x.ref(), r.status, r.body)
		}
	}
}

func status(ok bool, yes, no int) int {
	if ok {
		return yes
	}
	return no
}

// parameters of a FHIRPath Patch that replaces the text of an Observation's code.
const fhirpathPatch = `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"replace"},{"name":"path","valueString":"Observation.code.text"},{"name":"value","valueString":"patched"}]}]}`

// interactionCase is a request and what the model says comes of it.
type interactionCase struct {
	name string
	run  func(w *accessWorld, s scopes) (r reply, want int, own []thing)
}

// reading is a case of a resource that is there.
func reading(name, method, suffix string, x thing) interactionCase {
	return interactionCase{name + " " + x.ref(), func(w *accessWorld, s scopes) (reply, int, []thing) {
		want := 403
		if s.may("r", x.typ) {
			want = status(s.on("r", x), 200, 404)
		}
		return w.as(s, method, "/"+x.ref()+suffix, ""), want, nil
	}}
}

// searching is a case of a search of a type.
func searching(method, path, body string, t fhir.Type) interactionCase {
	return interactionCase{method + " " + path + " " + body, func(w *accessWorld, s scopes) (reply, int, []thing) {
		var headers []string
		if body != "" {
			headers = append(headers, "Content-Type: application/x-www-form-urlencoded")
		}
		return w.as(s, method, path, body, headers...), status(s.may("s", t), 200, 403), nil
	}}
}

// changing are cases of a write to an Observation that is there, which needs one of each of the letters; sends tells that the
// caller sends the whole resource.
func changing(name string, sends bool, send func(w *accessWorld, s scopes, x thing) reply, letters ...string) []interactionCase {
	var all []interactionCase
	for _, about := range []thing{{"", "", "a", "p1"}, {"", "", "b", "p2"}, {"", "", "b", "p1"}} {
		all = append(all, interactionCase{name + " " + about.code + about.subject, func(w *accessWorld, s scopes) (reply, int, []thing) {
			x := w.fresh(about.code, about.subject)
			want := 200
			for _, letter := range letters {
				if !s.on(letter, x) {
					want = 403
				}
			}
			var own []thing
			if sends {
				own = []thing{x}
			}
			return send(w, s, x), want, own
		}})
	}
	return all
}

func interactionCases() []interactionCase {
	cases := []interactionCase{
		{"create", func(w *accessWorld, s scopes) (reply, int, []thing) {
			x := thing{"Observation", w.id(), "a", "p1"}
			return w.as(s, "POST", "/Observation", strings.Replace(x.json(""), `"id":"`+x.id+`",`, "", 1)), status(s.on("c", x), 201, 403), []thing{x}
		}},
		{"create of another", func(w *accessWorld, s scopes) (reply, int, []thing) {
			x := thing{"Observation", w.id(), "b", "p2"}
			return w.as(s, "POST", "/Observation", strings.Replace(x.json(""), `"id":"`+x.id+`",`, "", 1)), status(s.on("c", x), 201, 403), []thing{x}
		}},
		{"conditional create that finds nothing", func(w *accessWorld, s scopes) (reply, int, []thing) {
			x := thing{"Observation", w.id(), "a", "p1"}
			return w.as(s, "POST", "/Observation", x.json(""), "If-None-Exist: _id="+x.id), status(s.on("c", x) && s.may("s", x.typ), 201, 403), []thing{x}
		}},
		{"conditional create that finds", func(w *accessWorld, s scopes) (reply, int, []thing) {
			x := thing{"Observation", w.id(), "a", "p1"}
			there := w.fresh("a", "p1")
			ok := s.on("s", there) && s.may("c", x.typ)
			return w.as(s, "POST", "/Observation", x.json(""), "If-None-Exist: _id="+there.id), status(ok, 200, 403), []thing{x}
		}},
		{"update as create", func(w *accessWorld, s scopes) (reply, int, []thing) {
			x := thing{"Observation", w.id(), "a", "p1"}
			return w.as(s, "PUT", "/"+x.ref(), x.json("")), status(s.on("c", x), 201, 403), []thing{x}
		}},
		{"update as create of another", func(w *accessWorld, s scopes) (reply, int, []thing) {
			x := thing{"Observation", w.id(), "b", "p2"}
			return w.as(s, "PUT", "/"+x.ref(), x.json("")), status(s.on("c", x), 201, 403), []thing{x}
		}},
		{"update out of a restriction", func(w *accessWorld, s scopes) (reply, int, []thing) {
			x := w.fresh("a", "p1")
			then := thing{x.typ, x.id, "b", "p2"}
			return w.now(w.as(s, "PUT", "/"+x.ref(), then.json("")), then), status(s.on("u", x) && s.on("u", then), 200, 403), []thing{x}
		}},
		{"update into a restriction", func(w *accessWorld, s scopes) (reply, int, []thing) {
			x := w.fresh("b", "p2")
			then := thing{x.typ, x.id, "a", "p1"}
			return w.now(w.as(s, "PUT", "/"+x.ref(), then.json("")), then), status(s.on("u", x) && s.on("u", then), 200, 403), []thing{x}
		}},
		{"patch out of a restriction", func(w *accessWorld, s scopes) (reply, int, []thing) {
			x := w.fresh("a", "p1")
			then := thing{x.typ, x.id, "b", "p1"}
			return w.now(w.as(s, "PATCH", "/"+x.ref(), `{"code":{"coding":[{"system":"urn:c","code":"b"}]}}`, "Content-Type: application/merge-patch+json"), then), status(s.on("u", x) && s.on("u", then), 200, 403), nil
		}},
		{"patch into the compartment", func(w *accessWorld, s scopes) (reply, int, []thing) {
			x := w.fresh("a", "p2")
			then := thing{x.typ, x.id, "a", "p1"}
			return w.now(w.as(s, "PATCH", "/"+x.ref(), `[{"op":"replace","path":"/subject/reference","value":"Patient/p1"}]`, "Content-Type: application/json-patch+json"), then), status(s.on("u", x) && s.on("u", then), 200, 403), nil
		}},
		{"revival of another's", func(w *accessWorld, s scopes) (reply, int, []thing) {
			x := w.fresh("b", "p2")
			w.must(204, "DELETE", "/"+x.ref(), "", "Authorization: Bearer admin")
			then := thing{x.typ, x.id, "a", "p1"}
			return w.now(w.as(s, "PUT", "/"+x.ref(), then.json("")), then), status(s.on("c", then), 201, 403), []thing{x}
		}},
		{"conditional update that finds nothing", func(w *accessWorld, s scopes) (reply, int, []thing) {
			x := thing{"Observation", w.id(), "a", "p1"}
			return w.as(s, "PUT", "/Observation?_id="+x.id, x.json("")), status(s.on("c", x) && s.may("s", x.typ), 201, 403), []thing{x}
		}},
		{"conditional delete of several", func(w *accessWorld, s scopes) (reply, int, []thing) {
			a, b := w.fresh("a", "p1"), w.fresh("a", "p1")
			r := w.as(s, "DELETE", "/Observation?_id="+a.id+","+b.id, "")
			want := 403
			if s.may("s", a.typ) && s.may("d", a.typ) {
				// What isn't found is not deleted, and that isn't told.
				want = status(!s.on("s", a) || s.on("d", a), 204, 403)
			}
			return r, want, nil
		}},
		{"read of nothing", func(w *accessWorld, s scopes) (reply, int, []thing) {
			return w.as(s, "GET", "/Observation/nobody", ""), status(s.may("r", "Observation"), 404, 403), nil
		}},
		{"read of what was deleted", func(w *accessWorld, s scopes) (reply, int, []thing) {
			x := w.fresh("b", "p2")
			w.must(204, "DELETE", "/"+x.ref(), "", "Authorization: Bearer admin")
			want := 403
			if s.may("r", x.typ) {
				want = status(s.on("r", x), 410, 404)
			}
			return w.as(s, "GET", "/"+x.ref(), ""), want, nil
		}},
		{"metadata", func(w *accessWorld, s scopes) (reply, int, []thing) {
			return w.as(s, "GET", "/metadata", ""), 200, nil
		}},
		{"$meta of the type", func(w *accessWorld, s scopes) (reply, int, []thing) {
			whole := s.all || slices.ContainsFunc(s.given, func(g given) bool {
				return (g.typ == "" || g.typ == "Observation") && strings.Contains(g.letters, "s") && g.only == nil
			})
			return w.as(s, "GET", "/Observation/$meta", ""), status(whole, 200, 403), nil
		}},
		{"$meta of the system", func(w *accessWorld, s scopes) (reply, int, []thing) {
			return w.as(s, "GET", "/$meta", ""), 200, nil
		}},
		{"$validate", func(w *accessWorld, s scopes) (reply, int, []thing) {
			return w.as(s, "POST", "/Observation/$validate", `{"resourceType":"Observation","status":"final"}`), 200, nil
		}},
		{"$everything", func(w *accessWorld, s scopes) (reply, int, []thing) {
			want := 403
			if p := (thing{"Patient", "p2", "", "p2"}); s.may("r", "Patient") {
				want = status(s.on("r", p), 200, 404)
			}
			return w.as(s, "GET", "/Patient/p2/$everything", ""), want, nil
		}},
		{"$everything of all", func(w *accessWorld, s scopes) (reply, int, []thing) {
			return w.as(s, "GET", "/Patient/$everything?_count=1000", ""), status(s.may("s", ""), 200, 403), nil
		}},
		{"batch", func(w *accessWorld, s scopes) (reply, int, []thing) {
			x := w.fresh("b", "p2")
			body := `{"resourceType":"Bundle","type":"batch","entry":[` + strings.Join([]string{
				`{"request":{"method":"GET","url":"` + x.ref() + `"}}`,
				`{"request":{"method":"GET","url":"Observation?_id=` + x.id + `&_include=Observation:subject"}}`,
				`{"request":{"method":"GET","url":"` + x.ref() + `/_history"}}`,
				`{"request":{"method":"GET","url":"` + x.ref() + `/_history/1"}}`,
				`{"request":{"method":"GET","url":"Patient/p2/Observation"}}`,
				`{"request":{"method":"GET","url":"_history"}}`,
				`{"request":{"method":"DELETE","url":"` + x.ref() + `"}}`,
			}, ",") + `]}`
			r := w.as(s, "POST", "", body)
			reads := 403
			if s.may("r", x.typ) {
				reads = status(s.on("r", x), 200, 404)
			}
			finds := status(s.may("s", x.typ), 200, 403)
			for i, want := range []int{reads, finds, reads, reads, finds, status(s.may("s", ""), 200, 403), status(s.on("d", x), 204, 403)} {
				if got := r.at("entry", i, "response", "status"); !strings.HasPrefix(got, fmt.Sprint(want)) {
					w.t.Errorf("batch as %s: entry %d is %s, want %d", s.name, i, got, want)
				}
			}
			return r, 200, nil
		}},
		{"transaction with a conditional reference", func(w *accessWorld, s scopes) (reply, int, []thing) {
			x := thing{"Observation", w.id(), "a", "p1"}
			body := strings.Replace(x.json(""), "Patient/p1", "Patient?_id=p1", 1)
			want := 403
			if s.on("c", x) && s.may("s", "Patient") {
				want = 200
			}
			return w.as(s, "POST", "", bundleOf("transaction", post("urn:uuid:1", body))), want, []thing{x}
		}},
		{"transaction that hides a delete", func(w *accessWorld, s scopes) (reply, int, []thing) {
			x, y := w.fresh("b", "p2"), thing{"Basic", w.id(), "", ""}
			body := bundleOf("transaction", post("urn:uuid:1", `{"resourceType":"Basic","code":{"text":"`+y.id+`"}}`), `{"request":{"method":"DELETE","url":"`+x.ref()+`"}}`)
			r := w.as(s, "POST", "", body)
			if r.status != 200 && strings.Contains(w.rows(), y.id) {
				w.t.Errorf("as %s: the transaction was refused, and wrote", s.name)
			}
			return r, status(s.on("c", y) && s.on("d", x), 200, 403), nil
		}},
	}
	for _, x := range []thing{{"Observation", "o1", "a", "p1"}, {"Observation", "o2", "b", "p2"}, {"Patient", "p2", "", "p2"}, {"Patient", "p1", "", "p1"}, {"Practitioner", "d1", "", ""}} {
		cases = append(cases,
			reading("read", "GET", "", x), reading("vread", "GET", "/_history/1", x), reading("history", "GET", "/_history", x),
			reading("head", "HEAD", "", x), reading("meta", "GET", "/$meta", x), reading("summary", "GET", "?_summary=text", x),
			reading("elements", "GET", "?_elements=meta", x))
	}
	for _, query := range []string{
		"", "?code=a", "?_summary=count", "?_total=accurate&_count=1", "?_sort=-_lastUpdated", "?_sort=code&_explain=true", "?subject.name:contains=planted", "?patient.name:contains=PatientP2",
		"?_include=Observation:subject&_include:iterate=Patient:general-practitioner", "?_include=*&_revinclude=*", "?_revinclude=List:item",
		"?_has:List:item:title:contains=planted", "?_has:List:item:_id=l2", "?_list=l2", "?_filter=code%20eq%20a", "?_content=planted", "?_id=o1,o2,o3,o4", "?_elements=subject",
	} {
		cases = append(cases, searching("GET", "/Observation"+query, "", "Observation"), searching("HEAD", "/Observation"+query, "", "Observation"))
		if query != "" {
			cases = append(cases, searching("POST", "/Observation/_search", query[1:], "Observation"))
		}
	}
	for _, query := range []string{"?_type=Observation,Patient,List,Practitioner", "?_type=Observation,List&_include=*&_revinclude=*&_summary=count", "?_id=o1,p1,p2,l2"} {
		cases = append(cases, searching("GET", query, "", ""), searching("POST", "/_search", query[1:], ""))
	}
	cases = append(cases,
		searching("GET", "/Patient/p2/Observation", "", "Observation"), searching("GET", "/Patient/p2/*", "", ""), searching("POST", "/Patient/p2/Observation/_search", "code=b", "Observation"),
		searching("GET", "/Patient?_revinclude=Observation:patient&_revinclude=List:subject", "", "Patient"),
		searching("GET", "/Patient?_has:Observation:patient:code=b", "", "Patient"),
		searching("GET", "/Practitioner?_has:Patient:general-practitioner:_has:Observation:patient:code=b", "", "Practitioner"),
		searching("GET", "/_history", "", ""), searching("GET", "/_history?_count=3", "", ""),
		searching("GET", "/Observation/_history", "", "Observation"), searching("GET", "/Patient/_history?_summary=text", "", "Patient"),
	)
	cases = append(cases, changing("update", true, func(w *accessWorld, s scopes, x thing) reply { return w.as(s, "PUT", "/"+x.ref(), x.json("V3")) }, "u")...)
	cases = append(cases, changing("conditional update", true, func(w *accessWorld, s scopes, x thing) reply {
		return w.as(s, "PUT", "/Observation?_id="+x.id, x.json("V3"))
	}, "s", "u")...)
	for kind, body := range map[string]string{"application/json-patch+json": `[{"op":"replace","path":"/code/text","value":"patched"}]`, "application/merge-patch+json": `{"code":{"text":"patched"}}`, FHIRJSON: fhirpathPatch} {
		cases = append(cases, changing("patch "+kind, false, func(w *accessWorld, s scopes, x thing) reply {
			return w.as(s, "PATCH", "/"+x.ref(), body, "Content-Type: "+kind)
		}, "u")...)
	}
	cases = append(cases, changing("$meta-add", false, func(w *accessWorld, s scopes, x thing) reply {
		return w.as(s, "POST", "/"+x.ref()+"/$meta-add", `{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"tag":[{"code":"t"}]}}]}`)
	}, "u", "rs")...) // for it answers the meta that came of it
	return cases
}

// TestAccess_modelOfSMART holds every interaction as every caller against the model, which says who may do what; and no
// answer may tell of a resource that the caller may neither read nor find.
func TestAccess_modelOfSMART(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	for _, c := range interactionCases() {
		for _, s := range someScopes {
			r, want, own := c.run(w, s)
			if r.status != want {
				t.Errorf("%s as %s: status %d, want %d: %.300s", c.name, s.name, r.status, want, r.body)
			}
			if r.status == 403 && (!strings.Contains(r.header.Get("WWW-Authenticate"), `error="insufficient_scope"`) || len(r.body) > 0 && r.at("resourceType") != "OperationOutcome") {
				t.Errorf("%s as %s: refused by %v %s", c.name, s.name, r.header, r.body)
			}
			w.mustNotTell(t, s, c.name, r, own...)
		}
	}
}

// TestAccess_nobody: without a token, or with one that isn't known, everything but the CapabilityStatement is a 401 with
// a challenge and an OperationOutcome, and no answer repeats what was sent.
func TestAccess_nobody(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	var log strings.Builder
	for _, r := range w.server.routes {
		path := strings.NewReplacer(":type", "Observation", ":id", "o1", ":inner", "*", ":vid", "1").Replace(r.path)
		for _, token := range []string{"", "secrettoken"} {
			var headers []string
			if token != "" {
				headers = append(headers, "Authorization: Bearer "+token)
			}
			want := 401
			if r.code == capability && token == "" {
				want = 200
			}
			got := w.do(r.method, path, "", headers...)
			if got.status != want {
				t.Errorf("%s %s by %q: status %d, want %d", r.method, path, token, got.status, want)
			}
			if want == 401 && (!strings.HasPrefix(got.header.Get("WWW-Authenticate"), `Bearer realm="fhirhook"`) || got.at("issue", 0, "code") != "login") {
				t.Errorf("%s %s: %v %s", r.method, path, got.header, got.body)
			}
			fmt.Fprint(&log, string(got.body), got.header)
		}
	}
	for _, o := range w.server.Operations {
		path := strings.NewReplacer(":type", "Patient", ":id", "p1").Replace(o.Level.path(o.Name))
		if got := w.do(o.Methods[0], path, ""); got.status != http.StatusUnauthorized {
			t.Errorf("%s %s: status %d", o.Methods[0], path, got.status)
		}
	}
	if text := log.String() + w.log.String(); strings.Contains(text, "secrettoken") {
		t.Errorf("an answer or the log repeats a token: %s", text)
	}
	if got := w.do("GET", "/Observation?access_token=admin", ""); got.status != 401 {
		t.Errorf("a token in the URL is taken: %d", got.status)
	}
}

// TestAccess_wordsBesideTheAnswer: what an answer says besides resources tells nothing of those that are out of sight.
func TestAccess_wordsBesideTheAnswer(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	caller := func(name string) scopes {
		return someScopes[slices.IndexFunc(someScopes, func(s scopes) bool { return s.name == name })]
	}
	t.Run("a plan has no numbers", func(t *testing.T) {
		r := w.as(caller("patientread"), "GET", "/Observation?code=a&_explain=true", "")
		if text := string(r.body); !strings.Contains(text, "may see everything") || strings.Contains(text, "looked at") {
			t.Errorf("%s", text)
		}
		if text := string(w.as(caller("admin"), "GET", "/Observation?code=a&_explain=true", "").body); !strings.Contains(text, "looked at") {
			t.Errorf("an administrator isn't told: %s", text)
		}
	})
	t.Run("a deletion that changed nothing", func(t *testing.T) {
		x := w.fresh("b", "p2")
		w.must(204, "DELETE", "/"+x.ref(), "", "Authorization: Bearer admin")
		gone, never := w.as(caller("granular"), "DELETE", "/"+x.ref(), ""), w.as(caller("granular"), "DELETE", "/Observation/nobody", "")
		for _, r := range []reply{gone, never} {
			if r.status != 204 || r.header.Get("ETag") != "" || r.header.Get("Last-Modified") != "" {
				t.Errorf("%d %v", r.status, r.header)
			}
		}
	})
	t.Run("quiet writes are for administrators", func(t *testing.T) {
		for name, want := range map[string]int{"everything": 403, "admin": 201} {
			x := thing{"Observation", w.id(), "a", "p1"}
			if r := w.as(caller(name), "PUT", "/"+x.ref(), x.json(""), NotifyHeader+": no"); r.status != want {
				t.Errorf("%s: status %d, want %d", name, r.status, want)
			}
		}
	})
	t.Run("errors of patches quote nothing", func(t *testing.T) {
		x := w.fresh("a", "p1")
		for kind, body := range map[string]string{
			"application/json-patch+json":                    `[{"op":"test","path":"/code/text","value":"guess"}]`,
			"application/merge-patch+json":                   `{"status":{"nothing":1}}`,
			"application/fhir+json":                          strings.Replace(fhirpathPatch, "Observation.code.text", "Observation.code.text.replaceMatches('.', 'x')", 1),
			"application/json":                               strings.Replace(fhirpathPatch, "Observation.code.text", "Observation.code.text | Observation.status", 1),
			"application/merge-patch+json;charset=utf-8":     `{"id":"x"}`,
			"application/fhir+json; fhirVersion=4.0":         strings.Replace(fhirpathPatch, `"valueString":"patched"`, `"valueInteger":1`, 1),
			"application/json-patch+json; charset=\"UTF-8\"": `[{"op":"copy","from":"/code/text","path":"/effectiveDateTime"}]`,
		} {
			r := w.as(caller("update"), "PATCH", "/"+x.ref(), body, "Content-Type: "+kind)
			if r.status < 400 || strings.Contains(string(r.body), x.planted()) {
				t.Errorf("%s %s: %d %s", kind, body, r.status, r.body)
			}
		}
	})
}
