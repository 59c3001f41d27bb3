package load

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"fhirhook/fhir/tape"
)

// sending is what becomes of one batch.
type sending struct {
	target  Target
	report  Report
	refused []problem
}

func (s *sending) refuse(at place, text string) {
	s.report.Failed++
	s.refused = append(s.refused, problem{at, text})
}

// send carries entries out in one transaction. If they are refused, the entry that is wrong is found by sending
// them as a batch, but for those that belong together.
func (s *sending) send(ctx context.Context, entries []entry, atomic bool) error {
	answer, err := s.target.Post(ctx, bundle("transaction", entries))
	if err != nil {
		return err
	}
	switch {
	case answer.Status == http.StatusOK:
		return s.count(entries, answer, false)
	case stops(answer.Status):
		return fmt.Errorf("the server answers %d: %s", answer.Status, reason(answer.Body))
	case atomic:
		at := entries[0].place
		at.entry, at.what = none, fmt.Sprintf("a Bundle of %d entries", len(entries))
		s.refuse(at, reason(answer.Body))
		return nil
	case answer.Status == http.StatusRequestEntityTooLarge && len(entries) > 1:
		return s.halves(ctx, entries)
	default:
		return s.sendEach(ctx, entries)
	}
}

func (s *sending) halves(ctx context.Context, entries []entry) error {
	middle := len(entries) / 2
	if err := s.send(ctx, entries[:middle], false); err != nil {
		return err
	}
	return s.send(ctx, entries[middle:], false)
}

// sendEach carries entries out one by one, in one request.
func (s *sending) sendEach(ctx context.Context, entries []entry) error {
	answer, err := s.target.Post(ctx, bundle("batch", entries))
	switch {
	case err != nil:
		return err
	case answer.Status == http.StatusOK:
		return s.count(entries, answer, true)
	case answer.Status == http.StatusRequestEntityTooLarge && len(entries) == 1:
		s.refuse(entries[0].place, reason(answer.Body))
		return nil
	default:
		return fmt.Errorf("the server answers %d: %s", answer.Status, reason(answer.Body))
	}
}

// stops tells statuses that say nothing about the entries.
func stops(status int) bool {
	return status >= http.StatusInternalServerError || status == http.StatusUnauthorized || status == http.StatusForbidden ||
		status == http.StatusNotAcceptable || status == http.StatusTooManyRequests || status == http.StatusMethodNotAllowed ||
		status >= 300 && status < 400
}

// bundle joins entries.
func bundle(kind string, entries []entry) []byte {
	size := 64
	for _, e := range entries {
		size += len(e.json) + 1
	}
	out := make([]byte, 0, size)
	out = append(append(append(out, `{"resourceType":"Bundle","type":"`...), kind...), `","entry":[`...)
	for i, e := range entries {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, e.json...)
	}
	return append(out, "]}"...)
}

// count reads what became of each entry.
func (s *sending) count(entries []entry, answer Answer, each bool) error {
	doc, err := tape.Parse(answer.Body, 0)
	if err != nil {
		return fmt.Errorf("the server's answer to a %d is no Bundle: %w", answer.Status, err)
	}
	list := doc.Root().Get("entry")
	if list.Len() != len(entries) {
		return fmt.Errorf("the server answers %d entries with %d", len(entries), list.Len())
	}
	i := 0
	for w := list.Walk(); w.Next(); i++ {
		response := w.Value().Get("response")
		status := response.Get("status").Text()
		switch {
		case each && !strings.HasPrefix(status, "2"):
			s.refuse(entries[i].place, reason(response.Get("outcome").Raw()))
		case !entries[i].resource:
			s.report.Other++
		case strings.HasPrefix(status, "201"):
			s.report.Created++
		default:
			s.report.Present++
		}
	}
	return nil
}

// reason reads an OperationOutcome: its errors in one line.
func reason(body []byte) string {
	doc, err := tape.Parse(body, 0)
	if err != nil {
		return clip(strings.TrimSpace(string(body)))
	}
	var texts []string
	for issue := range doc.Root().Get("issue").Elements() {
		text := issue.Get("diagnostics").Text()
		if text == "" {
			text = issue.Path("details", "text").Text()
		}
		text = ofEntry.ReplaceAllString(text, "")
		if where := issue.Get("expression").At(0).Text(); where != "" {
			text = inResource.ReplaceAllString(where, "") + ": " + text
		}
		texts = append(texts, text)
	}
	const most = 5
	if more := len(texts) - most; more > 0 {
		texts = append(texts[:most], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, "; ")
}

// What the server says of an entry counts from the beginning of our batch, which means nothing to the reader.
var (
	ofEntry    = regexp.MustCompile(`^entry \d+: `)
	inResource = regexp.MustCompile(`^Bundle\.entry\[\d+\]\.(resource\.)?`)
)
