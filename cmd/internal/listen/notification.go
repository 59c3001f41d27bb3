package listen

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"fhirhook/channel/resthook"
)

// tolerance is how far a signature's time may be from ours, as Standard Webhooks has it.
const tolerance = 5 * time.Minute

// notification is what is printed of a request. The JSON names are what scripts rely on.
type notification struct {
	Time         time.Time   `json:"time"`
	Method       string      `json:"method"`
	Path         string      `json:"path"`
	ID           string      `json:"id,omitempty"`
	Subscription string      `json:"subscription,omitempty"`
	Sequence     uint64      `json:"sequence,omitempty"`
	Attempt      int         `json:"attempt,omitempty"`
	Event        string      `json:"event,omitempty"`
	Interaction  string      `json:"interaction,omitempty"`
	Resource     string      `json:"resource,omitempty"`
	Test         bool        `json:"test,omitempty"`
	ContentType  string      `json:"contentType,omitempty"`
	Signatures   []signature `json:"signatures,omitempty"`
	Size         int         `json:"size"`
	Body         string      `json:"body,omitempty"`
	Status       int         `json:"status"`
}

// signature is the verdict on one header: ok, wrong, late, malformed, or unchecked for want of a secret.
type signature struct {
	Header  string `json:"header"`
	Verdict string `json:"verdict"`
	Reason  string `json:"reason,omitempty"`
}

// read makes a notification of a request whose body was read.
func read(r *http.Request, body []byte, o Options, now time.Time) notification {
	sequence, _ := strconv.ParseUint(r.Header.Get("X-Fhirhook-Sequence"), 10, 64)
	attempt, _ := strconv.Atoi(r.Header.Get("X-Fhirhook-Attempt"))
	return notification{
		Time: now, Method: r.Method, Path: r.URL.RequestURI(),
		ID: r.Header.Get("webhook-id"), Subscription: r.Header.Get("X-Fhirhook-Subscription"), Sequence: sequence, Attempt: attempt,
		Event: r.Header.Get("X-Fhirhook-Event"), Interaction: r.Header.Get("X-Fhirhook-Interaction"), Resource: r.Header.Get("X-Fhirhook-Resource"),
		Test: r.Header.Get("X-Fhirhook-Test") == "true", ContentType: r.Header.Get("Content-Type"),
		Signatures: signatures(r.Header, body, o, now), Size: len(body),
	}
}

// signatures judges every signature header that any dialect has, in a fixed order.
func signatures(h http.Header, body []byte, o Options, now time.Time) []signature {
	var found []signature
	secrets := o.Secrets
	seen := map[string]bool{}
	for _, d := range slices.Concat(resthook.Dialects(), o.Dialects) {
		name := d.Signature.Header
		value := h.Get(name)
		if value == "" || seen[name] {
			continue
		}
		seen[name] = true
		found = append(found, judge(name, secrets, func() error { return resthook.Verify(value, secrets, body, now, tolerance) }))
	}
	if value := h.Get("webhook-signature"); value != "" {
		found = append(found, judge("webhook-signature", secrets, func() error {
			return resthook.VerifyWebhook(value, h.Get("webhook-id"), h.Get("webhook-timestamp"), secrets, body, now, tolerance)
		}))
	}
	return found
}

func judge(header string, secrets []string, verify func() error) signature {
	if len(secrets) == 0 {
		return signature{Header: header, Verdict: "unchecked", Reason: "no --secret was given"}
	}
	err := verify()
	switch {
	case err == nil:
		return signature{Header: header, Verdict: "ok"}
	case errors.Is(err, resthook.ErrSignatureWrong):
		return signature{Header: header, Verdict: "wrong", Reason: err.Error()}
	case errors.Is(err, resthook.ErrSignatureOld), errors.Is(err, resthook.ErrSignatureEarly):
		return signature{Header: header, Verdict: "late", Reason: err.Error()}
	default:
		return signature{Header: header, Verdict: "malformed", Reason: err.Error()}
	}
}

// print writes a notification as a block for people or a line of JSON.
func (n notification) print(w io.Writer, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return enc.Encode(n)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s %s  %d bytes  answered %d\n", n.Time.Format("15:04:05.000"), n.Method, n.Path, n.Size, n.Status)
	line := func(name, format string, args ...any) {
		if text := fmt.Sprintf(format, args...); text != "" {
			fmt.Fprintf(&b, "  %-12s %s\n", name, text)
		}
	}
	line("id", "%s", n.ID)
	switch {
	case n.Test:
		line("test", "a test message, outside the numbering")
	case n.Sequence > 0:
		line("sequence", "%d, attempt %d", n.Sequence, n.Attempt)
	}
	line("event", "%s", n.Event)
	line("resource", "%s", n.Resource)
	line("subscription", "%s", n.Subscription)
	for _, s := range n.Signatures {
		verdict := s.Verdict
		if s.Reason != "" {
			verdict += " (" + s.Reason + ")"
		}
		line("signature", "%s: %s", s.Header, verdict)
	}
	if len(n.Signatures) == 0 {
		line("signature", "none")
	}
	line("body", "%s", n.Body)
	_, err := io.WriteString(w, b.String()+"\n")
	return err
}
