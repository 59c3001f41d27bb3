package subscription

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"fhirhook/channel/resthook"
	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// Bounds of what an extension may ask for.
const (
	mostAttempts = 1000
	mostTimeout  = 10 * time.Minute
	mostCodes    = 1024 // bytes
)

// setting is the value of an extension that may stand there once.
type setting[T comparable] struct {
	value T
	path  string // where it stands; "" if it doesn't
}

// put takes a value; the same value once more changes nothing, as when a client writes an extension under
// two URLs to be understood everywhere.
func put[T comparable](r *reading, s *setting[T], e extension, value T) {
	switch {
	case s.path == "":
		s.value, s.path = value, e.at()
	case s.value != value:
		r.refuse(fhir.BusinessRule, e.at(), "contradicts %s: give one of the two", s.path)
	}
}

// settings is what the extensions say, before the dialect's rules are applied.
type settings struct {
	secret        setting[string]
	previous      setting[string]
	previousUntil setting[time.Time]
	dialect       setting[string]
	signature     setting[string]
	order         setting[Order]
	backlog       setting[bool]
	trigger       setting[Trigger]
	followed      []setting[string] // subscription-trigger-parameter
	expression    setting[string]
	maxAttempts   setting[int]
	retryCount    setting[int]
	sendDelete    setting[bool]
	timeout       setting[time.Duration]
	ladder        *Ladder
	ladderText    setting[string]
	events        []setting[string] // subscription-event
	eventName     setting[string]
	success       setting[string]
	latest        setting[bool]
	unversioned   setting[bool]
	audit         Audit
	interactions  Interactions
	named         string // where the first interaction stands; "" if none does
	deletion      string // where delete is asked for
}

// text reads a string value of the member that the extension's definition names.
func (r *reading) text(e extension, member string) (string, bool) {
	switch {
	case e.member != member:
		r.refuse(fhir.BusinessRule, e.path, "the extension %s needs a %s", e.url, member)
	case e.value.Kind() != tape.String:
		r.refuse(fhir.Value, e.at(), "must be a JSON string, and this is a JSON %s", e.value.Kind())
	case e.value.Text() == "":
		r.refuse(fhir.Value, e.at(), "must not be empty")
	default:
		return e.value.Text(), true
	}
	return "", false
}

func (r *reading) flag(e extension) (value, ok bool) {
	switch {
	case e.member != "valueBoolean":
		r.refuse(fhir.BusinessRule, e.path, "the extension %s needs a valueBoolean", e.url)
	case e.value.Kind() != tape.Bool:
		r.refuse(fhir.Value, e.at(), "must be true or false, and this is a JSON %s", e.value.Kind())
	default:
		return e.value.Bool(), true
	}
	return false, false
}

// number reads a whole number within bounds. R4 has three types for it, which JSON writes alike.
func (r *reading) number(e extension, least, most int) (int, bool) {
	if !slices.Contains([]string{"valueInteger", "valueUnsignedInt", "valuePositiveInt"}, e.member) {
		r.refuse(fhir.BusinessRule, e.path, "the extension %s needs a valueInteger, valueUnsignedInt or valuePositiveInt", e.url)
		return 0, false
	}
	if e.value.Kind() != tape.Number {
		r.refuse(fhir.Value, e.at(), "must be a JSON number, and this is a JSON %s", e.value.Kind())
		return 0, false
	}
	n, err := strconv.Atoi(e.value.Text())
	if err != nil || n < least || n > most {
		r.refuse(fhir.BusinessRule, e.at(), "%s is out of range: a whole number from %d to %d", e.value.Text(), least, most)
		return 0, false
	}
	return n, true
}

// code reads a code that is one of a few.
func (r *reading) code(e extension, of ...string) (string, bool) {
	s, ok := r.text(e, "valueCode")
	if ok && !slices.Contains(of, s) {
		r.refuse(fhir.BusinessRule, e.at(), "%q is not known here: one of %s", s, strings.Join(of, ", "))
		return "", false
	}
	return s, ok
}

