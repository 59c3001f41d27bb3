package resthook

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"fhirhook/channel"
)

// Sample is a delivery as an example: always of the same resource, at the same time, signed with SampleSecret.
type Sample struct {
	Kind    string // create, update, delete, ping, or bare: a create if the Subscription names no payload
	Message channel.Message
	Time    time.Time // of the attempt
	Request Request
	Wire    []byte // the request as it stands on the connection
}

// SampleSecret signs samples. It guards nothing.
const SampleSecret = "abc"

var (
	sampleTime    = time.Date(2026, 3, 4, 5, 6, 9, 0, time.UTC)
	sampleUpdated = time.Date(2026, 3, 4, 5, 6, 7, 890e6, time.UTC)
)

// Samples makes an example of each kind of request that the dialect has.
func (d Dialect) Samples() ([]Sample, error) {
	kinds := []string{"create", "update", "delete", "ping"}
	if d.Bare != nil {
		kinds = append(kinds, "bare")
	}
	var samples []Sample
	for _, kind := range kinds {
		if kind == "delete" && !d.CanDelete() {
			continue
		}
		s, err := d.sample(kind)
		if err != nil {
			return nil, fmt.Errorf("dialect %s: sample of %s: %w", d.Name, kind, err)
		}
		samples = append(samples, s)
	}
	return samples, nil
}

func (d Dialect) sample(kind string) (s Sample, err error) {
	interaction := kind
	switch kind {
	case "ping":
		interaction = ""
	case "bare":
		interaction = "create"
	}
	s = Sample{Kind: kind, Message: sampleMessage(interaction), Time: sampleTime}
	if kind == "bare" {
		s.Message.Target.Payload = ""
	}
	if !s.Message.Test {
		s.Message.Event = d.Event(s.Message.Type, interaction, nil)
	}
	if kind == "delete" && d.DeleteCarriesVersion() {
		s.Message.Body = sampleMessage("update").Body // the version that the deletion ended
	}
	if s.Request, err = Build(s.Message, d, sampleTime); err != nil {
		return s, err
	}
	s.Wire, err = s.Request.wire()
	return s, err
}

// wire is what net/http writes: it puts Host, User-Agent and Content-Length first, and sorts the rest.
func (r Request) wire() ([]byte, error) {
	req, err := r.HTTP(context.Background())
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := req.Write(&b); err != nil {
		return nil, fmt.Errorf("write a request: %w", err)
	}
	return b.Bytes(), nil
}

// sampleMessage is a notification of an invented document, or a test if interaction is "".
func sampleMessage(interaction string) channel.Message {
	m := channel.Message{
		Target: channel.Target{
			Endpoint: "https://receiver.example/hooks/fhir",
			Payload:  "application/fhir+json",
			Headers:  []channel.Header{{Name: "Authorization", Value: "Bearer token-of-the-subscription"}},
			Secrets:  []string{SampleSecret},
		},
		ID: "0192f2d0-6f3a-7c1e-8000-5d1c9a2b7e40", Tenant: "default", Subscription: "letters", Attempt: 1,
		Event: PingEvent, Test: interaction == "",
	}
	if m.Test {
		return m
	}
	m.Interaction, m.Type, m.Focus, m.Updated = interaction, "DocumentReference", "letter-1", sampleUpdated
	version := map[string]uint64{"create": 1, "update": 2, "delete": 3}[interaction]
	m.Version, m.Sequence = fmt.Sprint(version), version
	m.ID = m.ID[:len(m.ID)-1] + m.Version
	if interaction != "delete" {
		m.Body = fmt.Appendf(nil, `{"resourceType":"DocumentReference","id":"letter-1","meta":{"versionId":"%d",`+
			`"lastUpdated":"2026-03-04T05:06:07.890Z"},"status":"current","content":[{"attachment":{"title":"Letter"}}]}`, version)
	}
	return m
}
