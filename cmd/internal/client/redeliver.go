package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// RedeliverOptions says what is sent again. It is said in one way: Delivery, Sequence or Failed.
type RedeliverOptions struct {
	Subscription string // its id
	Delivery     []string
	Sequence     string
	Failed       bool
	Since, Until string // of what failed, as the command line has them
	Rate         float64
	DryRun       bool // count only
	Yes          bool // don't ask
	Detach       bool // don't wait
}

// Job is what `fhirhook redeliver --json` prints: how the sending fares, at the end or, detached, at its beginning.
type Job struct {
	ID     string `json:"id,omitempty"` // none: it was counted only
	URL    string `json:"url,omitempty"`
	Status string `json:"status,omitempty"`
	Total  uint64 `json:"total"`
	Done   uint64 `json:"done"`
	Failed uint64 `json:"failed"`
	Reason string `json:"reason,omitempty"` // why it ended before its time
}

// Redeliver sends notifications again: it counts them, asks, starts, and watches until the end. An end of ctx
// cancels what is left. That some failed again, or that a person said no, is an error.
func (c *Client) Redeliver(ctx context.Context, o RedeliverOptions) error {
	id, path, err := subscriptionPath(o.Subscription)
	ask, wrong := c.selection(o)
	if err := errors.Join(err, wrong); err != nil {
		return err
	}
	total, err := c.count(ctx, path, ask)
	switch {
	case err != nil:
		return err
	case o.DryRun && c.JSON, total == 0 && c.JSON:
		return lines(c.Out, []Job{{Total: total}})
	case o.DryRun || total == 0:
		_, err := fmt.Fprintf(c.Out, "%s of Subscription/%s would be sent again\n", plural(total, "notification"), id)
		return err
	}
	if !o.Yes {
		if err := c.confirm(ctx, fmt.Sprintf("Send %s of Subscription/%s again?", plural(total, "notification"), id)); err != nil {
			return err
		}
	}
	job, err := c.startJob(ctx, path, ask)
	switch {
	case err != nil:
		return err
	case o.Detach && c.JSON:
		return lines(c.Out, []Job{job})
	case o.Detach:
		_, err := fmt.Fprintf(c.Out, "%s are being sent again: GET tells how far it is, DELETE cancels\n%s\n", plural(total, "notification"), job.URL)
		return err
	}
	return c.watchJob(ctx, path, job)
}

// selection is what the operation is asked.
func (c *Client) selection(o RedeliverOptions) (asking, error) {
	var ask asking
	var wrong []error
	ways := 0
	for _, id := range o.Delivery {
		ask.add("delivery", "valueString", id)
	}
	if o.Sequence != "" {
		ask.add("sequence", "valueString", o.Sequence)
	}
	if o.Failed {
		ask.add("status", "valueCode", "failed")
	}
	for _, given := range []bool{len(o.Delivery) > 0, o.Sequence != "", o.Failed} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		wrong = append(wrong, usagef("say what is sent again in one way: --delivery ID, --sequence 5-9, or --failed with --since and --until"))
	}
	if !o.Failed && (o.Since != "" || o.Until != "") {
		wrong = append(wrong, usagef("--since and --until go with --failed"))
	}
	for _, bound := range [][2]string{{"since", o.Since}, {"until", o.Until}} {
		t, err := c.instant(bound[0], bound[1])
		wrong = append(wrong, err)
		if !t.IsZero() {
			ask.add(bound[0], "valueInstant", wire(t))
		}
	}
	if o.Rate < 0 {
		wrong = append(wrong, usagef("--rate %g must be a number of notifications per second", o.Rate))
	} else if o.Rate > 0 {
		ask.add("rate", "valueDecimal", o.Rate)
	}
	return ask, errors.Join(wrong...)
}

func (c *Client) count(ctx context.Context, path string, ask asking) (uint64, error) {
	dry := asking{all: append([]map[string]any{}, ask.all...)}
	dry.add("dry-run", "valueBoolean", true)
	var p parameters
	_, err := c.do(ctx, request{method: http.MethodPost, path: path + "/$redeliver", body: dry.bytes(), timeout: patience}, &p)
	return p.Parameter.number("total"), err
}

// errDeclined says that a person said no.
var errDeclined = errors.New("nothing was sent")

