package subscription

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirhook/channel"
	"fhirhook/channel/resthook"
	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

func testOptions(t testing.TB) Options {
	t.Helper()
	table, err := NewDialectTable("kit", resthook.Dialects()...)
	if err != nil {
		t.Fatal(err)
	}
	return Options{Definitions: criteria.R4(), Dialects: table, Policy: resthook.Policy{}}
}

func document(t testing.TB, json string) *tape.Doc {
	t.Helper()
	doc, err := tape.Parse([]byte(json), 0)
	if err != nil {
		t.Fatalf("%s: %v", json, err)
	}
	return doc
}

// body is a Subscription with more members put in: at the root and in the channel.
func body(root, ch string) string {
	return `{"resourceType":"Subscription","criteria":"DiagnosticReport?status=final"` + root +
		`,"channel":{"type":"rest-hook","endpoint":"https://hooks.example.org/in"` + ch + `}}`
}

func ext(url, value string) string { return `{"url":"` + url + `",` + value + `}` }

func rootExt(ee ...string) string { return body(`,"extension":[`+strings.Join(ee, ",")+`]`, "") }
func chExt(ee ...string) string   { return body("", `,"extension":[`+strings.Join(ee, ",")+`]`) }

const (
	us   = "https://fhirhook.dev/StructureDefinition/"
	med  = "https://medplum.com/fhir/StructureDefinition/"
	hap  = "http://hapifhir.io/fhir/StructureDefinition/"
	back = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
)

// issue is one problem: kind of the answer, and where it is.
type issue struct {
	Kind fhir.Kind
	At   string
}

func issues(err error) []issue {
	e, ok := errors.AsType[*fhir.Error](err)
	if !ok {
		return nil
	}
	all := []issue{{e.Kind, e.Expression}}
	for _, m := range e.More {
		all = append(all, issue{m.Kind, m.Expression})
	}
	return all
}

