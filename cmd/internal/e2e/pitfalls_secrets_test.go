package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"fhirhook/cmd/internal/app"
)

// endpoints are the elements that show an endpoint, and links that repeat what was asked for.
var endpoints = regexp.MustCompile(`"(endpoint|url)":"[^"]*"`)

// TestPitfall_secretsNeverShown gives a Subscription every kind of secret, and looks for them in all that a server
// says: reads, history, searches, bundles, operations, notifications, metrics, refusals, and its log. Only the answer to the create may show what was just sent.
func TestPitfall_secretsNeverShown(t *testing.T) {
	t.Parallel()
	secrets := map[string]string{
		"key": "hmac-key-QXQXQX", "header": "token-HXHXHX", "query": "query-ZXZXZX", "next key": "whsec_bmV4dC1rZXktWVhZWFlY",
		"refused key": "whsec_not!base64-RXRXRX", "refused header": "token-LXLXLX", "password": "password-UXUXUX",
	}
	echo := newReceiver(t, func(w http.ResponseWriter, q *http.Request) { // as a debugging endpoint does
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, q.URL.String()+"\n")
		_ = q.Header.Write(w)
	})
	watcher := newReceiver(t, nil)
	server := start(t, t.TempDir(), func(o *app.Options) { o.ErrorAfter = "1,1h" })
	x := &trap{server, watcher}

	body := func(endpoint, key, header, reason string) string {
		return fmt.Sprintf(`{"resourceType":"Subscription","id":"s","status":"requested","reason":%q,"criteria":"Patient","channel":{"type":"rest-hook","endpoint":%q,"header":["Authorization: Bearer %s"]},
			"extension":[{"url":"https://www.medplum.com/fhir/StructureDefinition/subscription-secret","valueString":%q}]}`, reason, endpoint, header, key)
	}
	endpoint := echo.URL + "/hook?code=" + secrets["query"]
	x.create("Subscription", set(watcher.URL+"/watch", "Subscription", strict))
	good := body(endpoint, secrets["key"], secrets["header"], "first")
	x.must(http.StatusCreated, http.MethodPut, "/Subscription/s", good)

	said := map[string]string{}
	ask := func(method, path, body string) {
		t.Helper()
		a, err := server.request(method, path, body)
		if err != nil {
			t.Fatal(err)
		}
		said[fmt.Sprintf("%s %s %.60s → %d", method, path, body, a.status)] = string(a.body) + fmt.Sprint(a.header)
	}
	ask("PUT", "/Subscription/s", good)
	ask("PUT", "/Subscription/s", body(endpoint, secrets["key"], secrets["header"], "second"))
	x.must(http.StatusOK, http.MethodPost, "/Subscription/s/$rotate-secret", `{"resourceType":"Parameters","parameter":[{"name":"secret","valueString":"`+secrets["next key"]+`"}]}`)
	x.put("Patient/p", "")
	eventually(t, "the failed attempt", func() bool {
		attempts, _ := server.attempts(t, "s")
		return len(attempts) > 0
	})
	eventually(t, "the status that tells of it", func() bool {
		return server.must(http.StatusOK, http.MethodGet, "/Subscription/s", "").json(t)["status"] == "error"
	})

	// Refusals that hold what they refuse.
	ask("PUT", "/Subscription/s", body(endpoint, secrets["refused key"], secrets["header"], "x"))
	ask("PUT", "/Subscription/s", body(endpoint, secrets["key"], secrets["refused header"]+`\r\nX-Evil: 1`, "x"))
	ask("PUT", "/Subscription/s", strings.Replace(good, "Authorization: Bearer", "Bearer", 1))
	ask("PUT", "/Subscription/s", strings.Replace(good, "Authorization:", "webhook-signature:", 1))
	ask("PUT", "/Subscription/s", strings.Replace(good, "http://", "http://user:"+secrets["password"]+"@", 1))
	ask("PUT", "/Subscription/s", strings.Replace(good, `"valueString"`, `"valueBoolean"`, 1))
	ask("PUT", "/Subscription/s", strings.Replace(good, `"Patient"`, `"Patient?nonsense=1"`, 1))
	ask("PUT", "/Subscription/s", good[:len(good)-1]+`,"extra":1}`)
	ask("PUT", "/Subscription/s", good+"x")
	ask("PUT", "/Subscription/other", strings.ReplaceAll(strings.Replace(good, `"id":"s"`, `"id":"other"`, 1), secrets["key"], "********"))
	ask("POST", "/Subscription/$validate", good)
	ask("POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":`+good+`,"request":{"method":"PUT","url":"Subscription/s","ifMatch":"W/\"99\""}}]}`)

	for _, path := range []string{
		"/Subscription/s", "/Subscription/s?_summary=true", "/Subscription/s/_history", "/Subscription/s/_history/1", "/Subscription/s/_history/2",
		"/Subscription", "/Subscription?_id=s", "/Subscription?_elements=channel,extension", "/Subscription?url=" + url.QueryEscape(endpoint), "/Subscription/_history", "/_history",
		"/Subscription/s/$deliveries", "/Subscription/$deliveries", "/Patient/p/$deliveries", "/Subscription/$status", "/Subscription/s/$status", "/Subscription/$plan",
		"/AuditEvent?entity=Subscription/s", "/AuditEvent", "/metadata", "?_type=Subscription",
	} {
		ask("GET", path, "")
	}
	ask("POST", "/Subscription/s/$ping", "")
	ask("POST", "/Subscription/s/$explain?reference=Patient/p/_history/1", "")
	ask("POST", "/Subscription/s/$redeliver?sequence=1&dry-run=true", "")
	for _, kind := range []string{"batch", "transaction"} {
		ask("POST", "", `{"resourceType":"Bundle","type":"`+kind+`","entry":[{"request":{"method":"GET","url":"Subscription/s"}},{"request":{"method":"GET","url":"Subscription"}},{"request":{"method":"GET","url":"Subscription/s/_history"}}]}`)
	}
	for _, path := range []string{"/metrics", "/healthz", "/readyz", "/openapi.json", "/webhooks", "/webhooks/s", "/webhooks/s/deliveries"} {
		response, err := http.Get(strings.TrimSuffix(server.base, "/fhir/R4") + path)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(response.Body)
		response.Body.Close()
		said[path] = string(text)
	}
	watched := watcher.await(t, "what is notified of the Subscription itself", func(got []notification) bool { return len(reads(got, "/watch")) >= 3 })
	for _, n := range watched {
		said[fmt.Sprintf("the notification of %s (%d)", n.resource, n.sequence)] = string(n.body) + fmt.Sprint(n.header)
	}
	if code := server.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	log := server.log.String()
	if !strings.Contains(log, "delivery.attempted") {
		t.Errorf("the log does not tell of the attempt:\n%.500s", log)
	}
	said["the log"] = log
	for where, text := range said {
		for name, secret := range secrets {
			for _, form := range []string{secret, strings.TrimPrefix(secret, "whsec_"), url.QueryEscape(secret)} {
				if name == "query" { // the endpoint is an element of the resource, which its readers see
					text = endpoints.ReplaceAllString(text, "")
				}
				if i := strings.Index(text, form); i >= 0 {
					t.Errorf("the %s is told by %s: …%.120s…", name, where, text[max(0, i-60):])
				}
			}
		}
	}
	if shown := said["GET /Subscription/s  → 200"]; !strings.Contains(shown, "Authorization: ********") {
		t.Errorf("a read shows %s", shown)
	}
	// What was sent is what the endpoint got.
	if n := echo.all()[0]; n.header.Get("Authorization") != "Bearer "+secrets["header"] {
		t.Errorf("the endpoint got %q", n.header.Get("Authorization"))
	}
}