// confirm asks a person. Where there is none, the answer has to stand on the command line.
func (c *Client) confirm(ctx context.Context, question string) error {
	unasked := usagef("%s Say --yes, for nobody is here to be asked", question)
	if c.In == nil {
		return unasked
	}
	if _, err := fmt.Fprintf(c.Err, "%s [y/N] ", question); err != nil {
		return err
	}
	type line struct {
		text string
		err  error
	}
	answered := make(chan line, 1) // the one answer
	go func() {                    // ends with the answer, or with the process: reading can't be interrupted
		text, err := bufio.NewReader(c.In).ReadString('\n')
		answered <- line{text, err}
	}()
	select {
	case <-ctx.Done():
		_, _ = fmt.Fprintln(c.Err)
		return errDeclined
	case l := <-answered:
		if l.err != nil && l.text == "" {
			_, _ = fmt.Fprintln(c.Err)
			return unasked
		}
		switch strings.ToLower(strings.TrimSpace(l.text)) {
		case "y", "yes":
			return nil
		default:
			return errDeclined
		}
	}
}

func (c *Client) startJob(ctx context.Context, path string, ask asking) (Job, error) {
	var p parameters
	// A signal that comes now must not leave a job behind that nobody knows of.
	r, err := c.do(context.WithoutCancel(ctx), request{method: http.MethodPost, path: path + "/$redeliver", body: ask.bytes()}, &p)
	if err != nil {
		return Job{}, err
	}
	j := jobOf(p.Parameter)
	j.URL = r.header.Get("Content-Location")
	if u, err := url.Parse(j.URL); err != nil || j.ID == "" || u.Query().Get("_id") != j.ID {
		return Job{}, fmt.Errorf("%s does not tell where the job can be asked about", c.base)
	}
	return j, nil
}

func jobOf(p parts) Job {
	return Job{
		ID: p.text("id"), Status: p.text("status"), Total: p.number("total"), Done: p.number("done"), Failed: p.number("failed"), Reason: p.text("reason"),
	}
}

const (
	jobEvery  = 500 * time.Millisecond
	reported  = 10 * time.Second // between two lines of progress where there is no terminal
	lastWords = 10 * time.Second // for cancelling after a signal
)

// watchJob shows a job's progress until it ends, and cancels it if ctx ends before.
func (c *Client) watchJob(ctx context.Context, path string, job Job) error {
	began := c.now()
	at := request{method: http.MethodGet, path: path + "/$job", query: query("_id", job.ID)}
	said := began
	for job.Status == "in-progress" {
		timer := time.NewTimer(jobEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return c.cancelJob(ctx, at, job)
		case <-timer.C:
		}
		var p parameters
		if _, err := c.do(ctx, at, &p); err != nil {
			if ctx.Err() != nil {
				return c.cancelJob(ctx, at, job)
			}
			return fmt.Errorf("%w. The job goes on: %s", err, job.URL)
		}
		where := job.URL
		job = jobOf(p.Parameter)
		job.URL = where
		if now := c.now(); c.Terminal || now.Sub(said) >= reported {
			said = now
			c.progress(job, now.Sub(began))
		}
	}
	if c.Terminal {
		_, _ = fmt.Fprint(c.Err, "\r\x1b[K")
	}
	if err := c.printJob(job, c.now().Sub(began)); err != nil {
		return err
	}
	switch {
	case job.Status != "completed":
		return fmt.Errorf("it ended before its time: %s", printable(job.Reason, 200))
	case job.Failed > 0:
		return fmt.Errorf("%d of %s failed again: fhirhook deliveries --attempts tells why", job.Failed, plural(job.Total, "notification"))
	default:
		return nil
	}
}

func (c *Client) progress(job Job, passed time.Duration) {
	begin, end := "", "\n"
	if c.Terminal {
		begin, end = "\r\x1b[K", ""
	}
	_, _ = fmt.Fprintf(c.Err, "%s%s%s", begin, job.sentence(passed), end)
}

// sentence tells how far a job is.
func (j Job) sentence(passed time.Duration) string {
	sent := j.Done + j.Failed
	pace := float64(sent) / max(passed.Seconds(), 0.001)
	return fmt.Sprintf("%d of %d sent again, %d delivered, %d failed, %.1f/s", sent, j.Total, j.Done, j.Failed, pace)
}

func (c *Client) printJob(job Job, passed time.Duration) error {
	if c.JSON {
		return lines(c.Out, []Job{job})
	}
	_, err := fmt.Fprintln(c.Out, job.sentence(passed))
	return err
}

// cancelJob cancels a job whose watcher was told to stop.
func (c *Client) cancelJob(ctx context.Context, at request, job Job) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	if c.Terminal {
		_, _ = fmt.Fprintln(c.Err)
	}
	at.method = http.MethodDelete
	if _, err := c.do(ctx, at, nil); err != nil {
		return fmt.Errorf("interrupted, and not cancelled: %w. It may go on: %s", err, job.URL)
	}
	at.method = http.MethodGet
	var p parameters
	if _, err := c.do(ctx, at, &p); err == nil {
		job = jobOf(p.Parameter)
	}
	return fmt.Errorf("interrupted: the rest was cancelled and is as it was before (%d of %d sent, %d delivered)", job.Done+job.Failed, job.Total, job.Done)
}
