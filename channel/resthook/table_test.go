package resthook_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"fhirhook/channel"
	"fhirhook/channel/channeltest"
	"fhirhook/channel/resthook"
)

// names are the columns of the table.
var names = []string{"kit", "fhir", "medplum", "hapi", "healthsync", "clinik", "webhook-events"}

// tableMessage is a message as the cells of the table speak of it.
func tableMessage(d resthook.Dialect, interaction string) channel.Message {
	m := channel.Message{
		Target: channel.Target{Endpoint: "https://h.example/in", Payload: "application/fhir+json", Secrets: []string{"key"}},
		ID:     "ID", Tenant: "default", Subscription: "sub", Sequence: 9, Attempt: 2, Interaction: interaction,
		Type: "Encounter", Focus: "e1", Version: "4", Updated: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC),
		Body: []byte(`{"resourceType":"Encounter","id":"e1"}`),
	}
	m.Event = d.Event(m.Type, interaction, nil)
	if interaction == "delete" && !d.DeleteCarriesVersion() {
		m.Body = nil
	}
	return m
}

func pingMessage() channel.Message {
	m := tableMessage(resthook.Dialect{}, "create")
	return channel.Message{Target: m.Target, ID: m.ID, Tenant: m.Tenant, Subscription: m.Subscription, Attempt: 1, Event: resthook.PingEvent, Test: true}
}

// tableTime is that of the attempt.
var tableTime = time.Date(2026, 1, 2, 3, 4, 7, 0, time.UTC)