func TestParse_refusesWithTheElement(t *testing.T) {
	const (
		rule = fhir.BusinessRule
		root = "Subscription"
		ch   = "Subscription.channel"
	)
	one := func(kind fhir.Kind, at string) []issue { return []issue{{kind, at}} }
	tests := []struct {
		name, body string
		want       []issue
	}{
		{"status unknown", body(`,"status":"on"`, ""), one(rule, root+".status")},
		{"status not a string", body(`,"status":1`, ""), one(fhir.Value, root+".status")},
		{"end not an instant", body(`,"end":"2030-01-01"`, ""), one(fhir.Value, root+".end")},
		{"end not a string", body(`,"end":2030`, ""), one(fhir.Value, root+".end")},
		{"no criteria", `{"resourceType":"Subscription","channel":{"type":"rest-hook","endpoint":"https://h.example.org"}}`, one(fhir.Required, root+".criteria")},
		{"criteria not a string", `{"resourceType":"Subscription","criteria":["Patient"],"channel":{"type":"rest-hook","endpoint":"https://h.example.org"}}`, one(fhir.Value, root+".criteria")},
		{"no channel", `{"resourceType":"Subscription","criteria":"Patient"}`, one(fhir.Required, ch)},
		{"channel not an object", `{"resourceType":"Subscription","criteria":"Patient","channel":[]}`, one(fhir.Value, ch)},
		{"channel empty", `{"resourceType":"Subscription","criteria":"Patient","channel":{}}`, []issue{{fhir.Required, ch + ".type"}, {rule, ch + ".endpoint"}}},
		{"websocket", `{"resourceType":"Subscription","criteria":"Patient","channel":{"type":"websocket","endpoint":"https://h.example.org"}}`, one(rule, ch+".type")},
		{"header not an array", body("", `,"header":"A: b"`), one(fhir.Value, ch+".header")},
		{"header not a string", body("", `,"header":["A: b",5]`), one(fhir.Value, ch+".header[1]")},
		{"header without colon", body("", `,"header":["A: b","nocolon"]`), one(rule, ch+".header[1]")},
		{"header line break", body("", `,"header":["A: b\r\nHost: evil"]`), one(rule, ch+".header[0]")},
		{"header Host", body("", `,"header":["Host: evil"]`), one(rule, ch+".header[0]")},
		{"header webhook-id", body("", `,"header":["Webhook-Id: 1"]`), one(rule, ch+".header[0]")},
		{"header of the dialect", body("", `,"header":["X-Signature: 1"]`), one(rule, ch+".header[0]")},
		{"payload XML", body("", `,"payload":"application/fhir+xml"`), one(rule, ch+".payload")},
		{"payload of another FHIR version", body("", `,"payload":"application/fhir+json; fhirVersion=5.0"`), one(rule, ch+".payload")},
		{"payload nonsense", body("", `,"payload":"json please"`), one(rule, ch+".payload")},
		{"payload text", body("", `,"payload":"text/plain"`), one(rule, ch+".payload")},
		{"extension not an array", body(`,"extension":{}`, ""), one(fhir.Value, root+".extension")},
		{"extension without url", rootExt(`{"valueString":"x"}`), one(fhir.Value, root+".extension[0]")},
		{"secret of the wrong type", rootExt(ext(us+"subscription-secret", `"valueCode":"abc"`)), one(rule, root+".extension[0]")},
		{"secret not a string", rootExt(ext(us+"subscription-secret", `"valueString":1`)), one(fhir.Value, root+".extension[0].valueString")},
		{"secret empty", chExt(ext(us+"subscription-secret", `"valueString":""`)), one(fhir.Value, ch+".extension[0].valueString")},
		{"secret whsec without base64", chExt(ext(us+"subscription-secret", `"valueString":"whsec_***"`)), one(rule, ch+".extension[0].valueString")},
		{"two secrets", rootExt(ext(us+"subscription-secret", `"valueString":"a"`), ext(med+"subscription-secret", `"valueString":"b"`)), one(rule, root+".extension[1].valueString")},
		{"the mask as a secret", rootExt(ext(us+"subscription-secret", `"valueString":"********"`)), one(rule, root+".extension[0].valueString")},
		{"the mask as a header", body("", `,"header":["Authorization:********"]`), one(rule, ch+".header[0]")},
		{"interaction unknown", chExt(ext(med+"subscription-supported-interaction", `"valueCode":"patch"`)), one(rule, ch+".extension[0].valueCode")},
		{"attempts 0", rootExt(ext(med+"subscription-max-attempts", `"valueInteger":0`)), one(rule, root+".extension[0].valueInteger")},
		{"attempts a fraction", rootExt(ext(med+"subscription-max-attempts", `"valueInteger":1.5`)), one(rule, root+".extension[0].valueInteger")},
		{"attempts as text", rootExt(ext(med+"subscription-max-attempts", `"valueInteger":"4"`)), one(fhir.Value, root+".extension[0].valueInteger")},
		{"attempts as string", rootExt(ext(med+"subscription-max-attempts", `"valueString":"4"`)), one(rule, root+".extension[0]")},
		{"retry count below 0", chExt(ext(hap+"subscription-delivery-retry-count", `"valueInteger":-1`)), one(rule, ch+".extension[0].valueInteger")},
		{"send-delete not a boolean", chExt(ext(hap+"subscription-send-delete-messages", `"valueBoolean":"true"`)), one(fhir.Value, ch+".extension[0].valueBoolean")},
		{"send-delete in fhir", chExt(ext(us+"subscription-dialect", `"valueCode":"fhir"`), ext(hap+"subscription-send-delete-messages", `"valueBoolean":true`)), one(rule, ch+".extension[1].valueBoolean")},
		{"delete in fhir", chExt(ext(med+"subscription-supported-interaction", `"valueCode":"delete"`), ext(us+"subscription-dialect", `"valueCode":"fhir"`)), one(rule, ch+".extension[0].valueCode")},
		{"order none in fhir", chExt(ext(us+"subscription-dialect", `"valueCode":"fhir"`), ext(us+"subscription-order", `"valueCode":"none"`)), one(rule, ch+".extension[1].valueCode")},
		{"deliver-latest not a boolean", chExt(ext(hap+"subscription-resthook-deliver-latest-version", `"valueBoolean":"yes"`)), one(fhir.Value, ch+".extension[0].valueBoolean")},
		{"deliver-latest twice", chExt(ext(hap+"subscription-resthook-deliver-latest-version", `"valueBoolean":true`), ext(hap+"subscription-resthook-deliver-latest-version", `"valueBoolean":false`)), one(rule, ch+".extension[1].valueBoolean")},
		{"strip versions as code", chExt(ext(hap+"subscription-resthook-strip-version-ids", `"valueCode":"true"`)), one(rule, ch+".extension[0]")},
		{"timeout 0", chExt(ext(back+"backport-timeout", `"valueUnsignedInt":0`)), one(rule, ch+".extension[0].valueUnsignedInt")},
		{"timeout too long", chExt(ext(back+"backport-timeout", `"valueUnsignedInt":601`)), one(rule, ch+".extension[0].valueUnsignedInt")},
		{"dialect unknown", chExt(ext(us+"subscription-dialect", `"valueCode":"nope"`)), one(rule, ch+".extension[0].valueCode")},
		{"signature unknown", chExt(ext(us+"subscription-signature", `"valueCode":"md5"`)), one(rule, ch+".extension[0].valueCode")},
		{"ladder nonsense", chExt(ext(us+"subscription-retry", `"valueString":"soon"`)), one(rule, ch+".extension[0].valueString")},
		{"order unknown", chExt(ext(us+"subscription-order", `"valueCode":"strict"`)), one(rule, ch+".extension[0].valueCode")},
		{"order twice", chExt(ext(us+"subscription-order", `"valueCode":"none"`), ext(us+"subscription-order", `"valueCode":"resource"`)), one(rule, ch+".extension[1].valueCode")},
		{"backlog unknown", chExt(ext(us+"subscription-backlog", `"valueCode":"drop"`)), one(rule, ch+".extension[0].valueCode")},
		{"event that nothing is called", chExt(ext(us+"subscription-event", `"valueString":"nonsense.created"`)), one(rule, ch+".extension[0].valueString")},
		{"event of a type without what happened", chExt(ext(us+"subscription-event", `"valueString":"diagnostic-report"`)), one(rule, ch+".extension[0].valueString")},
		{"event with what never happens", chExt(ext(us+"subscription-event", `"valueString":"diagnostic-report.read"`)), one(rule, ch+".extension[0].valueString")},
		{"event with half a type", chExt(ext(us+"subscription-event", `"valueString":"diagnostic*.created"`)), one(rule, ch+".extension[0].valueString")},
		{"event of another dialect", chExt(ext(us+"subscription-event", `"valueString":"lab.created"`)), one(rule, ch+".extension[0].valueString")},
		{"event with blanks", chExt(ext(us+"subscription-event", `"valueString":" diagnostic-report.created"`)), one(rule, ch+".extension[0].valueString")},
		{"event as code", chExt(ext(us+"subscription-event", `"valueCode":"*"`)), one(rule, ch+".extension[0]")},
		{"event pattern too long", chExt(ext(us+"subscription-event", `"valueString":"`+strings.Repeat("x", 129)+`"`)), one(rule, ch+".extension[0].valueString")},
		{"events of another type than the criteria", chExt(ext(us+"subscription-event", `"valueString":"diagnostic-report.*"`), ext(us+"subscription-event", `"valueString":"patient.*"`)), one(rule, ch+".extension[1].valueString")},
		{"event that names deleted in fhir", chExt(ext(us+"subscription-dialect", `"valueCode":"fhir"`), ext(us+"subscription-event", `"valueString":"diagnostic-report.deleted"`)), one(rule, ch+".extension[1].valueString")},
		{"every deletion in fhir", chExt(ext(us+"subscription-dialect", `"valueCode":"fhir"`), ext(us+"subscription-event", `"valueString":"*.deleted"`)), one(rule, ch+".extension[1].valueString")},
		{"events and interactions with nothing in common", chExt(ext(us+"subscription-event", `"valueString":"diagnostic-report.created"`), ext(med+"subscription-supported-interaction", `"valueCode":"update"`)), one(rule, ch+".extension[0].valueString")},
		{"send-delete and events without deletions", chExt(ext(us+"subscription-event", `"valueString":"*.created"`), ext(hap+"subscription-send-delete-messages", `"valueBoolean":true`)), one(rule, ch+".extension[1].valueBoolean")},
		{"trigger enters for deletions", chExt(ext(us+"subscription-event", `"valueString":"*.deleted"`), ext(us+"subscription-trigger", `"valueCode":"enters"`)), one(rule, ch+".extension[0].valueString")},
		{"trigger changes for creations", chExt(ext(us+"subscription-event", `"valueString":"*.created"`), ext(us+"subscription-trigger", `"valueCode":"changes"`), ext(us+"subscription-trigger-parameter", `"valueString":"status"`)), one(rule, ch+".extension[0].valueString")},
		{"trigger leaves in fhir with events", chExt(ext(us+"subscription-dialect", `"valueCode":"fhir"`), ext(us+"subscription-event", `"valueString":"*"`), ext(us+"subscription-trigger", `"valueCode":"leaves"`)), one(rule, ch+".extension[2].valueCode")},
		{"events of an unknown dialect are not judged", chExt(ext(us+"subscription-dialect", `"valueCode":"nope"`), ext(us+"subscription-event", `"valueString":"lab.created"`)), one(rule, ch+".extension[0].valueCode")},
		{"events are judged though the criteria are wrong", strings.Replace(chExt(ext(us+"subscription-event", `"valueString":"nonsense"`)), "DiagnosticReport?status=final", "Nonsense", 1), []issue{{rule, root + ".criteria"}, {rule, ch + ".extension[0].valueString"}}},
		{"event name with a line break", rootExt(ext(us+"subscription-event-name", `"valueString":"a\nb"`)), one(rule, root+".extension[0].valueString")},
		{"event name beyond ASCII", rootExt(ext(us+"subscription-event-name", `"valueString":"Befundüberarbeitet"`)), one(rule, root+".extension[0].valueString")},
		{"event name with a blank at its end", rootExt(ext(us+"subscription-event-name", `"valueString":"lab "`)), one(rule, root+".extension[0].valueString")},
		{"event name too long", rootExt(ext(us+"subscription-event-name", `"valueString":"`+strings.Repeat("x", 129)+`"`)), one(rule, root+".extension[0].valueString")},
		{"event name twice", rootExt(ext(us+"subscription-event-name", `"valueString":"a"`), ext(us+"subscription-event-name", `"valueString":"b"`)), one(rule, root+".extension[1].valueString")},
		{"success code out of range", rootExt(ext(med+"subscription-success-codes", `"valueString":"200,700"`)), one(rule, root+".extension[0].valueString")},
		{"success code that ends nothing", rootExt(ext(med+"subscription-success-codes", `"valueString":"100-200"`)), one(rule, root+".extension[0].valueString")},
		{"success codes the wrong way round", chExt(ext(med+"subscription-success-codes", `"valueString":"299-200"`)), one(rule, ch+".extension[0].valueString")},
		{"success codes nonsense", chExt(ext(med+"subscription-success-codes", `"valueString":"ok"`)), one(rule, ch+".extension[0].valueString")},
		{"success codes twice", rootExt(ext(med+"subscription-success-codes", `"valueString":"200"`), ext(med+"subscription-success-codes", `"valueString":"201"`)), one(rule, root+".extension[1].valueString")},
		{"audit destination unknown", rootExt(ext(med+"subscription-audit-event-destination", `"valueCode":"syslog"`)), one(rule, root+".extension[0].valueCode")},
		{"payload content of the backport", body("", `,"payload":"application/fhir+json","_payload":{"extension":[`+ext(back+"backport-payload-content", `"valueCode":"id-only"`)+`]}`), one(rule, ch+".payload.extension[0].valueCode")},
		{"filter of the backport", body(`,"_criteria":{"extension":[`+ext(back+"backport-filter-criteria", `"valueString":"Patient?x=1"`)+`]}`, ""), one(rule, root+".criteria.extension[0].valueString")},
		{"cross-version extension on criteria", body(`,"_criteria":{"extension":[`+ext("http://hl7.org/fhir/5.0/StructureDefinition/extension-Subscription.filterBy", `"valueString":"x"`)+`]}`, ""), one(rule, root+".criteria.extension[0].valueString")},
		{"secret at a header", body("", `,"header":["A: b"],"_header":[{"extension":[`+ext(us+"subscription-secret", `"valueString":"x"`)+`]}]`), one(rule, ch+".header[0].extension[0]")},
		{"modifier extension", body(`,"modifierExtension":[`+ext("https://example.org/not", `"valueBoolean":true`)+`]`, ""), one(rule, root+".modifierExtension[0]")},
		{"everything at once", `{"resourceType":"Subscription","status":"on","end":"x","criteria":"Observation?nonsense=1&code:wrong=2","channel":{"type":"sms","endpoint":"tel:1","payload":"x/xml","header":["x"]}}`, []issue{
			{rule, root + ".status"},
			{fhir.Value, root + ".end"},
			{rule, root + ".criteria"},
			{rule, root + ".criteria"},
			{rule, ch + ".type"},
			{rule, ch + ".endpoint"},
			{rule, ch + ".payload"},
			{rule, ch + ".header[0]"},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse(fhir.Key{}, 1, document(t, tt.body), testOptions(t))
			if diff := cmp.Diff(tt.want, issues(err)); diff != "" {
				t.Errorf("%s\n%v\n(-want +got)\n%s", tt.body, err, diff)
			}
		})
	}
}

