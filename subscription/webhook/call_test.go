package webhook_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirhook/fhir/rest"
	"fhirhook/subscription/webhook"
)

// stored is a Subscription as the FHIR endpoint shows one.
const stored = `{"resourceType":"Subscription","id":"h","meta":{"versionId":"3","lastUpdated":"2026-11-22T10:00:00.000Z"},"status":"active","criteria":"[*]",` +
	`"channel":{"type":"rest-hook","endpoint":"https://r.example/in"},"extension":[{"url":"https://fhirhook.dev/StructureDefinition/subscription-event","valueString":"*"}]}`

// asked is a request to the FHIR endpoint.
type asked struct {
	request *http.Request
	body    string
}

// answering is a FHIR endpoint that keeps what it is asked, and answers by the method.
func answering(answers map[string]http.HandlerFunc) (http.Handler, *[]asked) {
	var all []asked
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(err)
		}
		all = append(all, asked{r, string(body)})
		if f := answers[r.Method]; f != nil {
			f(w, r)
			return
		}
		w.Header().Set("ETag", `W/"3"`)
		_, _ = io.WriteString(w, stored)
	}), &all
}

// The FHIR endpoint sees who asks as if it had been asked itself, and nothing of how this was asked.
func TestCall_isMadeAsTheClient(t *testing.T) {
	to, asked := answering(nil)
	r := httptest.NewRequest("PATCH", "https://public.example/webhooks/h?", strings.NewReader(`{"description":"x"}`))
	r.RemoteAddr, r.TLS = "203.0.113.7:4711", &tls.ConnectionState{ServerName: "public.example"}
	carried := map[string]string{
		"Authorization": "Bearer t0ken", "X-Request-Id": "mine", "X-Forwarded-For": "198.51.100.1", "X-Forwarded-Proto": "https",
		"X-Forwarded-Host": "public.example", "Forwarded": "for=198.51.100.1", "X-Tenant": "t", "Cookie": "a=b", "User-Agent": "ua",
	}
	for name, value := range carried {
		r.Header.Set(name, value)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/merge-patch+json", "Accept": "text/html", "Accept-Encoding": "gzip", "If-Match": `W/"3"`,
		"Prefer": "return=minimal", "Range": "bytes=0-1", "Expect": "100-continue", "If-Modified-Since": "Sun, 22 Nov 2026 16:00:54 GMT", "If-None-Exist": "a=b",
	} {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	webhook.New(webhook.Options{FHIR: to, Dialect: "kit"}).ServeHTTP(w, r)
	if w.Code != http.StatusOK || w.Header().Get("X-Request-Id") != "mine" {
		t.Fatalf("%d %v\n%s", w.Code, w.Header(), w.Body)
	}
	type seen struct{ Method, Path, ContentType, IfMatch string }
	var got []seen
	for _, a := range *asked {
		got = append(got, seen{a.request.Method, a.request.URL.Path, a.request.Header.Get("Content-Type"), a.request.Header.Get("If-Match")})
		if a.request.Host != "public.example" || a.request.RemoteAddr != r.RemoteAddr || a.request.TLS != r.TLS {
			t.Errorf("host %s, address %s", a.request.Host, a.request.RemoteAddr)
		}
		left := a.request.Header.Clone()
		for name, value := range carried {
			if left.Get(name) != value {
				t.Errorf("%s: %q, want %q", name, left.Get(name), value)
			}
			left.Del(name)
		}
		left.Del("Content-Type")
		left.Del("If-Match")
		if diff := cmp.Diff(http.Header{"Accept": {rest.FHIRJSON}, "Prefer": {"return=representation"}}, left); diff != "" {
			t.Error(diff)
		}
	}
	want := []seen{
		{"GET", rest.Prefix + "/Subscription/h", "", ""},
		{"PUT", rest.Prefix + "/Subscription/h", rest.FHIRJSON, `W/"3"`},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if body := (*asked)[1].body; !strings.HasPrefix(body, strings.TrimSuffix(stored, "}")) || !strings.HasSuffix(body, `,"reason":"x"}`) {
		t.Errorf("more than the reason was changed: %s", body)
	}
	if r.Header.Get("Accept") != "text/html" {
		t.Error("the client's own request was changed")
	}
}

// A request without an id gets one, and so do all requests that come of it; one that is too long goes back beside.
func TestCall_sharesOneRequestID(t *testing.T) {
	for _, sent := range []string{"", strings.Repeat("x", 129)} {
		to, asked := answering(nil)
		r := httptest.NewRequest("PATCH", "/webhooks/h", strings.NewReader(`{"description":"x"}`))
		r.Header.Set("X-Request-Id", sent)
		w := httptest.NewRecorder()
		webhook.New(webhook.Options{FHIR: to}).ServeHTTP(w, r)
		id := w.Header().Get("X-Request-Id")
		if len(*asked) != 2 || id == "" || id == sent || w.Header().Get("X-Correlation-Id") != sent {
			t.Errorf("%d requests, %v", len(*asked), w.Header())
		}
		for _, a := range *asked {
			if a.request.Header.Get("X-Request-Id") != id {
				t.Errorf("id %s, want %s", a.request.Header.Get("X-Request-Id"), id)
			}
		}
	}
}

// What the FHIR endpoint refuses stays refused, with what a client needs to mend it.
func TestCall_passesRefusalsOn(t *testing.T) {
	outcome := func(status int, header, value, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(header, value)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"c","diagnostics":"`+text+`"}]}`)
		}
	}
	tests := []struct {
		name         string
		answer       http.HandlerFunc
		status       int
		header, want string
		says         string
	}{
		{"no token", outcome(401, "WWW-Authenticate", `Bearer realm="x"`, "send a token"), 401, "WWW-Authenticate", `Bearer realm="x"`, "send a token"},
		{"not allowed", outcome(403, "X", "y", "not yours"), 403, "X", "", "not yours"},
		{"too often", outcome(429, "Retry-After", "7", "slowly"), 429, "Retry-After", "7", "slowly"},
		{"stopping", outcome(503, "Retry-After", "1", "wait"), 503, "Retry-After", "1", "wait"},
		{"broken", outcome(500, "X", "y", "give request id 7"), 500, "X", "", "give request id 7"},
		{"nothing at all", func(http.ResponseWriter, *http.Request) {}, 503, "X", "", "given up"},
		{"no JSON", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, 500, "X", "", "no JSON"},
		{"a hint first", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			outcome(403, "X", "y", "behind it")(w, r)
		}, 403, "X", "", "behind it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, request := range []string{"GET /webhooks/h", "GET /webhooks", "POST /webhooks", "PUT /webhooks/h", "PATCH /webhooks/h", "DELETE /webhooks/h", "POST /webhooks/h/ping", "GET /webhooks/h/deliveries", "POST /webhooks/h/rotate-secret", "POST /webhook-events"} {
				to, _ := answering(map[string]http.HandlerFunc{"GET": tt.answer, "POST": tt.answer})
				method, path, _ := strings.Cut(request, " ")
				body := ""
				if method == "PUT" || request == "POST /webhooks" || request == "POST /webhook-events" {
					body = hook
				} else if method == "PATCH" {
					body = "{}"
				}
				w := httptest.NewRecorder()
				webhook.New(webhook.Options{FHIR: to}).ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
				if w.Code != tt.status || w.Header().Get(tt.header) != tt.want || !strings.Contains(w.Body.String(), tt.says) {
					t.Errorf("%s: %d, %s: %q, %s", request, w.Code, tt.header, w.Header().Get(tt.header), w.Body)
				}
			}
		})
	}
}

// Without authentication an organization is kept and has no effect, which is said; with it, it is the caller's own.
func TestOrganization_namesTheCallersOwn(t *testing.T) {
	body := func(of string) string {
		return `{"organization":"` + of + `","active":true,"url":"https://example.com/webhook","events":"ping"}`
	}
	w := newWorld(t)
	open := w.must(http.StatusCreated, "POST", "/webhook-events", body("organization.id"))
	if open.text(t, "organization") != "organization.id" || !strings.Contains(string(open.body), `"warnings":["organization has no effect`) {
		t.Errorf("%s", open.body)
	}
	read := w.must(http.StatusOK, "GET", "/webhooks/"+open.text(t, "id"), "")
	if read.text(t, "organization") != "organization.id" {
		t.Errorf("it was not kept: %s", read.body)
	}
	known := newWorld(t, func(o *webhook.Options) {
		o.Tenant = func(r *http.Request) (string, bool) {
			return "clinic-a", r.Header.Get("Authorization") == "Bearer a"
		}
	})
	mine := "Authorization: Bearer a"
	made := known.must(http.StatusCreated, "POST", "/webhook-events", body("clinic-a"), mine)
	if made.text(t, "organization") != "clinic-a" || strings.Contains(string(made.body), "warnings") {
		t.Errorf("%s", made.body)
	}
	id := made.text(t, "id")
	known.must(http.StatusCreated, "POST", "/webhooks", hook, mine)
	for _, tt := range []struct{ method, path, body string }{
		{"POST", "/webhook-events", body("clinic-b")},
		{"POST", "/webhooks", body("clinic-b")},
		{"PUT", "/webhooks/" + id, body("clinic-b")},
		{"PATCH", "/webhooks/" + id, `{"organization":"clinic-b"}`},
	} {
		a := known.must(http.StatusForbidden, tt.method, tt.path, tt.body, mine)
		if at(t, a) != "/organization" || strings.Contains(string(a.body), "clinic-a") {
			t.Errorf("%s", a.body)
		}
	}
	known.must(http.StatusOK, "PATCH", "/webhooks/"+id, `{"active":false}`, mine)
}
