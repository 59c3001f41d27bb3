package edge

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// refusal is an answer of the edge itself. Its form is a FHIR OperationOutcome, which FHIR clients read and others can.
type refusal struct {
	status int
	code   string // of R4's issue-type
	text   string
	after  time.Duration // when it may work; 0: not by waiting
}

func (f refusal) write(w http.ResponseWriter) {
	type text struct {
		Text string `json:"text"`
	}
	type issue struct {
		Severity    string `json:"severity"`
		Code        string `json:"code"`
		Details     text   `json:"details"`
		Diagnostics string `json:"diagnostics"`
	}
	body, err := json.Marshal(struct {
		ResourceType string  `json:"resourceType"`
		Issue        []issue `json:"issue"`
	}{"OperationOutcome", []issue{{"error", f.code, text{f.text}, f.text}}})
	if err != nil {
		panic(err) // texts can't fail
	}
	header := w.Header()
	if f.after > 0 {
		header.Set("Retry-After", strconv.Itoa(int((f.after+time.Second-1)/time.Second)))
	}
	header.Set("Content-Type", "application/fhir+json; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(f.status)
	_, _ = w.Write(body) // nobody is told of a client that is gone
}