func TestParse_refusesEndpoints(t *testing.T) {
	for _, endpoint := range []string{
		"", "relative/path", "mailto:a@example.org", "ftp://example.org/", "https://", "https:///path", "https://user:geheim@example.org/",
		"https://example.org/#frag", "https://example.org/%zz", "http://example.org/?token=geheim", "https://127.0.0.1/", "https://[::1]:9000/x",
	} {
		b := `{"resourceType":"Subscription","criteria":"Patient","channel":{"type":"rest-hook","endpoint":"` + endpoint + `"}}`
		_, err := Parse(fhir.Key{}, 1, document(t, b), testOptions(t))
		if got := issues(err); len(got) != 1 || got[0].At != "Subscription.channel.endpoint" {
			t.Errorf("%q: %v", endpoint, err)
		}
		if err != nil && strings.Contains(err.Error(), "geheim") {
			t.Errorf("%q: the error tells a secret: %v", endpoint, err)
		}
	}
}

func TestParse_refusesCriteria(t *testing.T) {
	for _, c := range []string{
		"NoSuch", "NoSuch?x=1", "Observation?nonsense=1", "Observation?code:nope=1", "Observation?date=yesterday", "Observation?_sort=date",
		"Observation?_count=5", "Observation?_include=Observation:subject", "http://example.org/topic", "urn:uuid:1", "https://srv.example.org/fhir/Observation?code=1", "?code=1", "[Observation,Nope]",
	} {
		b := `{"resourceType":"Subscription","criteria":"` + c + `","channel":{"type":"rest-hook","endpoint":"https://h.example.org"}}`
		_, err := Parse(fhir.Key{}, 1, document(t, b), testOptions(t))
		if diff := cmp.Diff([]issue{{fhir.BusinessRule, "Subscription.criteria"}}, issues(err)); diff != "" {
			t.Errorf("%q: %v\n%s", c, err, diff)
		}
	}
}

