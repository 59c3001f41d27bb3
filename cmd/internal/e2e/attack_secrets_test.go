package e2e_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// What the victim of TestAttack_secrets keeps.
const (
	stolenHeader = "hdr-5f1c9a77e2d04b"
	stolenKey    = "key-0c33be91d7a84f"
	stolenQuery  = "qry-a94d2be6610c55"
)

const secretURL = "https://www.medplum.com/fhir/StructureDefinition/subscription-secret"

// thief is a server with a Subscription whose secrets are wanted, and the receivers of its owner and of whoever wants them.
type thief struct {
	*process
	owner, other *receiver
}

// victim is the Subscription as its owner wrote it.
func (s *thief) victim(id string) string {
	return s.edited(id, "X-Api-Key: "+stolenHeader, stolenKey, s.owner.URL)
}

// masked is the Subscription as its readers see it, with another endpoint.
func (s *thief) masked(id, endpoint string) string {
	return s.edited(id, "X-Api-Key: ********", "********", endpoint)
}

func (s *thief) edited(id, header, key, endpoint string) string {
	if id != "" {
		id = `"id":"` + id + `",`
	}
	return `{"resourceType":"Subscription",` + id + `"extension":[{"url":"` + secretURL + `","valueString":"` + key + `"}],"status":"active","reason":"r","criteria":"Patient",
		"channel":{"type":"rest-hook","endpoint":"` + endpoint + `","payload":"application/fhir+json","header":["` + header + `"]}}`
}

// send sends a request with a body of any type.
func (s *thief) send(t *testing.T, method, path, body, contentType string) answer {
	t.Helper()
	return s.sendIn(t.Context(), t, method, path, body, contentType)
}

