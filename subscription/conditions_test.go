package subscription

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/subscription/expression"
)

// answers is an evaluator that answers as it is told, and counts.
type answers struct {
	list  []error
	asked int
}

func (a *answers) Holds(expression.Input) (bool, error) {
	err := a.list[min(a.asked, len(a.list)-1)]
	a.asked++
	return err == nil, err
}

func TestMatcher_anExpressionThatCantBeEvaluatedDoesNotHold(t *testing.T) {
	o := testOptions(t)
	w := newWorld(t, o)
	w.write("t", fhir.Subscription, "s", on("Patient", fhirPathCriteria("-name = 1")))
	w.write("t", fhir.Subscription, "other", on("Patient"))
	var log bytes.Buffer
	w.write("t", "Patient", "p", `{"resourceType":"Patient","name":[{"family":"Quell"}]}`)
	m := matchAll(t, w, MatcherOptions{Parse: o, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if got := w.verdicts(); len(got) != 1 || m.Undecided() != 1 {
		t.Errorf("%v, %d undecided", got, m.Undecided())
	}
	if line := log.String(); !strings.Contains(line, "subscription=s") || !strings.Contains(line, "Patient/p") || strings.Contains(line, "Quell") {
		t.Errorf("log: %s", line)
	}
}

// An expression that takes too long would hold up everyone who waits for the same log.
func TestMatcher_stopsAnExpressionThatTakesTooLong(t *testing.T) {
	o := testOptions(t)
	w := newWorld(t, o)
	lane := store.Lane{Tenant: "t", Subscription: "s"}
	slow := on("Patient", fhirPathCriteria("active"))
	w.write("t", fhir.Subscription, "s", slow)
	late, busy := expression.ErrTime, expression.ErrBusy
	a := &answers{list: []error{late, busy, nil, late, errors.New("x"), late, busy, late}}
	run := func() *Matcher {
		m := NewMatcher(w.db, MatcherOptions{Parse: o})
		m.asked.compile = func(string) (evaluator, error) { return a, nil }
		if err := m.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for moved := true; moved; {
			var err error
			if moved, err = m.step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		return m
	}
	status := func() (Status, string) {
		var r *fhir.Resource
		err := w.db.View(t.Context(), func(tx store.Reader) (err error) {
			r, err = tx.Read(fhir.Key{Tenant: "t", Type: fhir.Subscription, ID: "s"}, tx.Last())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return statusOf(r), r.Doc().Root().Get("error").Text()
	}
	for i := range 10 {
		w.write("t", "Patient", "p", fmt.Sprintf(`{"resourceType":"Patient","active":true,"n":%d}`, i))
	}
	if m := run(); a.asked != 8 || m.Undecided() != 9 {
		t.Errorf("asked %d times, %d undecided", a.asked, m.Undecided())
	}
	if s, text := status(); s != Erroneous || text != slowText {
		t.Errorf("%s %q", s, text)
	}
	w.write("t", "Patient", "p", `{"resourceType":"Patient","active":true}`)
	if run(); a.asked != 8 {
		t.Error("a restart made it go on")
	}
	a.list = []error{nil}
	w.write("t", fhir.Subscription, "s", strings.Replace(slow, `"criteria"`, `"status":"error","error":"as it was read","criteria"`, 1))
	w.write("t", "Patient", "p", `{"resourceType":"Patient","active":true,"n":100}`)
	if run(); a.asked != 9 {
		t.Errorf("written again, asked %d times", a.asked)
	}
	if s, text := status(); s != Active || text != "" {
		t.Errorf("%s %q", s, text)
	}
	if got := len(w.verdicts()[lane]); got != 2 {
		t.Errorf("%d notifications", got)
	}
}

// Whoever may subscribe to Subscriptions may not learn their secrets by asking for them bit by bit.
func TestMatcher_expressionsDoNotSeeSecrets(t *testing.T) {
	o := testOptions(t)
	w := newWorld(t, o)
	guess := func(s string) string { return fhirPathCriteria("%current.extension.value.startsWith('" + s + "')") }
	w.write("t", fhir.Subscription, "right", on("Subscription?_id=s", guess("k")))
	w.write("t", fhir.Subscription, "mask", on("Subscription?_id=s", guess("*")))
	w.write("t", fhir.Subscription, "s", on("Basic", ext(us+"subscription-secret", `"valueString":"key"`)))
	matchAll(t, w, MatcherOptions{Parse: o})
	got := w.verdicts()
	if len(got) != 1 || len(got[store.Lane{Tenant: "t", Subscription: "mask"}]) != 1 {
		t.Errorf("%v", got)
	}
}

// A Subscription that waits while it can't be compiled is held against the rows since by its trigger, too.
func TestMatcher_catchesUpByTheTrigger(t *testing.T) {
	o := testOptions(t)
	w := newWorld(t, o)
	w.smuggle("t", fhir.Subscription, "s", on("Patient?nonsense=1", trigger("leaves")))
	for _, p := range []string{`,"active":true`, `,"active":true,"n":1`, `,"active":false`, `,"active":true`} {
		w.write("t", "Patient", "p", `{"resourceType":"Patient"`+p+`}`)
	}
	w.write("t", "Patient", "p", "")
	matchAll(t, w, MatcherOptions{Parse: o})
	w.write("t", fhir.Subscription, "s", on("Patient?active=true", trigger("leaves"), fhirPathCriteria("%previous.active")))
	w.write("t", "Patient", "p", `{"resourceType":"Patient","active":true}`)
	w.write("t", "Patient", "p", "")
	matchAll(t, w, MatcherOptions{Parse: o})
	var got []string
	for _, v := range w.verdicts()[store.Lane{Tenant: "t", Subscription: "s"}] {
		got = append(got, fmt.Sprintf("%d %s v%d", v.Number, v.Interaction, v.Version))
	}
	if want := "1 update v3,2 delete v5,3 delete v7"; strings.Join(got, ",") != want {
		t.Errorf("%s, want %s", strings.Join(got, ","), want)
	}
}