// The bodies of seed 0, with an endpoint, the lost resourceType and brackets, and the extension's URL filled in.
func TestParse_acceptsSeed0(t *testing.T) {
	first := `{"resourceType":"Subscription","criteria":"DiagnosticReport?status=completed","channel":{
		"type": "rest-hook", "endpoint": "https://hooks.example.org/webhook", "header": ["Authorization: Bearer secret-token-abc-123"]}}`
	second := `{"resourceType": "Subscription", "criteria": "DiagnosticReport?status=completed", "status": "active",
		"channel": {"type": "rest-hook", "endpoint": "https://hooks.example.org/webhook"},
		"extension": [{"url": "https://www.medplum.com/fhir/StructureDefinition-subscriptionSecret", "valueString": "abc"}]}`
	for _, b := range []string{first, second} {
		if _, err := Parse(fhir.Key{}, 1, document(t, b), testOptions(t)); err != nil {
			t.Errorf("%s: %v", b, err)
		}
	}
}

func TestParse_reads(t *testing.T) {
	kit := Ladder{First: time.Second, Factor: 2, Cap: time.Hour, GiveUp: 72 * time.Hour}
	plain := func(change func(*Subscription)) Subscription {
		s := Subscription{
			Criteria: "DiagnosticReport?status=final", Interactions: Interactions{Create: true, Update: true}, Ladder: kit,
			Target: channel.Target{Endpoint: "https://hooks.example.org/in"},
		}
		change(&s)
		return s
	}
	tests := []struct {
		name, body string
		want       Subscription
	}{
		{"nothing but what is needed", body("", ""), plain(func(*Subscription) {})},
		{"status and end", body(`,"status":"off","end":"2030-01-01T00:00:00+01:00"`, ""), plain(func(s *Subscription) {
			s.Status, s.End = Off, time.Date(2029, 12, 31, 23, 0, 0, 0, time.UTC)
		})},
		{"payload with parameters and headers", body("", `,"payload":"application/fhir+json; fhirVersion=4.0","header":["Referer: https://a.example.org:8/x","X-A: 1","x-a: 2","Empty:"]`), plain(func(s *Subscription) {
			s.Target.Payload = "application/fhir+json; fhirVersion=4.0"
			s.Target.Headers = []channel.Header{{Name: "Referer", Value: "https://a.example.org:8/x"}, {Name: "X-A", Value: "1"}, {Name: "x-a", Value: "2"}, {Name: "Empty"}}
		})},
		{"the same secret under two URLs", body(`,"extension":[`+ext("https://www.medplum.com/fhir/StructureDefinition/subscription-secret", `"valueString":"k"`)+`]`,
			`,"extension":[`+ext("https://www.fhirhook.dev/StructureDefinition/subscription-secret", `"valueString":"k"`)+`]`), plain(func(s *Subscription) {
			s.Target.Secrets = []string{"k"}
		})},
		{"interactions", chExt(ext("https://www.medplum.com/fhir/StructureDefinition/subscription-supported-interaction", `"valueCode":"create"`), ext(med+"subscription-supported-interaction", `"valueCode":"delete"`)), plain(func(s *Subscription) {
			s.Interactions = Interactions{Create: true, Delete: true}
		})},
		{"send-delete adds", rootExt(ext(hap+"subscription-send-delete-messages", `"valueBoolean":true`)), plain(func(s *Subscription) { s.Interactions.Delete = true })},
		{"send-delete false", rootExt(ext(hap+"subscription-send-delete-messages", `"valueBoolean":false`)), plain(func(*Subscription) {})},
		{"medplum hears of deletes", rootExt(ext(us+"subscription-dialect", `"valueCode":"medplum"`)), plain(func(s *Subscription) {
			s.Interactions.Delete = true
			s.Ladder = Ladder{First: 20 * time.Second, Factor: 2, Cap: 8 * time.Hour, GiveUp: s.Ladder.GiveUp, Most: 4}
			s.Target.Dialect = "medplum"
		})},
		{"fhir is ordered by resource", rootExt(ext(us+"subscription-dialect", `"valueCode":"fhir"`)), plain(func(s *Subscription) {
			s.Order, s.Target.Dialect = ByResource, "fhir"
		})},
		{"a ladder cut short twice", chExt(ext(us+"subscription-retry", `"valueString":"1m,5m,30m,1h"`), ext(med+"subscription-max-attempts", `"valueInteger":3`), ext(hap+"subscription-delivery-retry-count", `"valueInteger":1`)), plain(func(s *Subscription) {
			s.Ladder = Ladder{Waits: []time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute, time.Hour}, Most: 2}
		})},
		{"the rest of the table", chExt(ext(us+"subscription-signature", `"valueCode":"timestamped"`), ext(us+"subscription-order", `"valueCode":"subscription"`), ext(us+"subscription-backlog", `"valueCode":"skip"`),
			ext(back+"backport-timeout", `"valueUnsignedInt":5`), ext(us+"subscription-trigger", `"valueCode":"matches"`), ext("https://example.org/unrelated", `"valueString":"kept"`)), plain(func(s *Subscription) {
			s.Target.Signature, s.Order, s.SkipBacklog, s.Target.Timeout = "timestamped", BySubscription, true, 5*time.Second
		})},
		{"Medplum's and HAPI's switches", rootExt(ext("https://www.medplum.com/fhir/StructureDefinition/subscription-success-codes", `"valueString":"200, 201,410-600"`), ext(med+"subscription-success-codes", `"valueString":"200,201,410-600"`),
			ext(med+"subscription-audit-event-destination", `"valueCode":"log"`), ext(med+"subscription-audit-event-destination", `"valueCode":"resource"`),
			ext(hap+"subscription-resthook-deliver-latest-version", `"valueBoolean":true`), ext(hap+"subscription-resthook-strip-version-ids", `"valueBoolean":true`)), plain(func(s *Subscription) {
			s.Target.Success, s.Audit, s.Latest, s.Unversioned = "200,201,410-600", Audit{Resource: true, Log: true}, true, true
		})},
		{"HAPI's switches off", chExt(ext(hap+"subscription-resthook-deliver-latest-version", `"valueBoolean":false`), ext(hap+"subscription-resthook-strip-version-ids", `"valueBoolean":false`)), plain(func(*Subscription) {})},
		{"an audit destination", chExt(ext(med+"subscription-audit-event-destination", `"valueCode":"log"`)), plain(func(s *Subscription) { s.Audit.Log = true })},
		{"an event name", chExt(ext(us+"subscription-event-name", `"valueString":"Lab result ready!"`)), plain(func(s *Subscription) { s.EventName = "Lab result ready!" })},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse(fhir.Key{}, 0, document(t, tt.body), testOptions(t))
			if err != nil {
				t.Fatal(err)
			}
			if got.Query == nil {
				t.Error("no query")
			}
			if got.Names == nil {
				t.Error("no names for changes")
			}
			got.Query, got.Names = nil, nil
			got.End = got.End.UTC()
			if tt.name == "medplum hears of deletes" {
				got.Ladder.GiveUp = tt.want.Ladder.GiveUp // it ends with its requests; the dialect's own test says when
			}
			if diff := cmp.Diff(tt.want, *got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestParseLadder(t *testing.T) {
	tests := []struct {
		text string
		want Ladder
		bad  bool
	}{
		{text: "1m,5m,30m,1h", want: Ladder{Waits: []time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute, time.Hour}}},
		{text: " 10s , 1d", want: Ladder{Waits: []time.Duration{10 * time.Second, 24 * time.Hour}}},
		{text: "exp:1s,2,1h,72h", want: Ladder{First: time.Second, Factor: 2, Cap: time.Hour, GiveUp: 72 * time.Hour}},
		{text: "exp:500ms,1.5,10m,3d", want: Ladder{First: 500 * time.Millisecond, Factor: 1.5, Cap: 10 * time.Minute, GiveUp: 72 * time.Hour}},
		{text: "", bad: true},
		{text: "1m,", bad: true},
		{text: "5", bad: true},
		{text: "-1s", bad: true},
		{text: "0s", bad: true},
		{text: "NaNd", bad: true},
		{text: "1e300d", bad: true},
		{text: "8d", bad: true},
		{text: "exp:1s,2,1h", bad: true},
		{text: "exp:1s,0.5,1h,72h", bad: true},
		{text: "exp:2h,2,1h,72h", bad: true},
		{text: "exp:1s,NaN,1h,72h", bad: true},
		{text: "exp:1h,2,2h,1m", bad: true},
		{text: "exp:1s,2,1h,31d", bad: true},
		{text: strings.Repeat("1s,", 100) + "1s", bad: true},
	}
	for _, tt := range tests {
		got, err := ParseLadder(tt.text)
		if (err != nil) != tt.bad {
			t.Errorf("%q: %v", tt.text, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q (-want +got)\n%s", tt.text, diff)
		}
	}
}

// What admission lets through, the Matcher and every later parse must read; and no refusal tells a secret.
func FuzzParseSubscription(f *testing.F) {
	f.Add([]byte(body(`,"status":"active","extension":[`+ext(us+"subscription-secret", `"valueString":"geheim"`)+`]`, `,"header":["Authorization: geheim"]`)))
	f.Add([]byte(chExt(ext(us+"subscription-retry", `"valueString":"exp:1s,2,1h,72h"`), ext(back+"backport-timeout", `"valueUnsignedInt":5`))))
	f.Add([]byte(body(`,"_criteria":{"extension":[{"url":"http://hl7.org/fhir/5.0/x"}]}`, `,"header":["a"],"_header":[null,{}]`)))
	f.Add([]byte(chExt(ext(us+"subscription-dialect", `"valueCode":"healthsync"`), ext(us+"subscription-event", `"valueString":"analysis.completed"`), ext(us+"subscription-event", `"valueString":"*.Updated"`), ext(us+"subscription-event-name", `"valueString":"x"`))))
	f.Add([]byte(`{"resourceType":"Subscription","error":"x","_error":{},"criteria":"[*]","channel":{"type":"rest-hook"}}`))
	o := testOptions(f)
	gate := NewGate(o)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := fhir.Read(b, 0)
		if err != nil || in.Type != fhir.Subscription {
			return
		}
		stored, err := gate.Admit(in, nil, now)
		if err != nil {
			if len(issues(err)) == 0 {
				t.Fatalf("an error that no client can read: %v", err)
			}
			return
		}
		key := fhir.Key{Tenant: fhir.DefaultTenant, Type: fhir.Subscription, ID: "s"}
		r := &fhir.Resource{Key: key, Version: 1, Updated: now, JSON: fhir.Stamp(stored.Doc, "s", 1, now)}
		s, err := Parse(key, 1, r.Doc(), o)
		if err != nil {
			t.Fatalf("admitted, and not read again: %v", err)
		}
		if s.Status != Active && s.Status != Off {
			t.Fatalf("stored as %q", s.Status)
		}
		shown := document(t, string(gate.Redact(r)))
		for _, spot := range spots(shown) {
			if !spot.masked() {
				t.Fatalf("%s is shown as %s", spot.path, spot.node.Raw())
			}
		}
		again, err := gate.Admit(fhir.Incoming{Type: fhir.Subscription, ID: "s", Doc: shown}, r, now)
		if err != nil {
			return // masks inside contained resources, say
		}
		if !fhir.SameContent(again.Doc, r.Doc()) {
			t.Fatalf("reading and writing back changes it:\n%s\n%s", r.JSON, again.Doc.Bytes())
		}
	})
}

func ExampleParseLadder() {
	l, _ := ParseLadder("exp:1s,2,1h,72h")
	fmt.Println(l.First, l.Factor, l.Cap, l.GiveUp)
	// Output: 1s 2 1h0m0s 72h0m0s
}
