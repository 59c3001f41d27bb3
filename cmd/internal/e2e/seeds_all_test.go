//go:build all

package e2e_test

import (
	"fmt"
	"strings"
	"testing"
)

// sample is a page's receiver that runs.
type sample struct {
	t     *testing.T
	url   string // without a path
	lines output
}

// runSample runs a sample of testdata/seeds; see its README.md and the harnesses.
func runSample(t *testing.T, file, secret string, arguments ...string) sample {
	t.Helper()
	command := []string{"node", seeds + "harness.js"}
	if strings.HasSuffix(file, ".py") {
		command = []string{"python3", seeds + "harness.py"}
	}
	lines := program(t, append(append(command, seeds+file), arguments...), "SECRET="+secret)
	return sample{t, "http://127.0.0.1:" + string(lines.next(t)), lines}
}

// next is the next line that the sample writes.
func (s sample) next() string {
	s.t.Helper()
	return string(s.lines.next(s.t))
}

// expect compares it.
func (s sample) expect(want string) {
	s.t.Helper()
	if got := s.next(); got != want {
		s.t.Errorf("the sample says %s\nwant %s", got, want)
	}
}

// settled waits until the latest notification of a Subscription has a state, and wants these statuses of its attempts.
func (p *process) settled(t *testing.T, id, state string, statuses ...int) {
	t.Helper()
	var page string
	eventually(t, "a notification that is "+state, func() bool {
		page = string(p.must(200, "GET", "/Subscription/"+id+"/$deliveries?_count=1", "").body)
		return strings.Contains(page, `{"name":"state","valueCode":"`+state+`"}`)
	})
	for _, s := range statuses {
		if !strings.Contains(page, fmt.Sprintf(`{"name":"status","valueInteger":%d}`, s)) {
			t.Errorf("no attempt was answered with %d: %s", s, page)
		}
	}
}

const everyInteraction = `
	{"url":"https://medplum.com/fhir/StructureDefinition/subscription-supported-interaction","valueCode":"create"},
	{"url":"https://medplum.com/fhir/StructureDefinition/subscription-supported-interaction","valueCode":"update"},
	{"url":"https://medplum.com/fhir/StructureDefinition/subscription-supported-interaction","valueCode":"delete"},`

// withDeletes asks for deletions, too.
func withDeletes(subscription string) string {
	list := strings.LastIndex(subscription, `"extension"`)
	at := list + strings.IndexByte(subscription[list:], '[') + 1
	return subscription[:at] + everyInteraction + subscription[at:]
}

// Seed 0: both samples print the signature that came and the one that they expect, and leave it to the reader to
// compare them.
func TestSeeds_kitSamplesExpectWhatTheyReceive(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		file   string
		order  []string // of the lines
		echoes bool     // the sample prints the body as well
	}{
		{"kit/flask.py", []string{"Expected", "Received"}, false},
		{"kit/express.js", []string{"Signature", "Expected"}, true},
	} {
		for secret, agree := range map[string]bool{"abc": true, "abd": false} {
			t.Run(tt.file+" "+secret, func(t *testing.T) {
				t.Parallel()
				server, s := start(t, t.TempDir()), runSample(t, tt.file, "")
				subscription := strings.Replace(strings.Replace(seed0Signed, "ENDPOINT", s.url+"/webhook", 1), `"abc"`, `"`+secret+`"`, 1)
				id := server.create("Subscription", withDeletes(subscription))
				check := func(body string) {
					t.Helper()
					values := map[string]bool{}
					for _, name := range tt.order {
						got, value, _ := strings.Cut(s.next(), ": ")
						if got != name || len(value) != 64 {
							t.Errorf("%s: %q", got, value)
						}
						values[value] = true
					}
					if (len(values) == 1) != agree {
						t.Errorf("the signatures are %v", values)
					}
					if tt.echoes {
						s.expect("Received: " + body)
					}
					server.settled(t, id, "delivered", 200)
				}
				written := server.must(201, "POST", "/DiagnosticReport",
					strings.Replace(fmt.Sprintf(awkward, "DiagnosticReport"), `{`, `{"status":"completed","code":{"text":"x"},"effectiveDateTime":"2026",`, 1))
				check(string(written.body))
				server.must(204, "DELETE", "/DiagnosticReport/"+fmt.Sprint(written.json(t)["id"]), "")
				check("{}")
			})
		}
	}
}

