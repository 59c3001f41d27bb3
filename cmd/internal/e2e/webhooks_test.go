package e2e_test

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"fhirhook/fhir/rest"
)

// The product page's two requests as they are printed there, with another URL to send to and the webhook's id in
// its place. Comments are no JSON, so they are taken out.
const (
	seed1Create = `{
  "organization": "organization.id",
  # set the webhook as active
  "active": true,
  # URL is the URL of the server that will receive the webhook ` + "`POST`" + ` requests
  "url": "https://example.com/webhook",
  # events to listen on. pattern: ` + "`<service-name>.<method>`" + `
  "events": "ping"
}`
	seed1Ping = `{
  "webhook": "webhook.id",
  "event": "ping"
}`
)

func uncommented(text string) string {
	return regexp.MustCompile(`(?m)^ *#.*\n`).ReplaceAllString(text, "")
}

// beside sends a request to what stands beside the FHIR endpoint.
func (p *process) beside(status int, method, path, body string) answer {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), method, strings.TrimSuffix(p.base, rest.Prefix)+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != status {
		p.t.Fatalf("%s %s: status %d, want %d, %v\n%s", method, path, response.StatusCode, status, err, text)
	}
	return answer{response.StatusCode, response.Header, text}
}

// event is what the page says a webhook gets.
type event struct {
	ID      string          `json:"id"`
	Event   string          `json:"event"`
	Payload json.RawMessage `json:"payload"`
}

func eventOf(t *testing.T, n notification) event {
	t.Helper()
	var e event
	d := json.NewDecoder(strings.NewReader(string(n.body)))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		t.Fatalf("%v\n%s", err, n.body)
	}
	return e
}

func TestSeed1_literalRequests(t *testing.T) {
	t.Parallel()
	p, receiver := start(t, t.TempDir()), newReceiver(t, nil)
	p.beside(http.StatusBadRequest, "POST", "/webhook-events", seed1Create) // the page's comments are no JSON
	made := p.beside(http.StatusCreated, "POST", "/webhook-events", strings.Replace(uncommented(seed1Create), "https://example.com/webhook", receiver.URL, 1)).json(t)
	id, _ := made["id"].(string)
	if made["organization"] != "organization.id" || made["active"] != true || made["dialect"] != "webhook-events" || made["warnings"] == nil {
		t.Errorf("%v", made)
	}
	p.must(http.StatusCreated, "POST", "/Patient", `{"resourceType":"Patient"}`) // nobody asked for this
	sent := p.beside(http.StatusOK, "POST", "/webhook-events", strings.Replace(seed1Ping, "webhook.id", id, 1)).json(t)
	if sent["state"] != "delivered" || sent["status"] != 200.0 {
		t.Errorf("%v", sent)
	}
	p.beside(http.StatusNotFound, "POST", "/webhook-events", seed1Ping)
	ping := eventOf(t, receiver.await(t, "the ping", atLeast(1))[0])
	if ping.Event != "ping" || ping.ID != sent["id"] || ping.Payload != nil {
		t.Errorf("%+v", ping)
	}
	if other := p.must(http.StatusOK, "GET", "/Subscription/"+id+"/$deliveries", "").json(t); other["total"] != 0.0 {
		t.Errorf("a webhook for tests was owed something: %v", other)
	}

	// The page's other words: a service's name, and a method of a service.
	named := strings.NewReplacer(`"ping"`, `["patients.created", "encounters"]`, "https://example.com/webhook", receiver.URL)
	webhook := p.beside(http.StatusCreated, "POST", "/webhook-events", named.Replace(uncommented(seed1Create))).json(t)
	patient := p.create("Patient", `{"resourceType":"Patient","active":true}`)
	p.must(http.StatusOK, "PUT", "/Patient/"+patient, `{"resourceType":"Patient","id":"`+patient+`","active":false}`)
	encounter := p.create("Encounter", `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"}}`)
	p.must(http.StatusOK, "PUT", "/Encounter/"+encounter, `{"resourceType":"Encounter","id":"`+encounter+`","status":"finished","class":{"code":"AMB"}}`)
	p.must(http.StatusNoContent, "DELETE", "/Encounter/"+encounter, "")
	got := map[int]string{}
	for _, n := range receiver.await(t, "four events", atLeast(5)) {
		if n.sequence == 0 {
			continue
		}
		e := eventOf(t, n)
		got[n.sequence] = e.Event
		if e.ID != n.id || n.subscription != webhook["id"] || len(e.Payload) == 0 {
			t.Errorf("%s", n.body)
		}
	}
	for i, want := range []string{"patients.created", "medical-encounters.created", "medical-encounters.updated", "medical-encounters.removed"} {
		if got[i+1] != want {
			t.Errorf("event %d is %s, want %s", i+1, got[i+1], want)
		}
	}
}

// A webhook of seed 3's form: patterns, a made secret, the dialect that is the default, and what became of it.
func TestWebhooks_deliverWhatTheyName(t *testing.T) {
	t.Parallel()
	p, receiver := start(t, t.TempDir()), newReceiver(t, nil)
	made := p.beside(http.StatusCreated, "POST", "/webhooks", `{"url":"`+receiver.URL+`","events":["patient.*","lab"],"secret":"generate"}`)
	id, _ := made.json(t)["id"].(string)
	secret, _ := made.json(t)["secret"].(string)
	if location := made.header.Get("Location"); location != strings.TrimSuffix(p.base, rest.Prefix)+"/webhooks/"+id {
		t.Errorf("Location: %s", location)
	}
	p.create("Observation", `{"resourceType":"Observation","status":"final","code":{"text":"x"}}`)
	p.create("DiagnosticReport", report)
	patient := p.create("Patient", `{"resourceType":"Patient"}`)
	p.must(http.StatusNoContent, "DELETE", "/Patient/"+patient, "")
	names := map[string]bool{}
	for _, n := range receiver.await(t, "three events", atLeast(3)) {
		names[n.header.Get("X-Clinik-Event")] = true
		if got := n.header.Get("X-Clinik-Signature"); got != signature(secret, n.body) {
			t.Errorf("the signature %s is not by the secret that was shown", got)
		}
	}
	for _, want := range []string{"lab.created", "patient.created", "patient.deleted"} {
		if !names[want] {
			t.Errorf("%s did not come: %v", want, names)
		}
	}
	p.beside(http.StatusOK, "PATCH", "/webhooks/"+id, `{"active":false}`)
	p.create("Patient", `{"resourceType":"Patient"}`)
	if text := p.beside(http.StatusOK, "GET", "/webhooks/"+id+"/deliveries?_count=2", "").body; !strings.Contains(string(text), `"event":"patient.deleted"`) {
		t.Errorf("%s", text)
	}
	p.beside(http.StatusNoContent, "DELETE", "/webhooks/"+id, "")
	p.beside(http.StatusGone, "GET", "/webhooks/"+id, "")
	if got := len(receiver.all()); got != 3 {
		t.Errorf("%d events, want 3: what is off sends nothing", got)
	}
	if !strings.Contains(string(p.beside(http.StatusOK, "GET", "/openapi.json", "").body), `"/webhooks/{id}/ping"`) {
		t.Error("OpenAPI doesn't describe webhooks")
	}
}
