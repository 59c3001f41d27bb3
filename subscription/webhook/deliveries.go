package webhook

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"

	"fhirhook/fhir/tape"
)

// filters are the parameters of a list of deliveries: those of $deliveries, and where the page begins.
func filters() []string {
	return []string{"status", "since", "until", "delivery", "resource", "sequence", "_count", "cursor"}
}

// delivery is an event and what became of it.
type delivery struct {
	ID          string          `json:"id"` // as the receiver sees it
	Event       string          `json:"event,omitempty"`
	Sequence    json.RawMessage `json:"sequence,omitempty"` // none: a test event
	Resource    string          `json:"resource,omitempty"` // with its version
	Interaction string          `json:"interaction,omitempty"`
	State       string          `json:"state"`
	NextTry     string          `json:"next_try,omitempty"`
	Attempts    []attempt       `json:"attempts"`
	Notes       []attempt       `json:"notes,omitempty"` // what changed its state without a request
}

func deliveryOf(list tape.Node) delivery {
	d := delivery{
		ID: parameter(list, "id").Text(), Event: parameter(list, "event").Text(),
		Sequence: bytes.Clone(parameter(list, "sequence").Raw()), Resource: parameter(list, "resource").Get("reference").Text(),
		Interaction: parameter(list, "interaction").Text(), State: parameter(list, "state").Text(), NextTry: parameter(list, "next-try").Text(),
		Attempts: []attempt{},
	}
	for p := range list.Elements() {
		switch name := p.Get("name"); {
		case name.Is("attempt"):
			d.Attempts = append(d.Attempts, attemptOf(p.Get("part")))
		case name.Is("note"):
			d.Notes = append(d.Notes, attemptOf(p.Get("part")))
		}
	}
	return d
}

// deliveries lists what became of the webhook's events, the newest first, also after its deletion.
func (x *exchange) deliveries() (answer, error) {
	if _, err := x.read(x.id); err != nil && statusOf(err) != http.StatusGone {
		return answer{}, err
	}
	query := url.Values{}
	for name, values := range x.query {
		if name == "cursor" {
			name = "_cursor"
		}
		query[name] = values
	}
	r, err := x.call(http.MethodGet, "/Subscription/"+x.id+"/$deliveries", query, nil, "")
	if err != nil {
		return answer{}, err
	}
	found := []delivery{}
	for entry := range r.root().Get("entry").Elements() {
		found = append(found, deliveryOf(entry.Path("resource", "parameter")))
	}
	cursor := ""
	if next, err := url.Parse(link(r, "next")); err == nil {
		cursor = next.Query().Get("_cursor")
	}
	next := x.next(root(link(r, "self"))+"/webhooks/"+x.id+"/deliveries", cursor)
	return answer{status: http.StatusOK, header: linked(next), body: struct {
		Deliveries []delivery      `json:"deliveries"`
		Total      json.RawMessage `json:"total,omitempty"` // of all pages, if everything was looked at
		Next       string          `json:"next,omitempty"`
	}{found, bytes.Clone(r.root().Get("total").Raw()), next}}, nil
}
