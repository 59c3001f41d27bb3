package webhook_test

import (
	"net/http"
	"strings"
	"testing"
)

// hook is a body that is accepted.
const hook = `{"url":"https://r.example/in","events":["patient.*"]}`

// TestRequests sends good and bad requests, and looks at the status, and at what is said to be wrong and where.
// HOOK is a webhook with a secret, SUB a Subscription that is none, GONE one that was deleted.
func TestRequests(t *testing.T) {
	w := newWorld(t)
	big := `{"url":"https://r.example/in","events":"*","description":"` + strings.Repeat("x", 70_000) + `"}`
	deep := strings.Repeat(`[`, 5000) + strings.Repeat(`]`, 5000)
	with := func(member string) string { return strings.TrimSuffix(hook, "}") + "," + member + "}" }
	without := func(name string) string {
		return map[string]string{"url": `{"events":["patient.*"]}`, "events": `{"url":"https://r.example/in"}`}[name]
	}
	tests := []struct {
		name, request, body string
		headers             []string
		status              int
		at                  string // pointer, parameter or header of a problem; "" none
		says                string // a part of the answer's body
	}{
		// creating
		{"two members are enough", "POST /webhooks", hook, nil, 201, "", `"events":["patient.*"],"active":true,"dialect":"clinik"`},
		{"a slash more", "POST /webhooks/", hook, nil, 201, "", `"status":"active"`},
		{"everything", "POST /webhooks", with(`"active":false,"secret":"s3cr3t-value","dialect":"healthsync","description":"labs","organization":"o1"`), nil, 201, "", `"active":false,"secret":"********","dialect":"healthsync","description":"labs","organization":"o1","status":"off"`},
		{"null is not said", "POST /webhooks", with(`"active":null,"secret":null,"dialect":null,"description":null,"organization":null`), nil, 201, "", `"active":true,"dialect":"clinik","status"`},
		{"one event as a string", "POST /webhooks", `{"url":"https://r.example/in","events":"patient.created"}`, nil, 201, "", `"events":["patient.created"]`},
		{"all events", "POST /webhooks", `{"url":"https://r.example/in","events":"*"}`, nil, 201, "", `"events":["*"]`},
		{"tests only", "POST /webhooks", `{"url":"https://r.example/in","events":"ping"}`, nil, 201, "", `"events":["ping"]`},
		{"a name without a dot is the family", "POST /webhooks", `{"url":"https://r.example/in","events":["patient","lab"]}`, nil, 201, "", `"events":["patient.*","lab.*"]`},
		{"without a Content-Type", "POST /webhooks", hook, []string{"Content-Type: "}, 201, "", `"id"`},
		{"with a charset", "POST /webhooks", hook, []string{"Content-Type: application/json; charset=UTF-8"}, 201, "", `"id"`},
		{"a made secret is shown", "POST /webhooks", with(`"secret":"generate"`), nil, 201, "", `"secret":"whsec_`},
		{"no URL", "POST /webhooks", without("url"), nil, 422, "/url", "is missing"},
		{"no events", "POST /webhooks", without("events"), nil, 422, "/events", "is missing"},
		{"nothing", "POST /webhooks", `{}`, nil, 422, "/url", `"/events"`},
		{"URL null", "POST /webhooks", `{"url":null,"events":"*"}`, nil, 422, "/url", "is missing"},
		{"URL a number", "POST /webhooks", `{"url":1,"events":"*"}`, nil, 422, "/url", "JSON string"},
		{"URL empty", "POST /webhooks", `{"url":" ","events":"*"}`, nil, 422, "/url", "empty"},
		{"no URL at all", "POST /webhooks", `{"url":"r.example","events":"*"}`, nil, 422, "/url", "absolute"},
		{"URL not https", "POST /webhooks", `{"url":"http://r.example/in","events":"*"}`, nil, 422, "/url", "https"},
		{"URL of this machine", "POST /webhooks", `{"url":"https://127.0.0.1/in","events":"*"}`, nil, 422, "/url", ""},
		{"URL of the cloud's metadata", "POST /webhooks", `{"url":"https://169.254.169.254/latest","events":"*"}`, nil, 422, "/url", ""},
		{"URL with a password", "POST /webhooks", `{"url":"https://u:p4ssw0rd@r.example/in","events":"*"}`, nil, 422, "/url", "password"},
		{"URL with a fragment", "POST /webhooks", `{"url":"https://r.example/in#x","events":"*"}`, nil, 422, "/url", "fragment"},
		{"events empty", "POST /webhooks", `{"url":"https://r.example/in","events":[]}`, nil, 422, "/events", "must not be empty"},
		{"events an object", "POST /webhooks", `{"url":"https://r.example/in","events":{}}`, nil, 422, "/events", "JSON string"},
		{"an event a number", "POST /webhooks", `{"url":"https://r.example/in","events":["*",7]}`, nil, 422, "/events/1", "JSON string"},
		{"an event empty", "POST /webhooks", `{"url":"https://r.example/in","events":["*",""]}`, nil, 422, "/events/1", "empty"},
		{"an event of no type", "POST /webhooks", `{"url":"https://r.example/in","events":["patient.created","unicorn.created"]}`, nil, 422, "/events/1", "unicorn"},
		{"an event that doesn't happen", "POST /webhooks", `{"url":"https://r.example/in","events":"patient.painted"}`, nil, 422, "/events", "painted"},
		{"a family that isn't there", "POST /webhooks", `{"url":"https://r.example/in","events":"unicorns"}`, nil, 422, "/events", "unicorns"},
		{"a delete in a dialect without", "POST /webhooks", `{"url":"https://r.example/in","events":["patient.deleted"],"dialect":"fhir"}`, nil, 422, "/events/0", ""},
		{"active a string", "POST /webhooks", with(`"active":"true"`), nil, 422, "/active", "true or false"},
		{"secret a number", "POST /webhooks", with(`"secret":12345`), nil, 422, "/secret", "JSON string"},
		{"secret empty", "POST /webhooks", with(`"secret":""`), nil, 422, "/secret", "empty"},
		{"the mask of nothing", "POST /webhooks", with(`"secret":"********"`), nil, 422, "/secret", "nothing is stored yet"},
		{"a key that is no base64", "POST /webhooks", with(`"secret":"whsec_???"`), nil, 422, "/secret", "base64"},
		{"a dialect that isn't there", "POST /webhooks", with(`"dialect":"klingon"`), nil, 422, "/dialect", "klingon"},
		{"a dialect that is no string", "POST /webhooks", with(`"dialect":[]`), nil, 422, "/dialect", "JSON string"},
		{"an unknown member", "POST /webhooks", with(`"colour":"red"`), nil, 422, "/colour", "there are url, events, active"},
		{"a member with a slash", "POST /webhooks", with(`"a/b~c":1`), nil, 422, "/a~1b~0c", "is no member"},
		{"an id of one's own", "POST /webhooks", with(`"id":"mine"`), nil, 422, "/id", "leave it out"},
		{"a status", "POST /webhooks", with(`"status":"off"`), nil, 422, "/status", "active"},
		{"several things at once", "POST /webhooks", `{"url":"http://r.example","events":["unicorn.created"],"dialect":"klingon"}`, nil, 422, "/dialect", `"/url"`},
		{"no JSON", "POST /webhooks", `{"url":`, nil, 400, "", "line 1, column 8"},
		{"a comment", "POST /webhooks", "{\n# active\n\"active\":true}", nil, 400, "", "line 2"},
		{"a member twice", "POST /webhooks", `{"url":"https://a.example","url":"https://b.example","events":"*"}`, nil, 400, "", "url"},
		{"an array", "POST /webhooks", `[]`, nil, 400, "", "JSON array"},
		{"no UTF-8", "POST /webhooks", "{\"url\":\"\xff\"}", nil, 400, "", "UTF-8"},
		{"too deep", "POST /webhooks", `{"url":` + deep + `}`, nil, 400, "", "deep"},
		{"no body", "POST /webhooks", ``, nil, 400, "", "empty"},
		{"too large", "POST /webhooks", big, nil, 413, "", "larger than 65536"},
		{"a form", "POST /webhooks", `url=x`, []string{"Content-Type: application/x-www-form-urlencoded"}, 415, "", "application/json"},
		{"a Subscription", "POST /webhooks", `{}`, []string{"Content-Type: application/fhir+json"}, 415, "", "FHIR endpoint"},
		{"another charset", "POST /webhooks", hook, []string{"Content-Type: application/json; charset=latin1"}, 415, "", "UTF-8"},
		{"compressed", "POST /webhooks", hook, []string{"Content-Encoding: gzip"}, 415, "Content-Encoding", ""},
		{"a condition that means nothing", "POST /webhooks", hook, []string{`If-Match: W/"1"`}, 400, "If-Match", "leave it out"},
		{"a parameter that means nothing", "POST /webhooks?dry-run=true", hook, nil, 400, "dry-run", "no parameter"},

		// reading
		{"one", "GET /webhooks/HOOK", "", nil, 200, "", `"secret":"********"`},
		{"one, a slash more", "GET /webhooks/HOOK/", "", nil, 200, "", `"url":"https://h.example/in"`},
		{"one, if it has changed", "GET /webhooks/HOOK", "", []string{`If-None-Match: "0"`}, 200, "", `"id"`},
		{"only its head", "HEAD /webhooks/HOOK", "", nil, 200, "", ""},
		{"none", "GET /webhooks/nothing", "", nil, 404, "", "there is no webhook nothing"},
		{"no id", "GET /webhooks/what%20is", "", nil, 404, "", "there is no webhook"},
		{"an id that goes elsewhere", "GET /webhooks/..%2FPatient", "", nil, 404, "", "there is no"},
		{"a Subscription that is none", "GET /webhooks/SUB", "", nil, 404, "", "FHIR endpoint"},
		{"one that was deleted", "GET /webhooks/GONE", "", nil, 410, "", "was deleted"},
		{"nothing there", "GET /webhooks/HOOK/nothing", "", nil, 404, "", "nothing under this URL"},
		{"deeper than there is", "GET /webhooks/HOOK/ping/x", "", nil, 404, "", "nothing under this URL"},
		{"all", "GET /webhooks", "", nil, 200, "", `"webhooks":[{`},
		{"a page of none", "GET /webhooks?_count=0", "", nil, 400, "_count", "above 0"},
		{"a page of many words", "GET /webhooks?_count=some", "", nil, 400, "_count", "above 0"},
		{"a cursor that isn't one", "GET /webhooks?cursor=x", "", nil, 400, "cursor", "follow links"},
		{"a parameter that isn't there", "GET /webhooks?url=x", "", nil, 400, "url", "_count, cursor"},
		{"a query that isn't one", "GET /webhooks?a=%zz", "", nil, 400, "", "query"},

		// changing
		{"put", "PUT /webhooks/HOOK", `{"url":"https://h.example/in","events":["patient.*"],"secret":"********"}`, nil, 200, "", `"secret":"********"`},
		{"put what is no webhook", "PUT /webhooks/SUB", hook, nil, 404, "", "FHIR endpoint"},
		{"put what isn't there", "PUT /webhooks/nothing", hook, nil, 404, "", "there is no webhook"},
		{"put what was deleted", "PUT /webhooks/GONE", hook, nil, 410, "", "was deleted"},
		{"put under another id", "PUT /webhooks/HOOK", with(`"id":"other"`), nil, 422, "/id", "equal"},
		{"put without events", "PUT /webhooks/HOOK", without("events"), nil, 422, "/events", "is missing"},
		{"put an unknown member", "PUT /webhooks/HOOK", with(`"x":1`), nil, 422, "/x", "is no member"},
		{"put an old version", "PUT /webhooks/HOOK", hook, []string{`If-Match: W/"77"`}, 412, "If-Match", "read it again"},
		{"put with a tag that is none", "PUT /webhooks/HOOK", hook, []string{`If-Match: "1", "2"`}, 400, "If-Match", "entity tag"},
		{"put if it isn't there", "PUT /webhooks/HOOK", hook, []string{`If-None-Match: *`}, 400, "If-None-Match", "leave it out"},
		{"patch nothing", "PATCH /webhooks/HOOK", `{}`, nil, 200, "", `"secret":"********"`},
		{"patch as a merge patch", "PATCH /webhooks/HOOK", `{"description":"x"}`, []string{"Content-Type: application/merge-patch+json"}, 200, "", `"description":"x"`},
		{"patch by null", "PATCH /webhooks/HOOK", `{"description":null}`, nil, 200, "", `"dialect":"clinik","status"`},
		{"patch off", "PATCH /webhooks/HOOK", `{"active":false}`, nil, 200, "", `"status":"off"`},
		{"patch on, whatever version", "PATCH /webhooks/HOOK", `{"active":null}`, []string{"If-Match: *"}, 200, "", `"status":"active"`},
		{"patch the URL away", "PATCH /webhooks/HOOK", `{"url":null}`, nil, 422, "/url", "is missing"},
		{"patch the events away", "PATCH /webhooks/HOOK", `{"events":null}`, nil, 422, "/events", "is missing"},
		{"move it without its key", "PATCH /webhooks/HOOK", `{"url":"https://other.example/in"}`, nil, 422, "/secret", "moved"},
		{"patch a status", "PATCH /webhooks/HOOK", `{"status":"off"}`, nil, 422, "/status", "active"},
		{"patch by JSON Patch", "PATCH /webhooks/HOOK", `[]`, []string{"Content-Type: application/json-patch+json"}, 415, "", "merge-patch"},
		{"patch by an array", "PATCH /webhooks/HOOK", `[]`, nil, 400, "", "JSON array"},
		{"patch what is no webhook", "PATCH /webhooks/SUB", `{}`, nil, 404, "", "FHIR endpoint"},
		{"patch an event that doesn't happen", "PATCH /webhooks/HOOK", `{"events":["*","patient.painted"]}`, nil, 422, "/events/1", "painted"},

		// deleting
		{"delete what isn't there", "DELETE /webhooks/nothing", "", nil, 404, "", "there is no webhook"},
		{"delete what is no webhook", "DELETE /webhooks/SUB", "", nil, 404, "", "FHIR endpoint"},
		{"delete twice", "DELETE /webhooks/GONE", "", nil, 410, "", "was deleted"},
		{"delete an old version", "DELETE /webhooks/HOOK", "", []string{`If-Match: W/"77"`}, 412, "If-Match", "read it again"},

		// pings, deliveries, rotations
		{"ping", "POST /webhooks/HOOK/ping", "", nil, 200, "", `"state":"delivered"`},
		{"ping, with an empty object", "POST /webhooks/HOOK/ping", "{}", nil, 200, "", `"event":"ping"`},
		{"ping something", "POST /webhooks/HOOK/ping", `{"x":1}`, nil, 400, "", "no body"},
		{"ping what isn't there", "POST /webhooks/nothing/ping", "", nil, 404, "", "there is no webhook"},
		{"ping what is no webhook", "POST /webhooks/SUB/ping", "", nil, 404, "", "FHIR endpoint"},
		{"ping what was deleted", "POST /webhooks/GONE/ping", "", nil, 410, "", "was deleted"},
		{"ask for a ping", "GET /webhooks/HOOK/ping", "", nil, 405, "", "Allow"},
		{"deliveries", "GET /webhooks/HOOK/deliveries", "", nil, 200, "", `"deliveries":[],"total":0`},
		{"deliveries of some states", "GET /webhooks/HOOK/deliveries?status=failed&status=owed&since=2026-01-01&until=2027-01-01", "", nil, 200, "", `"deliveries":[]`},
		{"deliveries of no state", "GET /webhooks/HOOK/deliveries?status=lost", "", nil, 400, "status", "not a state"},
		{"deliveries since nothing", "GET /webhooks/HOOK/deliveries?since=yesterday", "", nil, 400, "since", ""},
		{"deliveries by another name", "GET /webhooks/HOOK/deliveries?state=failed", "", nil, 400, "state", "status, since"},
		{"deliveries with a cursor that isn't one", "GET /webhooks/HOOK/deliveries?cursor=x", "", nil, 400, "cursor", "next link"},
		{"deliveries of what isn't there", "GET /webhooks/nothing/deliveries", "", nil, 404, "", "there is no webhook"},
		{"deliveries of what was deleted", "GET /webhooks/GONE/deliveries", "", nil, 200, "", `"deliveries":[]`},
		{"rotate by something else", "POST /webhooks/HOOK/rotate-secret", `{"key":"x"}`, nil, 422, "/key", "secret and overlap"},
		{"rotate to no key", "POST /webhooks/HOOK/rotate-secret", `{"secret":"whsec_???"}`, nil, 422, "/secret", "base64"},
		{"rotate for ever", "POST /webhooks/HOOK/rotate-secret", `{"overlap":"90d"}`, nil, 400, "/overlap", "30d"},
		{"rotate", "POST /webhooks/HOOK/rotate-secret", "", nil, 200, "", `"previous_until":`},
		{"rotate again at once", "POST /webhooks/HOOK/rotate-secret", `{"secret":"generate"}`, nil, 409, "", "until"},

		// methods
		{"what can be done with all", "OPTIONS /webhooks", "", nil, 204, "", ""},
		{"delete all", "DELETE /webhooks", "", nil, 405, "", "Allow"},
		{"post to one", "POST /webhooks/HOOK", hook, nil, 405, "", "Allow"},
		{"put deliveries", "PUT /webhooks/HOOK/deliveries", "{}", nil, 405, "", "Allow"},
		{"a method of no one", "BREW /webhooks", "", nil, 405, "", "Allow"},

		// the product page's own
		{"a page's webhook", "POST /webhook-events", `{"organization":"organization.id","active":true,"url":"https://example.com/webhook","events":"ping"}`, nil, 201, "", `"dialect":"webhook-events","organization":"organization.id","status":"active"`},
		{"a page's test", "POST /webhook-events", `{"webhook":"HOOK","event":"ping"}`, nil, 200, "", `"event":"ping"`},
		{"a test of nothing", "POST /webhook-events", `{"webhook":"nothing","event":"ping"}`, nil, 404, "", "there is no webhook"},
		{"a test of no id", "POST /webhook-events", `{"webhook":"a/b","event":"ping"}`, nil, 404, "", "there is no webhook"},
		{"a test of what was deleted", "POST /webhook-events", `{"webhook":"GONE","event":"ping"}`, nil, 410, "", "was deleted"},
		{"a test of another event", "POST /webhook-events", `{"webhook":"HOOK","event":"patient.created"}`, nil, 422, "/event", "ping"},
		{"a test of no event", "POST /webhook-events", `{"webhook":"HOOK"}`, nil, 422, "/event", "is missing"},
		{"a test of no webhook", "POST /webhook-events", `{"event":"ping"}`, nil, 422, "/webhook", "is missing"},
		{"a test by a number", "POST /webhook-events", `{"webhook":1,"event":"ping"}`, nil, 422, "/webhook", "JSON string"},
		{"a test and a webhook", "POST /webhook-events", `{"webhook":"HOOK","event":"ping","url":"https://example.com"}`, nil, 422, "/url", "no place"},
		{"a page's comments", "POST /webhook-events", "{\n  \"organization\": \"organization.id\",\n  # set the webhook as active\n  \"active\": true\n}", nil, 400, "", "line 3"},
		{"a page's webhook without events", "POST /webhook-events", `{"url":"https://example.com/webhook"}`, nil, 422, "/events", "is missing"},
		{"a page's list", "GET /webhook-events", "", nil, 405, "", "Allow"},
		{"the page's example", "POST /webhook-events", `{"url":"https://example.com/webhook","events":"medical-encounters"}`, nil, 201, "", `"events":["medical-encounters.*"]`},
		{"a page's own words", "POST /webhook-events", `{"url":"https://example.com/webhook","events":["patients.removed","encounters"]}`, nil, 201, "", `"events":["patients.removed","encounters.*"]`},
	}
	if len(tests) < 60 {
		t.Errorf("only %d requests", len(tests))
	}
	names := strings.NewReplacer(
		"HOOK", w.hook(`{"url":"https://h.example/in","events":["patient.*"],"secret":"first-secret"}`),
		"SUB", w.resource(http.StatusCreated, "POST", "/Subscription", `{"resourceType":"Subscription","criteria":"[*]","channel":{"type":"rest-hook","endpoint":"https://h.example/in"}}`).text(t, "id"),
		"GONE", func() string {
			id := w.hook(hook)
			w.must(http.StatusNoContent, "DELETE", "/webhooks/"+id, "")
			return id
		}(),
	)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			method, path, _ := strings.Cut(names.Replace(tt.request), " ")
			a := w.do(method, path, names.Replace(tt.body), tt.headers...)
			if a.status != tt.status {
				t.Fatalf("status %d, want %d\n%s", a.status, tt.status, a.body)
			}
			if !strings.Contains(string(a.body), tt.says) {
				t.Errorf("the answer doesn't say %s:\n%s", tt.says, a.body)
			}
			checkForm(t, method, a)
			if tt.at != "" && at(t, a) != tt.at {
				t.Errorf("the first fault is at %q, want %q\n%s", at(t, a), tt.at, a.body)
			}
		})
	}
}

