package expression

import (
	"errors"
	"strings"
	"testing"
	"time"

	"fhirhook/fhir/tape"
)

func document(t testing.TB, json string) *tape.Doc {
	t.Helper()
	if json == "" {
		return nil
	}
	doc, err := tape.Parse([]byte(json), 0)
	if err != nil {
		t.Fatalf("%s: %v", json, err)
	}
	return doc
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestExpression_holds(t *testing.T) {
	const (
		old = `{"resourceType":"Patient","active":false,"birthDate":"1980-05-05","name":[{"family":"Quell","given":["Ann"]}],"multipleBirthInteger":2}`
		now = `{"resourceType":"Patient","active":true,"birthDate":"1980-05-05","name":[{"family":"Quell","given":["Ann","Bea"]}],"multipleBirthInteger":3,"deceasedDateTime":"2026-03-01"}`
	)
	tests := []struct {
		expression        string
		previous, current string
		want              bool
	}{
		{"%current.active", old, now, true},
		{"%previous.active", old, now, false},
		{"%previous.active = false and %current.active = true", old, now, true},
		{"%previous.active != %current.active", old, now, true},
		{"%previous.active != %current.active", old, old, false},
		{"%previous.active != %current.active", "", now, false}, // empty is neither
		{"%previous.exists().not() or %previous.active != %current.active", "", now, true},
		{"%previous.empty()", "", now, true},
		{"%previous.empty()", old, now, false},
		{"%current.name.given.count() > %previous.name.given.count()", old, now, true},
		{"%current.multipleBirth > 2", old, now, true},
		{"%current.birthDate < @1981-01-01", "", now, true},
		{"%current.deceased.exists() and %previous.deceased.empty()", old, now, true},
		{"active", "", now, true},
		{"Patient.active", "", now, true},
		{"name.where(family = 'Quell').exists()", "", now, true},
		{"name.given contains 'Bea'", "", now, true},
		{"name.family & name.given.first() = 'QuellAnn'", "", now, true},
		{"%current.name.family.matches('^Q.*l$')", "", now, true},
		{"name.family.replace('l', 'r') = 'Querr'", "", now, true},
		{"%current.trace('x').active", "", now, true},
		{"true", "", now, true},
		// anything but one boolean is no
		{"%current", "", now, false},
		{"name.family", "", now, false},
		{"'true'", "", now, false},
		{"multipleBirth", "", now, false},
		{"%current.active | %previous.active", old, now, false},
		{"{}", "", now, false},
		// the clock is the change's
		{"now() = @2026-03-01T12:00:00.000Z", "", now, true},
		{"today() = @2026-03-01", "", now, true},
		{"timeOfDay() = @T12:00:00.000", "", now, true},
		{"%current.deceased > now() - 2 days", "", now, true},
		{"%current.deceased > now() + 2 days", "", now, false},
	}
	for _, tt := range tests {
		x, err := Compile(tt.expression)
		if err != nil {
			t.Errorf("%s: %v", tt.expression, err)
			continue
		}
		got, err := x.Holds(Input{document(t, tt.current), document(t, tt.previous), noon})
		if err != nil || got != tt.want {
			t.Errorf("%s: %t, %v", tt.expression, got, err)
		}
	}
}

func TestCompile_refusesWithTheReason(t *testing.T) {
	for expression, want := range map[string]string{
		"":                              "not a FHIRPath expression",
		"%current.":                     "line 1, column",
		"%current.active = ":            "not a FHIRPath expression",
		"%current.name['":               "not a FHIRPath expression",
		"%before.active":                "%before is not known",
		"%current.nosuch()":             "there is no function nosuch",
		"%current.where()":              "at least 1",
		"%current.exists(a, b)":         "at most 1",
		"%current.subject.resolve()":    "chained search parameter",
		"code.memberOf('http://a')":     ":in",
		"(1|2).aggregate($this*$total)": "without end",
		"10.power(100000000) > 1":       "digits",
		"name.`resolve`().exists()":     "resolve",
		"id" + strings.Repeat(".select($this & $this)", 5) + " = 'x'": "too costly",
		strings.Repeat("(", 33) + "1" + strings.Repeat(")", 33):       "brackets",
		strings.Repeat("not(", 1000):                                  "brackets",
		"'" + strings.Repeat("x", mostText) + "' = id":                "bytes",
	} {
		if _, err := Compile(expression); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", expression, err, want)
		}
	}
}

