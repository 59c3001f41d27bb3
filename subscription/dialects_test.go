package subscription

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirhook/channel/resthook"
	"fhirhook/fhir"
)

// What a dialect says about Subscriptions, DESIGN §4.3's table as far as it isn't about a single request. The
// other rows are in channel/resthook.
func TestDialects_tableOfRules(t *testing.T) {
	s, m, h := time.Second, time.Minute, time.Hour
	ask := func(name, value string) string { return ext(us+"subscription-"+name, `"valueCode":"`+value+`"`) }
	deleting := ext(med+"subscription-supported-interaction", `"valueCode":"delete"`)
	type rules struct {
		Waits   []time.Duration // the first six at most, without jitter
		Ends    string          // when it ends
		Order   Order
		None    bool // order none may be asked for
		Deletes bool // delete may be asked for
	}
	exponential := []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 32 * s}
	want := map[string]rules{
		"kit":            {exponential, "after 3 days", Unordered, true, true},
		"fhir":           {exponential, "after 3 days", ByResource, false, false},
		"medplum":        {[]time.Duration{20 * s, 40 * s, 80 * s}, "after 4 requests", Unordered, true, true},
		"hapi":           {exponential, "after 3 days", ByResource, false, true},
		"healthsync":     {[]time.Duration{m, 5 * m, 30 * m, h}, "after 5 requests", Unordered, true, true},
		"clinik":         {[]time.Duration{30 * s, 2 * m, 8 * m, 32 * m, 2 * h}, "after 6 requests", Unordered, true, true},
		"webhook-events": {exponential, "after 3 days", Unordered, true, true},
	}
	o := testOptions(t)
	parse := func(extensions ...string) (*Subscription, error) {
		return Parse(fhir.Key{Type: fhir.Subscription, ID: "s"}, 1, document(t, rootExt(extensions...)), o)
	}
	for _, d := range resthook.Dialects() {
		t.Run(d.Name, func(t *testing.T) {
			sub, err := parse(ask("dialect", d.Name))
			if err != nil {
				t.Fatal(err)
			}
			got := rules{Order: sub.Order}
			waits, _ := climb(sub.Ladder, nil, 0.5, 1000)
			got.Waits = waits[:min(6, len(waits))]
			if len(waits) < 10 {
				got.Ends = "after " + string(rune('1'+len(waits))) + " requests"
			} else if total := sum(waits); total >= 72*h && total-waits[len(waits)-1] < 72*h && slices.Max(waits) == h {
				got.Ends = "after 3 days"
			}
			if _, err := parse(ask("dialect", d.Name), ask("order", "none")); err == nil {
				got.None = true
			} else if at := issues(err); len(at) != 1 || at[0] != (issue{fhir.BusinessRule, "Subscription.extension[1].valueCode"}) {
				t.Errorf("order none: %v", err)
			}
			if _, err := parse(ask("dialect", d.Name), deleting); err == nil {
				got.Deletes = true
			} else if at := issues(err); len(at) != 1 || at[0] != (issue{fhir.BusinessRule, "Subscription.extension[1].valueCode"}) {
				t.Errorf("delete: %v", err)
			}
			if diff := cmp.Diff(want[d.Name], got); diff != "" {
				t.Error(diff)
			}
			for _, order := range []string{"resource", "subscription"} {
				if sub, err := parse(ask("dialect", d.Name), ask("order", order)); err != nil || sub.Order != orders[order] {
					t.Errorf("order %s: %v", order, err)
				}
			}
		})
	}
}

func sum(waits []time.Duration) (total time.Duration) {
	for _, w := range waits {
		total += w
	}
	return total
}

// One start tells everything that is wrong with every dialect.
func TestNewDialectTable_namesEveryProblem(t *testing.T) {
	own, err := resthook.ParseDialects([]byte(`dialects:
- &good
  name: good
  change: {method: POST, body: '${resource}'}
  ping: {method: POST}
  content-type: application/json
  success: 200
  timeout: 1s
  retry: 1s
  orders: [none]
  interactions: [create]
- <<: *good
  name: ladders
  retry: exp:1h,2,1m,3d
  requests: 5000
- <<: *good
  name: events
  events:
  - {name: a, type: Patient, interactions: [create], criteria: nmae=x}
  - {name: b, type: Patent, interactions: [create]}
  - {name: c, type: Observation, interactions: [create], criteria: 'subject:Patient.name=x'}
- <<: *good
  name: forms
  change: {method: POST, body: '{'}
  timeout: 0s
- <<: *good
  name: kit
- <<: *good
`))
	if err != nil {
		t.Fatal(err)
	}
	_, err = NewDialectTable("esperanto", append(resthook.Dialects(), own...)...)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"dialect ladders: retry: the first wait",
		"dialect ladders: 5000 requests are too many",
		"dialect events: event a: ",
		`dialect events: event b: R4 has no resource type "Patent"`,
		"dialect events: event c: Observation?subject:Patient.name=x looks at other resources",
		"dialect forms: body of change is not JSON",
		"dialect forms: a timeout of 0s",
		"dialect kit: there is one of this name already",
		"dialect good: there is one of this name already",
		`there is no dialect "esperanto"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q isn't named in:\n%v", want, err)
		}
	}
	if got := strings.Count(err.Error(), "\n") + 1; got != 10 {
		t.Errorf("%d lines, want one for each of 10 problems:\n%v", got, err)
	}
}

// An operator's own dialect is asked for like a built-in one, and its rules count.
func TestParse_ownDialect(t *testing.T) {
	acme := resthook.Dialect{
		Name: "acme", Change: resthook.Form{Method: "POST", Body: "${resource}"}, Ping: resthook.Form{Method: "POST"}, ContentType: "application/json",
		Signature: resthook.Signature{Header: "X-Acme-Signature", Form: "sha256"},
		Success:   resthook.Codes{{From: 200, To: 200}}, Timeout: time.Second, Ladder: "1s,2s", Orders: []string{"subscription"}, Interactions: []string{"create"},
	}
	table, err := NewDialectTable("acme", append(resthook.Dialects(), acme)...)
	if err != nil {
		t.Fatal(err)
	}
	o := testOptions(t)
	o.Dialects = table
	for _, text := range []string{rootExt(ext(us+"subscription-dialect", `"valueCode":"acme"`)), body("", "")} {
		s, err := Parse(fhir.Key{Type: fhir.Subscription, ID: "s"}, 1, document(t, text), o)
		if err != nil {
			t.Fatal(err)
		}
		if s.Order != BySubscription || s.Interactions != (Interactions{Create: true}) || !slices.Equal(s.Ladder.Waits, []time.Duration{time.Second, 2 * time.Second}) {
			t.Errorf("%+v", s)
		}
	}
	_, err = Parse(fhir.Key{Type: fhir.Subscription, ID: "s"}, 1, document(t, body("", `,"header":["x-acme-signature: 1"]`)), o)
	if diff := cmp.Diff([]issue{{fhir.BusinessRule, "Subscription.channel.header[0]"}}, issues(err)); diff != "" {
		t.Error(diff)
	}
}