func built(t *testing.T, d resthook.Dialect, m channel.Message) resthook.Request {
	t.Helper()
	r, err := resthook.Build(m, d, tableTime)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// line is method, URL and body of a request.
func line(r resthook.Request) string {
	s := r.Method + " " + strings.ReplaceAll(r.URL, "https://h.example/in", "endpoint")
	if r.Body == nil {
		return s + ", no body"
	}
	return s + " " + string(r.Body)
}

// TestDialects_table is DESIGN §4.3's table: a case for each row and column.
func TestDialects_table(t *testing.T) {
	const resource = `{"resourceType":"Encounter","id":"e1"}`
	rows := []struct {
		row  string
		got  func(*testing.T, resthook.Dialect) string
		want map[string]string
	}{
		{"request with payload", func(t *testing.T, d resthook.Dialect) string {
			r := built(t, d, tableMessage(d, "update"))
			return r.Method + " " + r.URL
		}, map[string]string{
			"kit": "POST https://h.example/in", "fhir": "PUT https://h.example/in/Encounter/e1",
			"medplum": "POST https://h.example/in", "hapi": "PUT https://h.example/in/Encounter/e1",
			"healthsync": "POST https://h.example/in", "clinik": "POST https://h.example/in", "webhook-events": "POST https://h.example/in",
		}},
		{"request without payload", func(t *testing.T, d resthook.Dialect) string {
			m := tableMessage(d, "update")
			m.Target.Payload = ""
			r := built(t, d, m)
			if r.Body == nil {
				return r.Method + " " + r.URL + ", no body"
			}
			return r.Method + " " + r.URL
		}, map[string]string{
			"kit": "POST https://h.example/in", "fhir": "POST https://h.example/in, no body",
			"medplum": "POST https://h.example/in", "hapi": "POST https://h.example/in, no body",
			"healthsync": "POST https://h.example/in", "clinik": "POST https://h.example/in", "webhook-events": "POST https://h.example/in",
		}},
		{"body", func(t *testing.T, d resthook.Dialect) string {
			return string(built(t, d, tableMessage(d, "update")).Body)
		}, map[string]string{
			"kit": resource, "fhir": resource, "medplum": resource, "hapi": resource,
			"healthsync":     `{"id":"ID","type":"encounter.updated","created_at":"2026-01-02T03:04:05.006Z","data":{"object":` + resource + `}}`,
			"clinik":         `{"id":"ID","event":"encounter.updated","timestamp":"2026-01-02T03:04:05.006Z","data":{"resourceType":"Encounter","resourceId":"e1","action":"updated","tenantId":"default"}}`,
			"webhook-events": `{"id":"ID","event":"medical-encounters.updated","payload":` + resource + `}`,
		}},
		{"delete", func(t *testing.T, d resthook.Dialect) string {
			m := tableMessage(d, "delete")
			r, err := resthook.Build(m, d, tableTime)
			if err != nil {
				return "error: " + err.Error()
			}
			s := line(r)
			if v := values(r, "X-Medplum-Deleted-Resource"); v != nil {
				s += " + X-Medplum-Deleted-Resource: " + strings.Join(v, "|")
			}
			return s
		}, map[string]string{
			"kit": "POST endpoint {}", "fhir": "error: the dialect fhir has no message for deletions",
			"medplum": "POST endpoint {} + X-Medplum-Deleted-Resource: Encounter/e1", "hapi": "DELETE endpoint/Encounter/e1, no body",
			"healthsync":     `POST endpoint {"id":"ID","type":"encounter.deleted","created_at":"2026-01-02T03:04:05.006Z","data":{"object":{"id":"e1","resourceType":"Encounter"}}}`,
			"clinik":         `POST endpoint {"id":"ID","event":"encounter.deleted","timestamp":"2026-01-02T03:04:05.006Z","data":{"resourceType":"Encounter","resourceId":"e1","action":"deleted","tenantId":"default"}}`,
			"webhook-events": `POST endpoint {"id":"ID","event":"medical-encounters.removed","payload":` + resource + `}`,
		}},
		{"Content-Type, payload application/fhir+json", contentType("application/fhir+json"), map[string]string{
			"kit": "application/fhir+json", "fhir": "application/fhir+json", "medplum": "application/fhir+json", "hapi": "application/fhir+json",
			"healthsync": "application/json", "clinik": "application/json", "webhook-events": "application/json",
		}},
		{"Content-Type, payload application/json", contentType("application/json"), map[string]string{
			"kit": "application/fhir+json", "fhir": "application/json", "medplum": "application/fhir+json", "hapi": "application/json",
			"healthsync": "application/json", "clinik": "application/json", "webhook-events": "application/json",
		}},
		{"signature", func(t *testing.T, d resthook.Dialect) string {
			r := built(t, d, tableMessage(d, "update"))
			sum, err := resthook.Sign(resthook.FormBody, []string{"key"}, r.Body, tableTime)
			if err != nil {
				t.Fatal(err)
			}
			var found []string
			for _, h := range r.Headers {
				if strings.Contains(h.Name, "Signature") {
					found = append(found, h.Name+": "+strings.Replace(h.Value, sum, "HEX", 1))
				}
			}
			return strings.Join(found, ", ")
		}, map[string]string{
			"kit": "X-Signature: HEX", "fhir": "", "medplum": "X-Signature: HEX", "hapi": "",
			"healthsync": "X-HealthSync-Signature: sha256=HEX", "clinik": "X-Clinik-Signature: HEX", "webhook-events": "",
		}},
		{"own headers", func(t *testing.T, d resthook.Dialect) string {
			var found []string
			for _, h := range built(t, d, tableMessage(d, "update")).Headers {
				lower := strings.ToLower(h.Name)
				if !slices.Contains([]string{"user-agent", "accept-encoding", "content-type"}, lower) &&
					!strings.HasPrefix(lower, "webhook-") && !strings.HasPrefix(lower, "x-fhirhook-") && !strings.HasSuffix(lower, "-signature") {
					found = append(found, h.Name+": "+h.Value)
				}
			}
			return strings.Join(found, ", ")
		}, map[string]string{
			"kit": "", "fhir": "", "hapi": "", "webhook-events": "",
			"medplum":    "X-Medplum-Subscription: sub, X-Medplum-Interaction: update",
			"healthsync": "X-HealthSync-Event: encounter.updated, X-HealthSync-Delivery: ID",
			"clinik":     "X-Clinik-Event: encounter.updated, X-Clinik-Delivery-Id: ID, X-Clinik-Timestamp: 1767323047",
		}},
		{"success", func(_ *testing.T, d resthook.Dialect) string {
			var found []string
			for status := 200; status < 600; status++ {
				if d.Success.Has(status) {
					found = append(found, fmt.Sprint(status))
				}
			}
			return found[0] + "–" + found[len(found)-1] + ", " + fmt.Sprint(len(found))
		}, map[string]string{
			"kit": "200–299, 100", "fhir": "200–299, 100", "medplum": "200–399, 200", "hapi": "200–299, 100",
			"healthsync": "200–299, 100", "clinik": "200–299, 100", "webhook-events": "200–200, 1",
		}},
		{"timeout", func(_ *testing.T, d resthook.Dialect) string { return d.Timeout.String() }, map[string]string{
			"kit": "30s", "fhir": "30s", "medplum": "2m0s", "hapi": "30s", "healthsync": "5s", "clinik": "30s", "webhook-events": "30s",
		}},
		{"retries", func(_ *testing.T, d resthook.Dialect) string { return fmt.Sprint(d.Ladder, " ", d.Requests) }, map[string]string{
			"kit": "exp:1s,2,1h,72h 0", "fhir": "exp:1s,2,1h,72h 0", "medplum": "exp:20s,2,8h,72h 4", "hapi": "exp:1s,2,1h,72h 0",
			"healthsync": "1m,5m,30m,1h 0", "clinik": "30s,2m,8m,32m,2h 0", "webhook-events": "exp:1s,2,1h,72h 0",
		}},
		{"orders, the default first", func(_ *testing.T, d resthook.Dialect) string { return strings.Join(d.Orders, " ") }, map[string]string{
			"kit": "none resource subscription", "fhir": "resource subscription", "medplum": "none resource subscription", "hapi": "resource subscription",
			"healthsync": "none resource subscription", "clinik": "none resource subscription", "webhook-events": "none resource subscription",
		}},
		{"interactions", func(_ *testing.T, d resthook.Dialect) string { return strings.Join(d.Interactions, " ") }, map[string]string{
			"kit": "create update", "fhir": "create update", "medplum": "create update delete", "hapi": "create update",
			"healthsync": "create update", "clinik": "create update", "webhook-events": "create update",
		}},
		{"ping", func(t *testing.T, d resthook.Dialect) string { return line(built(t, d, pingMessage())) }, map[string]string{
			"kit": "POST endpoint {}", "fhir": "POST endpoint, no body", "medplum": "POST endpoint {}", "hapi": "POST endpoint, no body",
			// The body's times are of the sending.
			"healthsync":     `POST endpoint {"id":"ID","type":"ping","created_at":"2026-01-02T03:04:07.000Z","data":{"object":{}}}`,
			"clinik":         `POST endpoint {"id":"ID","event":"ping","timestamp":"2026-01-02T03:04:07.000Z","data":{}}`,
			"webhook-events": `POST endpoint {"id":"ID","event":"ping"}`,
		}},
	}
	if got := len(resthook.Dialects()); got != len(names) {
		t.Fatalf("there are %d dialects, and the table has %d columns", got, len(names))
	}
	for _, row := range rows {
		for _, name := range names {
			t.Run(row.row+"/"+name, func(t *testing.T) {
				want, ok := row.want[name]
				if got := row.got(t, dialect(t, name)); got != want || !ok {
					t.Errorf("got  %s\nwant %s", got, want)
				}
			})
		}
	}
}

func contentType(payload string) func(*testing.T, resthook.Dialect) string {
	return func(t *testing.T, d resthook.Dialect) string {
		m := tableMessage(d, "update")
		m.Target.Payload = payload
		return strings.Join(values(built(t, d, m), "Content-Type"), "|")
	}
}

// The row "success" as endpoints meet it: what counts, what doesn't, and that a redirect is only looked at.
func TestDialects_success(t *testing.T) {
	t.Parallel()
	counts := map[int][]string{
		200: names, 204: {"kit", "fhir", "medplum", "hapi", "healthsync", "clinik"}, 299: {"kit", "fhir", "medplum", "hapi", "healthsync", "clinik"},
		302: {"medplum"}, 399: {"medplum"}, 400: nil, 410: nil, 429: nil, 500: nil,
	}
	for status, success := range counts {
		for _, name := range names {
			t.Run(fmt.Sprint(status, "/", name), func(t *testing.T) {
				t.Parallel()
				r := channeltest.New(t)
				r.Otherwise(channeltest.Redirect(status, r.URL("/elsewhere")))
				m := tableMessage(dialect(t, name), "update")
				m.Target.Endpoint, m.Target.Dialect = r.URL("/in"), name
				reply, err := open(t).Send(t.Context(), m)
				if want := slices.Contains(success, name); (err == nil) != want || reply.Status != status {
					t.Errorf("status %d: %v, want success %t", reply.Status, err, want)
				}
				if got := len(r.Requests()); got != 1 {
					t.Errorf("%d requests: a redirect was followed", got)
				}
			})
		}
	}
}
