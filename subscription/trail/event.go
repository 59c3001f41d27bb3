package trail

import (
	"strconv"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/fhir/tape"
)

// The code systems of what an AuditEvent says.
const (
	lifecycleSystem   = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"
	interactionSystem = "http://hl7.org/fhir/restful-interaction"
	typeSystem        = "http://hl7.org/fhir/resource-types"
	roleSystem        = "http://terminology.hl7.org/CodeSystem/object-role"
	sourceSystem      = "http://terminology.hl7.org/CodeSystem/security-source-type"
	stateSystem       = "https://fhirhook.dev/CodeSystem/notification-state"
	kindSystem        = "https://fhirhook.dev/CodeSystem/notification-kind"
)

// server is who does it all.
const server = "fhirhook"

// The outcomes (AuditEvent.outcome).
const (
	success = "0"
	minor   = "4" // it was not delivered, and that may yet come, or isn't wanted any more
	serious = "8" // it will not be delivered
)

// event makes the AuditEvent of a row.
func event(key fhir.Key, a store.Attempt, site string) *fhir.Resource {
	r := &fhir.Resource{Key: key, Version: 1, Updated: fhir.Millis(a.Time)}
	w := writer{b: make([]byte, 0, 1536)}
	w.raw(`{"resourceType":"AuditEvent"`)
	w.text("id", key.ID)
	w.raw(`,"meta":{"versionId":"1"`)
	w.instant("lastUpdated", r.Updated)
	w.raw(`},"type":`)
	w.coding(lifecycleSystem, "transmit", "Transmit Record Lifecycle Event")
	w.raw(`,"subtype":[`)
	if a.Number == 0 {
		w.coding(kindSystem, "ping", "Test notification")
	} else {
		w.coding(interactionSystem, a.Interaction.String(), "")
	}
	w.raw(`,`)
	w.coding(stateSystem, a.State.String(), "")
	w.raw(`],"action":"E"`)
	if a.Try > 0 {
		w.raw(`,"period":{"start":`)
		w.quote(fhir.Instant(a.Time))
		w.instant("end", a.Time.Add(max(a.Duration, 0)))
		w.raw(`}`)
	}
	w.instant("recorded", a.Time)
	w.text("outcome", outcome(a))
	w.text("outcomeDesc", description(a))
	w.raw(`,"agent":[{"name":"` + server + `","requestor":false}],"source":{`)
	if site = fhir.Text(site); site != "" {
		w.raw(`"site":`)
		w.quote(site)
		w.raw(`,`)
	}
	w.raw(`"observer":{"display":"` + server + `"},"type":[`)
	w.coding(sourceSystem, "4", "Application Server")
	w.raw(`]},"entity":[{"what":{"reference":`)
	w.quote("Subscription/" + a.Lane.Subscription)
	w.raw(`},"type":`)
	w.coding(typeSystem, "Subscription", "")
	w.raw(`,"role":`)
	w.coding(roleSystem, "9", "Subscriber")
	w.details(a)
	w.raw(`}`)
	if a.Focus != (fhir.Key{}) {
		w.focus(a)
	}
	w.raw(`]}`)
	r.JSON = w.b
	return r
}

// outcome is a judgement on the notification, as far as this row tells.
func outcome(a store.Attempt) string {
	switch {
	case a.State == store.Delivered, a.State == store.Owed && a.Class == "":
		return success
	case a.State == store.Failed:
		return serious
	default:
		return minor
	}
}

// description is the error class, and the beginning of what was answered, or why it came to this.
func description(a store.Attempt) string {
	reply := fhir.Text(a.Reply)
	switch {
	case a.Class == "":
		return reply
	case reply == "":
		return a.Class
	default:
		return a.Class + ": " + reply
	}
}

// writer writes JSON.
type writer struct{ b []byte }

func (w *writer) raw(s string) { w.b = append(w.b, s...) }

// quote writes a string. Nearly all are plain, and there are many.
func (w *writer) quote(s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			w.b = append(w.b, tape.Quote(s)...)
			return
		}
	}
	w.b = append(append(append(w.b, '"'), s...), '"')
}

// text writes a further member, unless its value is empty.
func (w *writer) text(name, value string) {
	if value == "" {
		return
	}
	w.raw(`,"`)
	w.raw(name)
	w.raw(`":`)
	w.quote(value)
}

func (w *writer) instant(name string, t time.Time) { w.text(name, fhir.Instant(t)) }

func (w *writer) coding(system, code, display string) {
	w.raw(`{"system":"`)
	w.raw(system)
	w.raw(`"`)
	w.text("code", code)
	w.text("display", display)
	w.raw(`}`)
}

// details are what there is no element for. The names are those of $deliveries.
func (w *writer) details(a store.Attempt) {
	opening := `,"detail":[`
	detail := func(name, value string) {
		if value == "" {
			return
		}
		w.raw(opening + `{"type":"` + name + `","valueString":`)
		w.quote(value)
		w.raw(`}`)
		opening = `,`
	}
	detail("id", fhir.Text(a.ID))
	if a.Number > 0 {
		detail("sequence", strconv.FormatUint(a.Number, 10))
	}
	detail("state", a.State.String())
	if a.Try > 0 {
		detail("try", strconv.Itoa(a.Try))
		detail("duration-ms", strconv.FormatInt(max(a.Duration, 0).Milliseconds(), 10))
	}
	if a.Status > 0 {
		detail("status", strconv.Itoa(a.Status))
	}
	detail("error-class", fhir.Text(a.Class))
	if !a.Next.IsZero() {
		detail("next-try", fhir.Instant(a.Next))
	}
	detail("cause", fhir.Text(a.Cause))
	w.raw(`]`)
}

// focus is the version that the notification tells of.
func (w *writer) focus(a store.Attempt) {
	version := fhir.Resource{Key: a.Focus, Version: a.Version}
	w.raw(`,{"what":{"reference":`)
	w.quote(version.VersionedReference())
	w.raw(`},"type":`)
	w.coding(typeSystem, string(a.Focus.Type), "")
	w.raw(`,"role":`)
	if a.Focus.Type == "Patient" {
		w.coding(roleSystem, "1", "Patient")
	} else {
		w.coding(roleSystem, "4", "Domain Resource")
	}
	w.raw(`}`)
}