func (s *thief) sendIn(ctx context.Context, t *testing.T, method, path, body, contentType string) answer {
	t.Helper()
	q, err := http.NewRequestWithContext(ctx, method, s.base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", contentType)
	a, err := readAnswer(http.DefaultClient.Do(q))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// refuses fails unless a request is refused, by one of the statuses.
func (s *thief) refuses(t *testing.T, method, path, body, contentType string, statuses ...int) {
	t.Helper()
	a := s.send(t, method, path, body, contentType)
	for _, status := range statuses {
		if a.status == status {
			return
		}
	}
	t.Errorf("%s %s with %s: %d, want %v: %s", method, path, body, a.status, statuses, a.body)
}

// alike fails if an answer tells a right guess from a wrong one of the same length.
func (s *thief) alike(t *testing.T, method, path, body, contentType string) {
	t.Helper()
	wrong := strings.NewReplacer(stolenHeader, "hdr-0000000000000b", stolenKey, "key-0000000000000f", "hdr-5f1", "hdr-000", "key-0c3", "key-000").Replace
	ctx := t.Context()
	if method != http.MethodPatch {
		ctx = context.WithValue(ctx, guess{}, true)
	}
	if method == http.MethodPatch {
		s.must(200, "PUT", "/Subscription/victim", s.victim("victim"))
	}
	right := s.sendIn(ctx, t, method, path, body, contentType)
	if method == http.MethodPatch {
		s.must(200, "PUT", "/Subscription/victim", s.victim("victim"))
	}
	other := s.sendIn(ctx, t, method, wrong(path), wrong(body), contentType)
	shape := func(a answer) string {
		text := instants.ReplaceAllString(string(a.body), "")
		return fmt.Sprint(a.status, " ", wrong(text))
	}
	if shape(right) != shape(other) {
		t.Errorf("%s %s %s tells a guess:\n%s\n%s", method, path, body, shape(right), shape(other))
	}
}

// TestAttack_secrets tries to get at what a Subscription keeps. The scanner of the suite reads every answer, the log and the
// folder; the receiver of the thief is read at the end.
func TestAttack_secrets(t *testing.T) {
	t.Parallel()
	s := &thief{process: start(t, t.TempDir()), other: newReceiver(t, nil)}
	s.owner = newReceiver(t, func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Location", "http://127.0.0.1:1/?key="+q.Header.Get("X-Api-Key"))
		w.Header().Set("X-Echo", q.Header.Get("X-Api-Key"))
		if strings.Contains(q.URL.Path, "redirect") {
			w.WriteHeader(http.StatusFound)
		}
		key := stolenKey
		if q.Header.Get("X-Fhirhook-Subscription") != "victim" {
			key = "nothing" // what others are signed with is none of their Subscriptions' secrets
		}
		fmt.Fprintf(w, "you sent %v %s %s %s", q.Header, key, base64.StdEncoding.EncodeToString([]byte(q.Header.Get("X-Api-Key"))), q.URL)
	})
	const fhirJSON, jsonPatch, mergePatch = "application/fhir+json", "application/json-patch+json", "application/merge-patch+json"
	fhirpath := func(kind, path, name, value string) string {
		return `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"` + kind + `"},{"name":"path","valueString":"` + path + `"}` +
			map[bool]string{true: `,{"name":"value","valueString":"` + value + `"}`}[value != ""] + map[bool]string{true: `,{"name":"name","valueString":"` + name + `"}`}[name != ""] + `]}]}`
	}
	s.must(201, "PUT", "/Subscription/victim", s.victim("victim"))
	s.must(201, "PUT", "/Subscription/watching", `{"resourceType":"Subscription","id":"watching","status":"active","reason":"r","criteria":"Subscription","channel":{"type":"rest-hook","endpoint":"`+s.other.URL+`","payload":"application/fhir+json"}}`)

	t.Run("moving the endpoint", func(t *testing.T) {
		for _, endpoint := range []string{
			s.other.URL, s.other.URL + "/path", strings.Replace(s.owner.URL, "127.0.0.1", "localhost", 1), strings.Replace(s.owner.URL, "http:", "https:", 1), s.owner.URL + "1",
			"http://" + strings.TrimPrefix(s.owner.URL, "http://") + "@" + strings.TrimPrefix(s.other.URL, "http://"), strings.Replace(s.owner.URL, "127.0.0.1", "127.0.0.2", 1),
			s.owner.URL + `\\@` + strings.TrimPrefix(s.other.URL, "http://"), s.owner.URL + "#@" + strings.TrimPrefix(s.other.URL, "http://"), "http://[::ffff:127.0.0.1]" + s.owner.URL[strings.LastIndexByte(s.owner.URL, ':'):],
		} {
			s.refuses(t, "PUT", "/Subscription/victim", s.masked("victim", endpoint), fhirJSON, 422)
			s.refuses(t, "PUT", "/Subscription?_id=victim", s.masked("", endpoint), fhirJSON, 422)
			if !strings.ContainsAny(endpoint, `\#`) {
				s.refuses(t, "PATCH", "/Subscription/victim", `[{"op":"replace","path":"/channel/endpoint","value":"`+endpoint+`"}]`, jsonPatch, 422)
				s.refuses(t, "PATCH", "/Subscription/victim", `{"channel":{"endpoint":"`+endpoint+`"}}`, mergePatch, 422)
				s.refuses(t, "PATCH", "/Subscription/victim", strings.Replace(fhirpath("replace", "Subscription.channel.endpoint", "", endpoint), `"value","valueString"`, `"value","valueUrl"`, 1), fhirJSON, 422)
			}
		}
		transaction := `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":` + s.masked("victim", s.other.URL) + `,"request":{"method":"PUT","url":"Subscription/victim"}}]}`
		s.refuses(t, "POST", "", transaction, fhirJSON, 422)
		s.must(200, "PUT", "/Subscription/victim", s.masked("victim", s.owner.URL+"/elsewhere")) // that stays with the owner
		s.must(200, "PUT", "/Subscription/victim", s.victim("victim"))
	})
	t.Run("copying the mask", func(t *testing.T) {
		s.refuses(t, "POST", "/Subscription", s.masked("", s.owner.URL), fhirJSON, 422)
		s.refuses(t, "POST", "/Subscription", s.masked("", s.other.URL), fhirJSON, 422)
		s.refuses(t, "PUT", "/Subscription/copy", s.masked("copy", s.owner.URL), fhirJSON, 422)
		s.must(201, "PUT", "/Subscription/own", s.edited("own", "X-Api-Key: of-my-own-here", "key-of-my-own", s.other.URL))
		s.refuses(t, "PUT", "/Subscription/own", s.edited("own", "X-Other: ********", "********", s.other.URL), fhirJSON, 422)
		s.refuses(t, "PUT", "/Subscription/victim", s.edited("victim", "X-Visible: ********", "********", s.owner.URL), fhirJSON, 422)
		s.refuses(t, "PUT", "/Subscription/victim", s.edited("victim", "********", "********", s.owner.URL), fhirJSON, 422)
		s.must(201, "PUT", "/Subscription/gone", s.victim("gone"))
		s.must(204, "DELETE", "/Subscription/gone", "")
		s.refuses(t, "PUT", "/Subscription/gone", s.masked("gone", s.owner.URL), fhirJSON, 422)
	})
	t.Run("patching", func(t *testing.T) {
		for _, from := range []string{"/channel/header/0", "/extension/0/valueString", "/channel", "/channel/header", "/extension", "/extension/0"} {
			for _, to := range []string{"/reason", "/criteria", "/channel/endpoint", "/channel/payload", "/error", "/channel/_payload/extension", "/contact", "/text/div", "/meta/tag", "/contained", "/modifierExtension"} {
				for _, op := range []string{"copy", "move"} {
					a := s.send(t, "PATCH", "/Subscription/victim", `[{"op":"`+op+`","from":"`+from+`","path":"`+to+`"}]`, jsonPatch)
					if a.status < 400 || a.status >= 500 {
						t.Errorf("%s of %s to %s: %d %s", op, from, to, a.status, a.body)
						s.must(200, "PUT", "/Subscription/victim", s.victim("victim"))
					}
				}
			}
		}
		for _, body := range []string{
			`[{"op":"replace","path":"/extension/0/url","value":"http://example.org/visible"}]`,
			`[{"op":"add","path":"/extension/-","value":{"url":"http://example.org/visible","extension":[]}},{"op":"move","from":"/extension/0/valueString","path":"/extension/1/valueString"}]`,
			`[{"op":"move","from":"/channel/header","path":"/channel/_type"}]`,
			`[{"op":"replace","path":"/resourceType","value":"Basic"}]`,
		} {
			s.refuses(t, "PATCH", "/Subscription/victim", body, jsonPatch, 422, 400)
		}
		s.refuses(t, "PATCH", "/Subscription/victim", fhirpath("replace", "Subscription.extension[0].url", "", "http://example.org/visible"), fhirJSON, 422, 400)
	})
	t.Run("testing guesses by patches", func(t *testing.T) {
		for _, body := range []string{
			`[{"op":"test","path":"/channel/header/0","value":"X-Api-Key: ` + stolenHeader + `"},{"op":"replace","path":"/reason","value":"guessed"}]`,
			`[{"op":"test","path":"/extension/0/valueString","value":"` + stolenKey + `"},{"op":"replace","path":"/reason","value":"guessed"}]`,
			`[{"op":"test","path":"/extension/0","value":{"url":"` + secretURL + `","valueString":"` + stolenKey + `"}}]`,
			`[{"op":"copy","from":"/channel/header/0","path":"/channel/header/-"},{"op":"test","path":"/channel/header/1","value":"X-Api-Key: ` + stolenHeader + `"}]`,
		} {
			s.alike(t, "PATCH", "/Subscription/victim", body, jsonPatch)
		}
		for _, path := range []string{
			"Subscription.where(channel.header.first() = 'X-Api-Key: " + stolenHeader + "').reason",
			"Subscription.where(channel.header.startsWith('X-Api-Key: hdr-5f1')).reason",
			"Subscription.where(extension.valueString = '" + stolenKey + "').reason",
			"Subscription.where(extension.value.startsWith('key-0c3')).reason",
			"Subscription.channel.header.where($this = 'X-Api-Key: " + stolenHeader + "')",
			"Subscription.reason.where(%resource.channel.header.contains('hdr-5f1'))",
			"Subscription.where(extension.value.length() = 18).reason",
		} {
			s.alike(t, "PATCH", "/Subscription/victim", fhirpath("replace", path, "", "guessed"), fhirJSON)
		}
	})
	t.Run("reading", func(t *testing.T) {
		for _, path := range []string{
			"/Subscription/victim", "/Subscription/victim?_elements=channel,extension", "/Subscription/victim?_summary=data", "/Subscription/victim?_summary=true", "/Subscription/victim?_summary=text", "/Subscription/victim?_pretty=true",
			"/Subscription/victim/_history", "/Subscription/victim/_history/1", "/Subscription/_history", "/_history", "/Subscription?_elements=channel", "/Subscription?_summary=data", "/Subscription?_include=*&_revinclude=*",
			"?_type=Subscription", "/Subscription/victim/$meta", "/Subscription/$meta", "/Subscription/victim/$status", "/Subscription/$status", "/Subscription/victim/$plan", "/Subscription/$plan", "/AuditEvent?_count=100", "/metadata",
		} {
			if a := s.must(200, "GET", path, ""); len(a.body) == 0 {
				t.Errorf("%s is empty", path)
			}
		}
	})
	t.Run("searching for guesses", func(t *testing.T) {
		for i, expression := range []string{"Subscription.channel.header", "Subscription.extension.value", "Subscription.extension.where(url='" + secretURL + "').value", "Subscription.descendants().ofType(string)"} {
			a := s.send(t, "PUT", fmt.Sprintf("/SearchParameter/spy%d", i), fmt.Sprintf(`{"resourceType":"SearchParameter","id":"spy%d","url":"http://example.org/spy%d","name":"Spy","status":"active","description":"d","code":"spy%d","base":["Subscription"],"type":"string","expression":%q}`, i, i, i, expression), fhirJSON)
			if a.status >= 500 {
				t.Errorf("%s: %d %s", expression, a.status, a.body)
			}
			for _, query := range []string{"spy%d:contains=%s", "spy%d:exact=%s", "spy%d=%s", "spy%d:missing=false&_id=%s", "_filter=spy%d%%20co%%20%s", "_sort=spy%d&_id=victim&reason=%s"} {
				for _, guess := range []string{stolenHeader, "hdr-5f1", stolenKey, "key-0c3", "X-Api-Key:%20" + stolenHeader} {
					s.alike(t, "GET", "/Subscription?"+fmt.Sprintf(query, i, guess), "", fhirJSON)
				}
			}
		}
		for _, query := range []string{"_content=" + stolenHeader, "_content=" + stolenKey, "_text=" + stolenHeader, "_content=X-Api-Key%20" + stolenHeader, "payload=" + stolenHeader, "url:contains=" + stolenHeader, "_filter=criteria%20co%20" + stolenKey} {
			s.alike(t, "GET", "/Subscription?"+query, "", fhirJSON)
			s.alike(t, "DELETE", "/Subscription?_id=nobody&"+query, "", fhirJSON)
		}
	})
	t.Run("explaining guesses", func(t *testing.T) {
		for _, criteria := range []string{"Subscription?_content=" + stolenHeader[:14], "Subscription?spy0:contains=" + stolenHeader[:14], "Subscription?_filter=spy1 co " + stolenKey[:14]} {
			a := s.send(t, "PUT", "/Subscription/spy", `{"resourceType":"Subscription","id":"spy","status":"active","reason":"r","criteria":"`+criteria+`","channel":{"type":"rest-hook","endpoint":"`+s.other.URL+`"}}`, fhirJSON)
			if a.status >= 300 {
				continue // it was refused
			}
			if r := s.send(t, "POST", "/Subscription/spy/$explain?reference=Subscription/victim", "", fhirJSON); r.status != 200 || strings.Contains(string(r.body), `"name":"notifies","valueBoolean":true`) || strings.Contains(string(r.body), `"name":"matches","valueBoolean":true`) {
				t.Errorf("%s matches: %d %s", criteria, r.status, r.body)
			}
			s.must(200, "PUT", "/Subscription/victim", s.edited("victim", "X-Api-Key: "+stolenHeader, stolenKey, s.owner.URL+"/"+url.PathEscape(fmt.Sprint(len(criteria)))))
		}
		s.must(200, "PUT", "/Subscription/victim", s.victim("victim"))
	})
	t.Run("criteria that guess", func(t *testing.T) {
		const fhirPathCriteria = "https://medplum.com/fhir/StructureDefinition/fhir-path-criteria-expression"
		for i, expression := range []string{"%current.channel.header.contains('hdr-5f1')", "%current.extension.value.startsWith('key-0c3')", "%previous.channel.header.first().startsWith('X-Api-Key: " + stolenHeader[:14] + "')"} {
			a := s.send(t, "PUT", fmt.Sprintf("/Subscription/oracle%d", i), fmt.Sprintf(`{"resourceType":"Subscription","id":"oracle%d","status":"active","reason":"oracle","criteria":"Subscription?_id=victim","extension":[{"url":%q,"valueString":%q}],"channel":{"type":"rest-hook","endpoint":"%s/oracle"}}`, i, fhirPathCriteria, expression, s.other.URL), fhirJSON)
			if a.status >= 500 {
				t.Errorf("%s: %d %s", expression, a.status, a.body)
			}
		}
		s.must(200, "PUT", "/Subscription/victim", s.edited("victim", "X-Api-Key: "+stolenHeader, stolenKey, s.owner.URL+"/oracle"))
		s.must(200, "PUT", "/Subscription/victim", s.victim("victim"))
	})
	t.Run("Subscriptions inside of others", func(t *testing.T) {
		inner := s.edited("inner", "X-Api-Key: inner-"+stolenHeader, "inner-"+stolenKey, s.other.URL)
		for name, q := range map[string]struct{ path, body string }{
			"contained":             {"/Basic", `{"resourceType":"Basic","code":{"text":"x"},"contained":[` + inner + `]}`},
			"contained in the same": {"/Subscription", strings.Replace(s.edited("", "X-A: outer-value-here", "outer-key-here", s.other.URL), `"status"`, `"contained":[`+inner+`],"status"`, 1)},
			"Bundle":                {"/Bundle", `{"resourceType":"Bundle","type":"collection","entry":[{"resource":` + inner + `}]}`},
			"Bundle in a Bundle":    {"/Bundle", `{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Bundle","type":"collection","entry":[{"resource":` + inner + `}]}}]}`},
			"Parameters":            {"/Parameters", `{"resourceType":"Parameters","parameter":[{"name":"x","resource":` + inner + `}]}`},
			"extension":             {"/Basic", `{"resourceType":"Basic","code":{"text":"x"},"extension":[{"url":"` + secretURL + `","valueString":"inner-` + stolenKey + `"}]}`},
		} {
			a := s.send(t, "POST", q.path, q.body, fhirJSON)
			if name == "contained in the same" && a.status == 201 {
				continue // its spots are masked like its own: the scanner sees to it
			}
			if a.status != 422 || strings.Contains(string(a.body), stolenHeader) || strings.Contains(string(a.body), stolenKey) {
				t.Errorf("%s: %d %s", name, a.status, a.body)
			}
		}
		s.must(201, "POST", "/Bundle", `{"resourceType":"Bundle","type":"collection","entry":[{"resource":`+s.masked("inner", s.other.URL)+`}]}`)
	})
	t.Run("refusals and $validate", func(t *testing.T) {
		for _, body := range []string{
			s.edited("", "refused-"+stolenHeader, stolenKey, s.owner.URL), s.edited("", "X-Api-Key "+stolenHeader, stolenKey, s.owner.URL), s.edited("", `X-Api-Key: \u000d\u000a`+stolenHeader, stolenKey, s.owner.URL),
			s.edited("", "Host: "+stolenHeader, stolenKey, s.owner.URL), s.edited("", "X-Api-Key: "+stolenHeader, stolenKey, "ftp://example.org/"), strings.Replace(s.victim(""), `"Patient"`, `"Patient?nonsense=1"`, 1),
			strings.Replace(s.victim(""), `"valueString"`, `"valueInteger"`, 1), strings.Replace(s.victim(""), `"header":[`, `"header":["`+stolenHeader+`",1,`, 1),
			s.victim("")[:len(s.victim(""))-1], s.victim("") + "x", strings.Replace(s.victim(""), `"reason":"r"`, `"reason":"`+stolenKey+`","reason":"r"`, 1),
		} {
			for _, path := range []string{"/Subscription", "/Subscription/$validate"} {
				a := s.send(t, "POST", path, body, fhirJSON)
				if a.status == 201 {
					t.Errorf("it was taken: %s", body)
				}
			}
		}
		for _, path := range []string{"/Subscription/$validate", "/Subscription/victim/$validate"} {
			s.send(t, "POST", path, s.victim("victim"), fhirJSON)
		}
	})
	t.Run("what receivers send back", func(t *testing.T) {
		s.must(201, "PUT", "/Subscription/redirected", s.edited("redirected", "X-Api-Key: "+stolenHeader, stolenKey, s.owner.URL+"/redirect?token="+stolenQuery))
		for _, id := range []string{"victim", "redirected"} {
			s.must(200, "POST", "/Subscription/"+id+"/$ping", "")
		}
		s.must(201, "PUT", "/Patient/p", `{"resourceType":"Patient","id":"p"}`)
		s.owner.await(t, "both", func(got []notification) bool { return len(got) >= 4 })
		eventually(t, "an attempt of each", func() bool {
			return strings.Contains(string(s.must(200, "GET", "/Subscription/victim/$deliveries?status=delivered", "").body), `"total":1`)
		})
		for _, path := range []string{"/Subscription/$deliveries?_count=100", "/Subscription/redirected/$deliveries", "/AuditEvent?_count=100", "/Patient/p/$deliveries", "/Subscription/redirected", "/Subscription/redirected/$status"} {
			if a := s.must(200, "GET", path, ""); path != "/Subscription/redirected" && strings.Contains(string(a.body), stolenQuery) {
				t.Errorf("%s tells the endpoint's query: %s", path, a.body)
			}
		}
	})
	t.Run("webhooks", func(t *testing.T) {
		made := s.beside(201, "POST", "/webhooks", `{"url":"`+s.owner.URL+`","events":"*","secret":"hook-`+stolenKey+`"}`).json(t)
		id, _ := made["id"].(string)
		for _, body := range []string{`{"url":"` + s.other.URL + `","secret":"********"}`, `{"secret":"x","url":"ftp://x"}`} {
			s.beside(422, "PATCH", "/webhooks/"+id, body)
		}
		s.beside(422, "POST", "/webhooks", `{"url":"`+s.other.URL+`","events":"*","secret":"********"}`)
		for _, path := range []string{"/webhooks", "/webhooks/" + id, "/webhooks/" + id + "/deliveries"} {
			s.beside(200, "GET", path, "")
		}
		s.beside(422, "PATCH", "/webhooks/"+id, `{"url":"`+s.other.URL+`/moved"}`)
	})
	t.Run("rotation", func(t *testing.T) {
		s.must(200, "POST", "/Subscription/victim/$rotate-secret", `{"resourceType":"Parameters","parameter":[{"name":"secret","valueString":"rotated-`+stolenKey+`"}]}`)
		for _, path := range []string{"/Subscription/victim", "/Subscription/victim/_history", "/Subscription?_id=victim"} {
			s.must(200, "GET", path, "")
		}
		s.must(200, "PUT", "/Subscription/victim", s.victim("victim"))
	})

	s.must(201, "PUT", "/Basic/end", `{"resourceType":"Basic","id":"end","code":{"text":"x"}}`)
	s.matched(t)
	eventually(t, "the end of the deliveries", func() bool {
		return strings.Contains(string(s.must(200, "GET", "/Subscription/$deliveries?status=owed&_count=1", "").body), `"total":0`) || len(s.other.all()) > 0
	})
	for _, n := range s.other.all() {
		text := fmt.Sprint(n.header, n.path, string(n.body))
		for _, secret := range []string{stolenHeader, stolenKey} {
			if strings.Contains(text, secret) {
				t.Errorf("the thief got %s", text)
			}
		}
		if strings.Contains(n.path, "oracle") {
			t.Errorf("a criterion guessed a secret: %s", n.path)
		}
	}
	s.kill()
	if log := s.log.String(); strings.Contains(log, stolenQuery) {
		t.Error("the log has the query of an endpoint")
	}
}
