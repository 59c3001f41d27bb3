package resthook

import (
	"slices"
	"time"
)

// Default is the dialect of a server whose operator names none.
const Default = "kit"

// Dialects returns the built-in dialects, the default first.
func Dialects() []Dialect { return slices.Clone(builtin) }

// Lookup returns the built-in dialect of a name.
func Lookup(name string) (Dialect, bool) {
	for _, d := range builtin {
		if d.Name == name {
			return d, true
		}
	}
	return Dialect{}, false
}

const (
	resource   = "${resource}"
	kitLadder  = "exp:1s,2,1h,72h"
	fhirJSON   = "application/fhir+json"
	plainJSON  = "application/json"
	halfMinute = 30 * time.Second
)

var (
	changes   = []string{"create", "update"}
	all       = []string{"create", "update", "delete"}
	anyOrder  = []string{"none", "resource", "subscription"}
	inOrder   = []string{"resource", "subscription"}
	successes = Codes{{200, 299}}
)

// builtin is every built-in dialect. The page or server that each reproduces is named in About.
var builtin = []Dialect{
	{
		Name: "kit", About: "POST of the resource, signed over the raw body (X-Signature)",
		Change: Form{Method: "POST", Body: resource},
		Delete: Form{Method: "POST", Body: "{}"},
		Ping:   Form{Method: "POST", Body: "{}"},

		ContentType: fhirJSON,
		Signature:   Signature{Header: "X-Signature", Form: FormBody},

		Success: successes, Timeout: halfMinute, Ladder: kitLadder, Orders: anyOrder, Interactions: changes,
	},
	{
		Name: "fhir", About: "R4 to the letter: an empty POST, or with a payload a PUT of the resource below the endpoint",
		Change: Form{Method: "PUT", Address: AtResource, Body: resource},
		Bare:   &Form{Method: "POST"},
		Ping:   Form{Method: "POST"},

		Success: successes, Timeout: halfMinute, Ladder: kitLadder, Orders: inOrder, Interactions: changes,
	},
	{
		Name: "medplum", About: "as Medplum sends: POST of the resource, X-Medplum-… headers, deletions by default",
		Change: Form{Method: "POST", Body: resource},
		Delete: Form{Method: "POST", Body: "{}"},
		Ping:   Form{Method: "POST", Body: "{}"},

		ContentType: fhirJSON,
		Signature:   Signature{Header: "X-Signature", Form: FormBody},
		Headers: []OwnHeader{
			{Name: "X-Medplum-Subscription", Value: "${subscription}"},
			{Name: "X-Medplum-Interaction", Value: "${interaction}"},
			{Name: "X-Medplum-Deleted-Resource", Value: "${type}/${focus}", On: "delete"},
		},

		Success: Codes{{200, 399}}, Timeout: 120 * time.Second, Ladder: "exp:20s,2,8h,72h", Requests: 4,
		Orders: anyOrder, Interactions: all,
	},
	{
		Name: "hapi", About: "as HAPI FHIR sends: like fhir, and DELETE below the endpoint where deletions are asked for",
		Change: Form{Method: "PUT", Address: AtResource, Body: resource},
		Bare:   &Form{Method: "POST"},
		Delete: Form{Method: "DELETE", Address: AtResource},
		Ping:   Form{Method: "POST"},

		Success: successes, Timeout: halfMinute, Ladder: kitLadder, Orders: inOrder, Interactions: changes,
	},
	{
		Name: "healthsync", About: "an event envelope with data.object, X-HealthSync-… headers",
		Change: Form{Method: "POST", Body: `{"id":${id},"type":${event},"created_at":${updated},"data":{"object":${resource}}}`},
		Delete: Form{Method: "POST", Body: `{"id":${id},"type":${event},"created_at":${updated},` +
			`"data":{"object":{"id":${focus},"resourceType":${type}}}}`},
		Ping: Form{Method: "POST", Body: `{"id":${id},"type":${event},"created_at":${updated},"data":{"object":{}}}`},

		ContentType: plainJSON,
		Signature:   Signature{Header: "X-HealthSync-Signature", Form: FormSHA256},
		Headers: []OwnHeader{
			{Name: "X-HealthSync-Event", Value: "${event}"},
			{Name: "X-HealthSync-Delivery", Value: "${id}"},
		},

		Success: successes, Timeout: 5 * time.Second, Ladder: "1m,5m,30m,1h", Orders: anyOrder, Interactions: changes,
		Events: []Event{
			{Name: "document.uploaded", Type: "DocumentReference", Interactions: []string{"create"}},
			{Name: "document.updated", Type: "DocumentReference", Interactions: []string{"update"}},
			{Name: "document.deleted", Type: "DocumentReference", Interactions: []string{"delete"}},
			{Name: "analysis.completed", Type: "DiagnosticReport", Interactions: changes, Criteria: "status=final", Enters: true},
			{Name: "analysis.failed", Type: "DiagnosticReport", Interactions: changes, Criteria: "status=cancelled", Enters: true},
			{Name: "user.updated", Type: "Patient", Interactions: []string{"update"}},
			{Name: "family_member.added", Type: "RelatedPerson", Interactions: []string{"create"}},
			{Name: "family_member.removed", Type: "RelatedPerson", Interactions: []string{"delete"}},
			{Name: "share.created", Type: "Consent", Interactions: []string{"create"}},
			{Name: "share.revoked", Type: "Consent", Interactions: []string{"delete"}},
			{Name: "share.revoked", Type: "Consent", Interactions: changes, Criteria: "status=rejected", Enters: true},
			{Name: "share.expired", Type: "Consent", Interactions: changes, Criteria: "status=inactive", Enters: true},
			{Name: "share.accessed", Type: "AuditEvent", Interactions: []string{"create"}},
		},
	},
	{
		Name: "clinik", About: "an event envelope that refers to the resource, X-Clinik-… headers",
		Change: Form{Method: "POST", Body: clinikBody},
		Delete: Form{Method: "POST", Body: clinikBody},
		Ping:   Form{Method: "POST", Body: `{"id":${id},"event":${event},"timestamp":${updated},"data":{}}`},

		ContentType: plainJSON,
		Signature:   Signature{Header: "X-Clinik-Signature", Form: FormBody},
		Headers: []OwnHeader{
			{Name: "X-Clinik-Event", Value: "${event}"},
			{Name: "X-Clinik-Delivery-Id", Value: "${id}"},
			{Name: "X-Clinik-Timestamp", Value: "${sent}"},
		},

		Success: successes, Timeout: halfMinute, Ladder: "30s,2m,8m,32m,2h", Orders: anyOrder, Interactions: changes,
		Events: slices.Concat(
			family("lab", "DiagnosticReport"), family("prescription", "MedicationRequest"),
			family("note", "Composition"), family("assessment", "ClinicalImpression"),
			family("intake", "QuestionnaireResponse"), family("document", "DocumentReference"),
		),
	},
	{
		Name: "webhook-events", About: "an event envelope with the document as payload; only 200 is success",
		Change: Form{Method: "POST", Body: `{"id":${id},"event":${event},"payload":${resource}}`},
		Delete: Form{Method: "POST", Body: `{"id":${id},"event":${event},"payload":${resource}}`},
		Ping:   Form{Method: "POST", Body: `{"id":${id},"event":${event}}`},

		ContentType: plainJSON,

		Success: Codes{{200, 200}}, Timeout: halfMinute, Ladder: kitLadder, Orders: anyOrder, Interactions: changes,
		Names: Naming{Plural: true, Deleted: "removed"},
	},
}

const clinikBody = `{"id":${id},"event":${event},"timestamp":${updated},` +
	`"data":{"resourceType":${type},"resourceId":${focus},"action":${action},"tenantId":${tenant}}}`

// family is the three events of a resource that a dialect calls by another name.
func family(name, typ string) []Event {
	var es []Event
	for _, i := range all {
		es = append(es, Event{Name: name + "." + past(i), Type: typ, Interactions: []string{i}})
	}
	return es
}
