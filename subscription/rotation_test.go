package subscription

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirhook/fhir"
)

// rotate stores what Rotated makes of a version.
func rotate(t *testing.T, r *fhir.Resource, key string, until time.Time) *fhir.Resource {
	t.Helper()
	in := incoming(t, string(Rotated(r.Doc(), key, until)))
	next := &fhir.Resource{Key: r.Key, Version: r.Version + 1, Updated: noon}
	next.JSON = fhir.Stamp(in.Doc, r.Key.ID, next.Version, noon)
	return next
}

func parsed(t *testing.T, r *fhir.Resource) *Subscription {
	t.Helper()
	s, err := Parse(r.Key, r.Version, r.Doc(), testOptions(t))
	if err != nil {
		t.Fatalf("%s\n%v", r.JSON, err)
	}
	return s
}

func TestRotated_bothKeysDuringTheOverlapAndOneAfter(t *testing.T) {
	t.Parallel()
	until := noon.Add(24 * time.Hour)
	for name, body := range map[string]string{
		"a key on the Subscription": at("https://a.example/", "old-key"),
		"a key on the channel, next to an extension": `{"resourceType":"Subscription","criteria":"Patient","extension":[` +
			ext(us+"subscription-order", `"valueCode":"none"`) + `],"channel":{"type":"rest-hook","endpoint":"https://a.example/","extension":[` +
			ext("https://www.medplum.com/fhir/StructureDefinition/subscription-secret", `"valueString":"old-key"`) + `]}}`,
		"the same key under two names": `{"resourceType":"Subscription","criteria":"Patient","extension":[` +
			ext(us+"subscription-secret", `"valueString":"old-key"`) + `,` +
			ext("https://www.medplum.com/fhir/StructureDefinition-subscriptionSecret", `"valueString":"old-key"`) +
			`],"channel":{"type":"rest-hook","endpoint":"https://a.example/"}}`,
	} {
		g := NewGate(testOptions(t))
		first := rotate(t, mustAdmit(t, g, body, nil), "new-key", until)
		s := parsed(t, first)
		if diff := cmp.Diff([]string{"new-key", "old-key"}, s.TargetAt(until.Add(-1)).Secrets); diff != "" {
			t.Error(name, "during:", diff)
		}
		if diff := cmp.Diff([]string{"new-key"}, s.TargetAt(until).Secrets); diff != "" {
			t.Error(name, "after:", diff)
		}
		if shown := string(g.Redact(first)); strings.Contains(shown, "-key") || !strings.Contains(shown, instant(until)) {
			t.Errorf("%s: it is shown as %s", name, shown)
		}
		// What is read and sent back changes nothing.
		back := mustAdmit(t, g, string(g.Redact(first)), first)
		if diff := cmp.Diff(s.TargetAt(noon), parsed(t, back).TargetAt(noon)); diff != "" {
			t.Error(name, "sent back:", diff)
		}
		// Another rotation takes the place of the first.
		again := rotate(t, back, "newest-key", until.Add(time.Hour))
		if diff := cmp.Diff([]string{"newest-key", "new-key"}, parsed(t, again).TargetAt(until).Secrets); diff != "" {
			t.Error(name, "again:", diff)
		}
		if strings.Contains(string(again.JSON), "old-key") {
			t.Errorf("%s: the first key is still there: %s", name, again.JSON)
		}
	}
}

func TestRotated_givesAKeyWhereThereWasNone(t *testing.T) {
	t.Parallel()
	g := NewGate(testOptions(t))
	first := rotate(t, mustAdmit(t, g, at("https://a.example/", ""), nil), "a-key", noon.Add(time.Hour))
	if diff := cmp.Diff([]string{"a-key"}, parsed(t, first).TargetAt(noon).Secrets); diff != "" {
		t.Error(diff)
	}
}

func TestParse_refusesHalfARotation(t *testing.T) {
	t.Parallel()
	previous := ext(us+"subscription-previous-secret", `"valueString":"old"`)
	until := ext(us+"subscription-previous-secret-until", `"valueInstant":"2026-03-02T00:00:00Z"`)
	secret := ext(us+"subscription-secret", `"valueString":"new"`)
	body := func(extensions ...string) string {
		return `{"resourceType":"Subscription","criteria":"Patient","extension":[` + strings.Join(extensions, ",") +
			`],"channel":{"type":"rest-hook","endpoint":"https://a.example/"}}`
	}
	g := NewGate(testOptions(t))
	mustAdmit(t, g, body(secret, previous, until), nil)
	for _, bad := range []string{
		body(secret, previous), body(secret, until), body(previous, until),
		body(secret, previous, ext(us+"subscription-previous-secret-until", `"valueInstant":"soon"`)),
		body(secret, previous, ext(us+"subscription-previous-secret-until", `"valueString":"2026-03-02T00:00:00Z"`)),
		body(secret, ext(us+"subscription-previous-secret", `"valueString":"whsec_!"`), until),
		body(secret, ext(us+"subscription-previous-secret", `"valueString":"`+Mask+`"`), until),
	} {
		if _, err := admit(t, g, bad, nil); err == nil {
			t.Errorf("admitted: %s", bad)
		} else if strings.Contains(err.Error(), "whsec_!") {
			t.Errorf("the refusal quotes a key: %v", err)
		}
	}
}