// Seed 2.
func TestSeeds_healthsyncSamplesAcceptTheSignature(t *testing.T) {
	t.Parallel()
	const path = "/webhooks/healthsync"
	t.Run("python", func(t *testing.T) {
		t.Parallel()
		server, s := start(t, t.TempDir()), runSample(t, "healthsync/flask.py", "a plain secret")
		id := server.create("Subscription", withDeletes(subscriptionTo(s.url+path, "DocumentReference", "a plain secret", "healthsync")))
		document := server.must(201, "POST", "/DocumentReference", `{"resourceType":"DocumentReference","status":"current","description":"Müller","content":[{"attachment":{"title":"lab_results.pdf"}}]}`)
		if line := s.next(); !strings.HasPrefix(line, `uploaded {"object": {"resourceType": "DocumentReference"`) || !strings.Contains(line, "Müller") {
			t.Errorf("handed on: %s", line)
		}
		server.settled(t, id, "delivered", 200)
		server.must(200, "POST", "/Subscription/"+id+"/$ping", "")
		server.must(204, "DELETE", "/DocumentReference/"+fmt.Sprint(document.json(t)["id"]), "")
		eventually(t, "the deletion", func() bool {
			page := string(server.must(200, "GET", "/Subscription/"+id+"/$deliveries?status=delivered", "").body)
			return strings.Count(page, `"name":"sequence"`) == 2
		})

		reports := server.create("Subscription", subscriptionTo(s.url+path, "DiagnosticReport", "a plain secret", "healthsync"))
		server.create("DiagnosticReport", `{"resourceType":"DiagnosticReport","status":"final","code":{"text":"x"}}`)
		if line := s.next(); !strings.HasPrefix(line, `completed {"object": {"resourceType": "DiagnosticReport"`) {
			t.Errorf("handed on: %s", line)
		}
		server.settled(t, reports, "delivered", 200)

		wrong := server.create("Subscription", subscriptionTo(s.url+path, "Patient", "another secret", "healthsync"))
		server.create("Patient", `{"resourceType":"Patient"}`)
		server.settled(t, wrong, "failed", 401)
	})
	t.Run("javascript", func(t *testing.T) {
		t.Parallel()
		server := start(t, t.TempDir())
		s := runSample(t, "healthsync/verify.js", "a plain secret", "x-healthsync-signature")
		id := server.create("Subscription", withDeletes(subscriptionTo(s.url+path, "DocumentReference", "a plain secret", "healthsync")))
		made := server.create("DocumentReference", fmt.Sprintf(`{"resourceType":"DocumentReference","status":"current",%s`,
			strings.SplitN(fmt.Sprintf(awkward, "X"), ",", 2)[1]))
		s.expect("200 document.uploaded")
		server.must(200, "PUT", "/DocumentReference/"+made, `{"resourceType":"DocumentReference","id":"`+made+`","status":"superseded"}`)
		s.expect("200 document.updated")
		server.must(204, "DELETE", "/DocumentReference/"+made, "")
		s.expect("200 document.deleted")
		server.must(200, "POST", "/Subscription/"+id+"/$ping", "")
		s.expect("200 ping")
		server.settled(t, id, "delivered", 200)

		wrong := server.create("Subscription", subscriptionTo(s.url+path, "Patient", "another secret", "healthsync"))
		server.create("Patient", `{"resourceType":"Patient"}`)
		s.expect("401 Invalid signature")
		server.settled(t, wrong, "failed", 401)
	})
}

// Seed 3.
func TestSeeds_clinikDescriptionAcceptsTheSignature(t *testing.T) {
	t.Parallel()
	server, s := start(t, t.TempDir()), runSample(t, "clinik/verify.js", "a plain secret")
	line := newRelay(t, s.url)
	line.meddle = func(c *captured) action {
		if c.header.Get("X-Clinik-Event") == "lab.updated" {
			return twice
		}
		return pass
	}
	id := server.create("Subscription", withDeletes(subscriptionTo(line.URL, "DiagnosticReport", "a plain secret", "clinik")))
	made := server.create("DiagnosticReport", `{"resourceType":"DiagnosticReport","status":"final","code":{"text":"x"}}`)
	data := func(action string) string {
		return ` now {"resourceType":"DiagnosticReport","resourceId":"` + made + `","action":"` + action + `","tenantId":"default"}`
	}
	s.expect("200 lab.created lab.created" + data("created"))
	server.must(200, "PUT", "/DiagnosticReport/"+made, `{"resourceType":"DiagnosticReport","id":"`+made+`","status":"amended","code":{"text":"x"}}`)
	s.expect("200 lab.updated lab.updated" + data("updated"))
	s.expect("200 duplicate")
	server.must(204, "DELETE", "/DiagnosticReport/"+made, "")
	s.expect("200 lab.deleted lab.deleted" + data("deleted"))
	server.must(200, "POST", "/Subscription/"+id+"/$ping", "")
	s.expect("200 ping ping now {}")
	server.settled(t, id, "delivered", 200)

	wrong := server.create("Subscription", subscriptionTo(s.url, "Patient", "another secret", "clinik"))
	server.create("Patient", `{"resourceType":"Patient"}`)
	s.expect("401 invalid signature")
	server.settled(t, wrong, "failed", 401)
}

// Seed 1. The page knows no signature.
func TestSeeds_webhookEventsHaveTheInterface(t *testing.T) {
	t.Parallel()
	server, s := start(t, t.TempDir()), runSample(t, "webhook-events/shape.js", "")
	id := server.create("Subscription", withDeletes(subscriptionTo(s.url, "Encounter", "unused by the page", "webhook-events")))
	created := server.must(201, "POST", "/Encounter", `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"}}`)
	s.expect("200 medical-encounters.created " + string(created.body))
	made := fmt.Sprint(created.json(t)["id"])
	updated := server.must(200, "PUT", "/Encounter/"+made, `{"resourceType":"Encounter","id":"`+made+`","status":"finished","class":{"code":"AMB"}}`)
	s.expect("200 medical-encounters.updated " + string(updated.body))
	server.must(204, "DELETE", "/Encounter/"+made, "")
	s.expect("200 medical-encounters.removed " + string(updated.body))
	server.must(200, "POST", "/Subscription/"+id+"/$ping", "")
	s.expect("200 ping undefined")
	server.settled(t, id, "delivered", 200)
}