func (r *reading) secret(e extension) { r.key(e, &r.set.secret) }

// key reads an HMAC key, and keeps it out of its own refusals.
func (r *reading) key(e extension, into *setting[string]) {
	s, ok := r.text(e, "valueString")
	if !ok {
		return
	}
	if s == Mask {
		r.refuseMask(e.at())
	} else if err := resthook.CheckSecret(s); err != nil {
		r.refuse(fhir.BusinessRule, e.at(), "%s", err)
	} else {
		put(r, into, e, s)
	}
}

func (r *reading) interaction(e extension) {
	code, ok := r.code(e, fhir.Create.String(), fhir.Update.String(), fhir.Delete.String())
	if !ok {
		return
	}
	if r.set.named == "" {
		r.set.named = e.at()
	}
	switch code {
	case fhir.Create.String():
		r.set.interactions.Create = true
	case fhir.Update.String():
		r.set.interactions.Update = true
	default:
		r.set.interactions.Delete = true
		r.set.deletion = e.at()
	}
}

func (r *reading) maxAttempts(e extension) {
	if n, ok := r.number(e, 1, mostAttempts); ok {
		put(r, &r.set.maxAttempts, e, n)
	}
}

func (r *reading) retryCount(e extension) {
	if n, ok := r.number(e, 0, mostAttempts-1); ok {
		put(r, &r.set.retryCount, e, n)
	}
}

func (r *reading) sendDelete(e extension) {
	if on, ok := r.flag(e); ok {
		put(r, &r.set.sendDelete, e, on)
	}
}

func (r *reading) latest(e extension) {
	if on, ok := r.flag(e); ok {
		put(r, &r.set.latest, e, on)
	}
}

func (r *reading) unversioned(e extension) {
	if on, ok := r.flag(e); ok {
		put(r, &r.set.unversioned, e, on)
	}
}

// success reads the statuses that count as success (Medplum). They come before any rule on a status.
func (r *reading) success(e extension) {
	s, ok := r.text(e, "valueString")
	if !ok {
		return
	}
	if len(s) > mostCodes {
		r.refuse(fhir.BusinessRule, e.at(), "more than %d characters: write ranges, as in 200-299,410", mostCodes)
		return
	}
	codes, err := resthook.ParseCodes(s)
	if err != nil {
		r.refuse(fhir.BusinessRule, e.at(), "%s", err)
		return
	}
	put(r, &r.set.success, e, codes.String())
}

// audit reads one of the places where attempts are recorded (Medplum).
func (r *reading) audit(e extension) {
	switch s, ok := r.code(e, "resource", "log"); {
	case !ok:
	case s == "log":
		r.set.audit.Log = true
	default:
		r.set.audit.Resource = true
	}
}

func (r *reading) timeout(e extension) {
	if n, ok := r.number(e, 1, int(mostTimeout/time.Second)); ok {
		put(r, &r.set.timeout, e, time.Duration(n)*time.Second)
	}
}

func (r *reading) dialect(e extension) {
	if s, ok := r.text(e, "valueCode"); ok {
		put(r, &r.set.dialect, e, s)
	}
}

func (r *reading) signature(e extension) {
	if s, ok := r.code(e, "body", "sha256", "timestamped"); ok {
		put(r, &r.set.signature, e, s)
	}
}

func (r *reading) retry(e extension) {
	s, ok := r.text(e, "valueString")
	if !ok {
		return
	}
	ladder, err := ParseLadder(s)
	if err != nil {
		r.refuse(fhir.BusinessRule, e.at(), "%s", err)
		return
	}
	put(r, &r.set.ladderText, e, s)
	r.set.ladder = &ladder
}

func (r *reading) order(e extension) {
	if s, ok := r.code(e, "none", "resource", "subscription"); ok {
		put(r, &r.set.order, e, orders[s])
	}
}

func (r *reading) backlog(e extension) {
	if s, ok := r.code(e, "keep", "skip"); ok {
		put(r, &r.set.backlog, e, s == "skip")
	}
}
