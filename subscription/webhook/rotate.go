package webhook

import (
	"errors"
	"net/http"
	"strings"

	"fhirhook/fhir/tape"
	"fhirhook/subscription"
)

// rotated is what came of a rotation.
type rotated struct {
	ID            string `json:"id"`
	Secret        string `json:"secret"` // shown if it was made here
	PreviousUntil string `json:"previous_until,omitempty"`
}

// rotate gives the webhook another secret, and keeps the old one for an overlap.
func (x *exchange) rotate() (answer, error) {
	secret, overlap, err := x.readRotation()
	if err != nil {
		return answer{}, err
	}
	if _, err := x.read(x.id); err != nil {
		return answer{}, err
	}
	var parameters [][]byte
	for _, p := range []struct{ name, value string }{{"secret", secret}, {"overlap", overlap}} {
		if p.value != "" {
			parameters = append(parameters, append(append([]byte(`{"name":"`+p.name+`","valueString":`), tape.Quote(p.value)...), '}'))
		}
	}
	body := []byte(`{"resourceType":"Parameters"}`)
	if list := array(parameters); list != nil {
		body = append(append([]byte(`{"resourceType":"Parameters","parameter":`), list...), '}')
	}
	r, err := x.call(http.MethodPost, "/Subscription/"+x.id+"/$rotate-secret", nil, body, "")
	if p, refused := errors.AsType[*problem](err); refused {
		for i, f := range p.faults {
			for _, name := range []string{"secret", "overlap"} {
				if strings.HasPrefix(f.Detail, name+": ") {
					p.faults[i].Pointer, p.faults[i].Expression = "/"+name, ""
					p.faults[i].Detail = strings.TrimPrefix(f.Detail, name+": ")
				}
			}
		}
		return answer{}, p
	} else if err != nil {
		return answer{}, err
	}
	list := r.root().Get("parameter")
	shown := subscription.Mask // the client knows the key that it sent
	if secret == "" {
		shown = parameter(list, "secret").Text()
	}
	a := answer{status: http.StatusOK, header: http.Header{}, secret: secret == "", body: rotated{
		ID: x.id, Secret: shown, PreviousUntil: parameter(list, "previous-until").Text(),
	}}
	if tag := r.header.Get("Etag"); tag != "" {
		a.header.Set("ETag", tag)
	}
	return a, nil
}

// readRotation reads the body of a rotation, which may be missing. secret is "" if one is to be made.
func (x *exchange) readRotation() (secret, overlap string, err error) {
	if x.r.Body == nil || x.r.Body == http.NoBody || x.r.ContentLength == 0 {
		return "", "", nil
	}
	body, err := x.body(false)
	if err != nil {
		return "", "", err
	}
	var faults []fault
	for name, v := range body.Members() {
		switch {
		case name == "secret" && v.Kind() != tape.Null:
			faults = append(faults, readText(&secret, "/secret", v)...)
		case name == "overlap" && v.Kind() != tape.Null:
			faults = append(faults, readText(&overlap, "/overlap", v)...)
		case name != "secret" && name != "overlap":
			faults = append(faults, fault{Pointer: "/" + escape(clip(name)), Code: "not-supported", Detail: "is no member of a rotation: there are secret and overlap"})
		}
	}
	if secret == generate {
		secret = ""
	}
	if len(faults) > 0 {
		return "", "", refuse(http.StatusUnprocessableEntity, "", faults...)
	}
	return secret, overlap, nil
}
