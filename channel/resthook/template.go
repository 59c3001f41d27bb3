package resthook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"fhirhook/channel"
)

// Instant is how times are written in bodies: UTC with three decimals.
const Instant = "2006-01-02T15:04:05.000Z"

// resource is the placeholder that only a Message with a version can fill.
const resource = "${resource}"

// fact is the value of a placeholder: a text, a number, or the resource's own bytes.
type fact struct {
	text string
	bare bool // in JSON it stands without quotes
}

// facts are the placeholders. In a body each becomes a whole JSON value, or within a JSON string a part of it; in a
// header it becomes the bare text.
var facts = map[string]func(m channel.Message, now time.Time) fact{
	"id":           func(m channel.Message, _ time.Time) fact { return fact{text: m.ID} },
	"event":        func(m channel.Message, _ time.Time) fact { return fact{text: m.Event} },
	"interaction":  func(m channel.Message, _ time.Time) fact { return fact{text: m.Interaction} },
	"action":       func(m channel.Message, _ time.Time) fact { return fact{text: past(m.Interaction)} },
	"type":         func(m channel.Message, _ time.Time) fact { return fact{text: m.Type} },
	"focus":        func(m channel.Message, _ time.Time) fact { return fact{text: m.Focus} },
	"version":      func(m channel.Message, _ time.Time) fact { return fact{text: m.Version} },
	"tenant":       func(m channel.Message, _ time.Time) fact { return fact{text: m.Tenant} },
	"subscription": func(m channel.Message, _ time.Time) fact { return fact{text: m.Subscription} },
	"sequence":     func(m channel.Message, _ time.Time) fact { return number(int64(m.Sequence)) },
	"attempt":      func(m channel.Message, _ time.Time) fact { return number(int64(m.Attempt)) },
	// Seconds of this attempt; unlike updated it differs from try to try.
	"sent": func(_ channel.Message, now time.Time) fact { return number(now.Unix()) },
	// The change's lastUpdated, so that a body is the same at every try; on a test, which has no change, the sending.
	"updated": func(m channel.Message, now time.Time) fact {
		if m.Test || m.Updated.IsZero() {
			return fact{text: now.UTC().Format(Instant)}
		}
		return fact{text: m.Updated.UTC().Format(Instant)}
	},
	"resource": func(m channel.Message, _ time.Time) fact { return fact{text: string(m.Body), bare: true} },
}

// Placeholders lists what can stand between ${ and }.
func Placeholders() []string { return slices.Sorted(maps.Keys(facts)) }

func number(n int64) fact { return fact{text: strconv.FormatInt(n, 10), bare: true} }

// split cuts a template at its placeholders: text, name, text, name, …, text.
func split(t string) ([]string, error) {
	var parts []string
	for {
		before, rest, found := strings.Cut(t, "${")
		if !found {
			return append(parts, t), nil
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return nil, fmt.Errorf("${%s has no closing brace", rest)
		}
		if facts[name] == nil {
			return nil, fmt.Errorf("unknown placeholder ${%s}; there are %s", name, strings.Join(Placeholders(), ", "))
		}
		parts = append(parts, before, name)
		t = after
	}
}

func checkTemplate(t string) error {
	_, err := split(t)
	return err
}

// fillBody renders a JSON template. A body that is the resource and nothing else is the Message's own bytes.
func fillBody(t string, m channel.Message, now time.Time) ([]byte, error) {
	if t == "" {
		return nil, nil
	}
	if t == resource {
		return m.Body, nil
	}
	parts, err := split(t)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	quoted := false // within a JSON string
	for i, p := range parts {
		if i%2 == 0 {
			b.WriteString(p)
			quoted = endsQuoted(p, quoted)
			continue
		}
		f := facts[p](m, now)
		if f.bare && !quoted {
			b.WriteString(f.text)
			continue
		}
		start := b.Len()
		if err := enc.Encode(f.text); err != nil {
			return nil, fmt.Errorf("encode ${%s}: %w", p, err)
		}
		b.Truncate(b.Len() - 1) // the encoder's line feed
		if quoted {             // the string's own quotes stand around it
			inner := b.Bytes()[start+1 : b.Len()-1]
			copy(b.Bytes()[start:], inner)
			b.Truncate(start + len(inner))
		}
	}
	return b.Bytes(), nil
}

// endsQuoted tells whether JSON text ends within a string, if it began so.
func endsQuoted(text string, quoted bool) bool {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			quoted = !quoted
		case '\\':
			i++ // what is escaped ends nothing; outside of strings no JSON has one
		}
	}
	return quoted
}

// fillText renders a header's template; "" if any of its placeholders is empty.
func fillText(t string, m channel.Message, now time.Time) (string, error) {
	parts, err := split(t)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for i, p := range parts {
		if i%2 == 0 {
			b.WriteString(p)
			continue
		}
		f := facts[p](m, now)
		if f.text == "" {
			return "", nil
		}
		b.WriteString(f.text)
	}
	return b.String(), nil
}