// What an evaluation can't decide is an error: neither yes nor no.
func TestExpression_errors(t *testing.T) {
	large := `{"resourceType":"Basic","a":[` + strings.Repeat(`"x",`, mostNodes) + `"x"]}`
	wide := `{"resourceType":"Basic","id":"x","a":[` + strings.Repeat(`"x",`, mostPairs) + `"x"],"t":"` + strings.Repeat("x", 1<<19) + `"}`
	for _, tt := range []struct{ expression, current, want string }{
		{"1 / a = 1", `{"resourceType":"Basic","a":0}`, "does not suit"},
		{"-%current = 1", `{"resourceType":"Basic"}`, "TypeError"},
		{"a + 1 > 0", `{"resourceType":"Basic","a":1e999999999}`, "digits"},
		{"a + 1 > 0", `{"resourceType":"Basic","a":1e-000999}`, "digits"},
		{"a.count() > 0", large, "many elements"},
		{"a.isDistinct()", wide, "compares more"},
		{"t.replace('x', 'xx').exists()", wide, "too long"},
		{"t.replace('', %current.t).exists()", wide, "too long"},
	} {
		x, err := Compile(tt.expression)
		if err != nil {
			t.Fatalf("%s: %v", tt.expression, err)
		}
		x.limit = time.Minute // for the race detector
		if got, err := x.Holds(Input{Current: document(t, tt.current), Now: noon}); got || err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %t, %v, want %q", tt.expression, got, err, tt.want)
		}
	}
}

// The engine compares the parts of a union one with each, and can't be stopped in it.
func TestExpression_endsInTimeWhateverTheEngineDoes(t *testing.T) {
	var texts strings.Builder
	for i := range mostNodes / 2 {
		texts.WriteString(`"` + strings.Repeat("x", i%100) + time.Duration(i).String() + `",`)
	}
	doc := document(t, `{"resourceType":"Basic","a":[`+texts.String()+`"x"]}`)
	x, err := Compile(strings.Repeat("(a | a).exists() and ", 20) + "true")
	if err != nil {
		t.Fatal(err)
	}
	x.limit = time.Millisecond
	if got, err := x.Holds(Input{Current: doc, Now: noon}); got || !errors.Is(err, ErrTime) {
		t.Fatalf("%t, %v", got, err)
	}
	if got, err := x.Holds(Input{Current: doc, Now: noon}); got || !errors.Is(err, ErrBusy) && !errors.Is(err, ErrTime) {
		t.Errorf("while it is busy: %t, %v", got, err)
	}
}

func TestExpression_survivesAPanicOfTheEngine(t *testing.T) {
	x, err := Compile("%current.exists()")
	if err != nil {
		t.Fatal(err)
	}
	was := functions["exists"]
	defer func() { functions["exists"] = was }()
	broken := was
	broken.Fn = nil
	functions["exists"] = broken
	x.limit = time.Minute
	if got, err := x.Holds(Input{Current: document(t, `{"resourceType":"Basic"}`), Now: noon}); got || err == nil || !strings.Contains(err.Error(), "panic") {
		t.Errorf("%t, %v", got, err)
	}
	functions["exists"] = was
	if got, err := x.Holds(Input{Current: document(t, `{"resourceType":"Basic"}`), Now: noon}); !got || err != nil {
		t.Errorf("afterwards: %t, %v", got, err)
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{
		"%current.active", "name.where(family = 'x').exists() and %previous.empty()", "1 'mg' + 2 'kg' > 3 'g'",
		"name.given[0].substring(1, 2) in ('a' | 'b')", "@2020-01-01T00:00:00Z < now() - 3 days", "iif(a is Quantity, a as Quantity, {}).value",
	} {
		f.Add(s)
	}
	doc := document(f, `{"resourceType":"Patient","id":"x","active":true,"name":[{"family":"x","given":["y"]}],"a":1.5,"multipleBirthInteger":2}`)
	f.Fuzz(func(t *testing.T, text string) {
		x, err := Compile(text)
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" {
				t.Fatal("no reason")
			}
			return
		}
		x.limit = 10 * time.Second
		if _, err = x.Holds(Input{Current: doc, Previous: doc, Now: noon}); errors.Is(err, ErrTime) {
			t.Fatal(err)
		}
	})
}