// checkForm holds an answer against what all answers are like.
func checkForm(t *testing.T, method string, a answer) {
	t.Helper()
	if a.header.Get("X-Request-Id") == "" || a.header.Get("Cache-Control") == "" {
		t.Errorf("headers are missing: %v", a.header)
	}
	empty := a.status == http.StatusNoContent || method == http.MethodHead
	if empty != (len(a.body) == 0) {
		t.Errorf("%d bytes of body", len(a.body))
	}
	if (a.status == http.StatusMethodNotAllowed || method == http.MethodOptions) && !strings.HasPrefix(a.header.Get("Allow"), "OPTIONS, ") {
		t.Errorf("Allow: %s", a.header.Get("Allow"))
	}
	if empty {
		return
	}
	want := "application/json"
	if a.status >= http.StatusBadRequest {
		want = "application/problem+json"
		p := a.json(t)
		if p["type"] != "about:blank" || p["title"] != http.StatusText(a.status) || p["status"] != float64(a.status) || p["detail"] == "" || p["detail"] == nil {
			t.Errorf("that is no problem as RFC 9457 has it: %s", a.body)
		}
	}
	if got := a.header.Get("Content-Type"); got != want {
		t.Errorf("Content-Type: %s", got)
	}
}

// at is where the first fault of a problem is.
func at(t *testing.T, a answer) string {
	t.Helper()
	faults, _ := a.json(t)["errors"].([]any)
	if len(faults) == 0 {
		return ""
	}
	f, _ := faults[0].(map[string]any)
	for _, name := range []string{"pointer", "parameter", "header"} {
		if s, ok := f[name].(string); ok {
			return s
		}
	}
	return ""
}
