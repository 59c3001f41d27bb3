package webhook

import (
	"bytes"
	"encoding/json"
	"net/http"

	"fhirhook/channel/resthook"
	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// attempt is one request to the webhook's URL, or a line about what was done without one.
type attempt struct {
	Try        json.RawMessage `json:"try,omitempty"`
	Time       string          `json:"time,omitempty"`
	Status     json.RawMessage `json:"status,omitempty"` // of HTTP
	DurationMS json.RawMessage `json:"duration_ms,omitempty"`
	State      string          `json:"state"`
	ErrorClass string          `json:"error_class,omitempty"`
	Reply      string          `json:"reply,omitempty"`
	Hint       string          `json:"hint,omitempty"`
	NextTry    string          `json:"next_try,omitempty"`
}

// parameter finds the value of the first of a list of parameters with a name; Absent if there is none.
func parameter(list tape.Node, name string) tape.Node {
	for p := range list.Elements() {
		if p.Get("name").Is(name) {
			for member, v := range p.Members() {
				if member != "name" {
					return v
				}
			}
		}
	}
	return tape.Node{}
}

// attemptOf reads an attempt from the parameters that tell of it.
func attemptOf(list tape.Node) attempt {
	text := func(name string) string { return parameter(list, name).Text() }
	number := func(name string) json.RawMessage {
		if v := parameter(list, name); v.Kind() == tape.Number {
			return bytes.Clone(v.Raw())
		}
		return nil
	}
	return attempt{
		Try: number("try"), Time: text("time"), Status: number("status"), DurationMS: number("duration-ms"), State: text("state"),
		ErrorClass: text("error-class"), Reply: text("reply"), Hint: text("hint"), NextTry: text("next-try"),
	}
}

// pinged is what came of a test event.
type pinged struct {
	ID      string `json:"id"` // of the event, as the receiver saw it
	Webhook string `json:"webhook"`
	Event   string `json:"event"`
	attempt
	Headers map[string]string `json:"headers,omitempty"` // those that a receiver verifies, as they were sent
}

// ping sends a test event to the webhook of the URL.
func (x *exchange) ping() (answer, error) {
	raw, err := x.readAll()
	if err != nil {
		return answer{}, err
	}
	if text := bytes.TrimSpace(raw); len(text) > 0 && string(text) != "{}" {
		return answer{}, refuse(http.StatusBadRequest, "a ping takes no body: leave it out")
	}
	return x.test(x.id)
}

// test sends a test event.
func (x *exchange) test(id string) (answer, error) {
	if !fhir.ValidID(id) {
		return answer{}, unknown(id)
	}
	if _, err := x.read(id); err != nil {
		return answer{}, err
	}
	r, err := x.call(http.MethodPost, "/Subscription/"+id+"/$ping", nil, nil, "")
	if err != nil {
		return answer{}, err
	}
	list := r.root().Get("parameter")
	p := pinged{ID: parameter(list, "id").Text(), Webhook: id, Event: resthook.PingEvent, attempt: attemptOf(list)}
	for one := range list.Elements() {
		if header := one.Get("part"); one.Get("name").Is("header") {
			if p.Headers == nil {
				p.Headers = map[string]string{}
			}
			p.Headers[parameter(header, "name").Text()] = parameter(header, "value").Text()
		}
	}
	return answer{status: http.StatusOK, body: p}, nil
}
