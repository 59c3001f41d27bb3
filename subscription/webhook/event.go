package webhook

import (
	"net/http"
	"strings"

	"fhirhook/channel/resthook"
	"fhirhook/fhir/tape"
)

// pageDialect is the dialect of webhooks that are made at /webhook-events.
const pageDialect = "webhook-events"

// event serves both requests that the product page of the dialect webhook-events has: one makes a webhook, the
// other sends a test event to one. The members tell which it is.
func (x *exchange) event() (answer, error) {
	body, err := x.body(false)
	if err != nil {
		return answer{}, err
	}
	if body.Get("webhook").Exists() || body.Get("event").Exists() {
		id, err := readTest(body)
		if err != nil {
			return answer{}, err
		}
		return x.test(id)
	}
	f := blank(pageDialect)
	if err := readForm(body, &f, blank(pageDialect), creating); err != nil {
		return answer{}, err
	}
	return x.store(f)
}

// readTest reads the request for a test event, and returns the id of the webhook that is to get it.
func readTest(body tape.Node) (id string, err error) {
	var faults []fault
	event := ""
	for name, v := range body.Members() {
		switch name {
		case "webhook":
			faults = append(faults, readText(&id, "/webhook", v)...)
		case "event":
			faults = append(faults, readText(&event, "/event", v)...)
		default:
			faults = append(faults, fault{Pointer: "/" + escape(clip(name)), Code: "not-supported", Detail: "has no place beside webhook and event: a test event takes these two, and a new webhook neither"})
		}
	}
	if len(faults) == 0 {
		switch {
		case id == "":
			faults = []fault{{Pointer: "/webhook", Code: "required", Detail: "is missing: name the webhook by its id"}}
		case event == "":
			faults = []fault{{Pointer: "/event", Code: "required", Detail: `is missing: "ping" is what can be sent`}}
		case !strings.EqualFold(event, resthook.PingEvent):
			faults = []fault{{Pointer: "/event", Code: "value", Detail: `must be "ping": other events are sent when they happen`}}
		}
	}
	if len(faults) > 0 {
		return "", refuse(http.StatusUnprocessableEntity, "", faults...)
	}
	return id, nil
}
