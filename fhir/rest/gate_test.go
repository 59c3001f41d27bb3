package rest

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/store"
)

// maskingGate hides a word on every read path, refuses another, and puts a status in.
type maskingGate struct{}

func (g maskingGate) Admission(store.Reader, string, *auth.Principal) store.Admit { return g.admit }

func (maskingGate) admit(in fhir.Incoming, prev *fhir.Resource, _ time.Time) (fhir.Incoming, error) {
	switch raw := string(in.Doc.Bytes()); {
	case in.Type != fhir.Subscription:
		return in, nil
	case strings.Contains(raw, "forbidden"):
		return in, fhir.Errorf(fhir.BusinessRule, "Subscription.channel.endpoint", "this endpoint is not allowed")
	case strings.Contains(raw, `"********"`) && prev != nil:
		return fhir.Read(bytes.ReplaceAll(in.Doc.Bytes(), []byte(`"********"`), []byte(`"hunter2"`)), 0)
	default:
		return fhir.Read(bytes.ReplaceAll(in.Doc.Bytes(), []byte(`"requested"`), []byte(`"active"`)), 0)
	}
}

func (maskingGate) Redact(r *fhir.Resource) []byte {
	return bytes.ReplaceAll(r.JSON, []byte("hunter2"), []byte("********"))
}

func (maskingGate) Echo(r *fhir.Resource, _ fhir.Incoming) []byte { return r.JSON }

// TestServer_redactsOnEveryReadPath is invariant 8 as far as HTTP goes: only the answer to a create may show
// what was sent.
func TestServer_redactsOnEveryReadPath(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(o *Options) { o.Gate = maskingGate{} })
	const secret = "hunter2"
	body := `{"resourceType":"Subscription","id":"s","status":"requested","criteria":"Patient","channel":{"type":"rest-hook","header":["` + secret + `"]}}`
	put := `{"resource":` + strings.Replace(body, `"status"`, `"reason":"x","status"`, 1) + `,"request":{"method":"PUT","url":"Subscription/s"}}`

	created := h.must(201, "POST", "/Subscription", body)
	h.contains(string(created.body), secret)
	h.equal("active", created.at("status"))
	h.contains(h.must(200, "POST", "", bundleOf("transaction", post("urn:uuid:1", body))).at("entry", 0, "resource"), secret)

	id := created.at("id")
	reads := []reply{
		h.must(201, "PUT", "/Subscription/s", body),
		h.must(200, "PUT", "/Subscription/s", body), // unchanged
		h.must(200, "PUT", "/Subscription/s", strings.Replace(body, `"status"`, `"end":"2999-01-01T00:00:00Z","status"`, 1)),
		h.must(200, "PUT", "/Subscription?_id=s", strings.Replace(body, `"status"`, `"reason":"y","status"`, 1)),
		h.must(200, "POST", "/Subscription", body, "If-None-Exist: _id=s"),
		h.must(200, "GET", "/Subscription/s", ""),
		h.must(200, "GET", "/Subscription/s/_history/1", ""),
		h.must(200, "GET", "/Subscription/s/_history", ""),
		h.must(200, "GET", "/Subscription/_history", ""),
		h.must(200, "GET", "/_history", ""),
		h.must(200, "GET", "/Subscription", ""),
		h.must(200, "GET", "/Subscription?_elements=channel", ""),
		h.must(200, "GET", "?_type=Subscription", ""),
		h.must(200, "POST", "/Subscription/_search", "_id="+id, "Content-Type: application/x-www-form-urlencoded"),
		h.must(200, "POST", "", bundleOf("transaction", put, ask("GET", "Subscription/"+id), ask("GET", "Subscription/_history"), ask("GET", "Subscription"))),
		h.must(200, "POST", "", bundleOf("batch", put, ask("GET", "Subscription/s"), ask("GET", "Subscription/s/_history"), ask("GET", "Subscription"))),
	}
	for i, r := range reads {
		if strings.Contains(string(r.body), secret) || !strings.Contains(string(r.body), "********") {
			t.Errorf("read %d: %s", i, r.body)
		}
	}

	// Sent back masked, the stored value stays; and what comes out the same makes no version.
	before := h.rows()
	h.must(200, "PUT", "/Subscription/s", string(h.must(200, "GET", "/Subscription/s", "").body))
	h.equal(before, h.rows())
	h.contains(h.stored(fhir.Subscription, "s"), secret)

	// What the gate refuses is refused everywhere, and nothing is left of it.
	bad := strings.Replace(body, secret, "forbidden", 1)
	r := h.must(422, "POST", "/Subscription", bad)
	h.equal("Subscription.channel.endpoint", r.at("issue", 0, "expression", 0))
	h.must(422, "PUT", "/Subscription/s", bad)
	r = h.must(422, "POST", "", bundleOf("transaction", post("urn:uuid:1", `{"resourceType":"Patient"}`), post("urn:uuid:2", bad)))
	h.equal("Bundle.entry[1].resource.channel.endpoint", r.at("issue", 0, "expression", 0))
	h.equal("422 Unprocessable Entity", h.must(200, "POST", "", bundleOf("batch", post("urn:uuid:2", bad))).at("entry", 0, "response", "status"))
	h.equal(before, h.rows())
}
