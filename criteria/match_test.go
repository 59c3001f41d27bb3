package criteria

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

var testEnv = Env{
	Now:   time.Date(2026, 8, 22, 12, 0, 0, 0, time.UTC),
	Bases: []string{"https://clinic.example/fhir/R4"},
}

// resource wraps JSON that needs no stamp.
func resource(tb testing.TB, json string) *fhir.Resource {
	tb.Helper()
	doc, err := tape.Parse([]byte(json), 0)
	if err != nil {
		tb.Fatalf("%s: %v", json, err)
	}
	root := doc.Root()
	return &fhir.Resource{
		Key:  fhir.Key{Tenant: fhir.DefaultTenant, Type: fhir.Type(root.Get("resourceType").Text()), ID: root.Get("id").Text()},
		JSON: doc.Bytes(),
	}
}

func query(tb testing.TB, expression string) *Query {
	tb.Helper()
	q, err := Parse(expression, R4())
	if err != nil {
		tb.Fatalf("Parse(%q): %v", expression, err)
	}
	return q
}

func matches(tb testing.TB, expression, json string) bool {
	tb.Helper()
	return query(tb, expression).Match(resource(tb, json), testEnv)
}

// rows reads a table of testdata; lines that begin with # are comments.
func rows(tb testing.TB, file string) [][]string {
	tb.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	var out [][]string
	for line := range strings.Lines(string(content)) {
		line = strings.TrimSuffix(line, "\n")
		if line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, strings.Split(line, "\t"))
		}
	}
	return out
}

// TestQuery_truthTable holds each row of testdata/match.tsv against its resource, and against what is
// printed and parsed again.
func TestQuery_truthTable(t *testing.T) {
	for _, row := range rows(t, "testdata/match.tsv") {
		if len(row) != 3 {
			t.Fatalf("%q has not three columns", row)
		}
		want := map[string]bool{"yes": true, "no": false}[row[0]]
		if row[0] != "yes" && row[0] != "no" {
			t.Fatalf("verdict %q", row[0])
		}
		q := query(t, row[1])
		r := resource(t, row[2])
		if got := q.Match(r, testEnv); got != want {
			t.Errorf("%s on %s: %v, want %v", row[1], row[2], got, want)
		}
		again := query(t, q.String())
		if again.String() != q.String() {
			t.Errorf("%s prints as %s and then as %s", row[1], q, again)
		}
		if got := again.Match(r, testEnv); got != want {
			t.Errorf("%s, printed as %s, on %s: %v, want %v", row[1], q, row[2], got, want)
		}
	}
}

// TestParse_refuses holds each row of testdata/refused.tsv: kind, where it points, a part of its text.
func TestParse_refuses(t *testing.T) {
	kinds := map[string]fhir.Kind{"not-supported": fhir.NotSupported, "value": fhir.Value, "required": fhir.Required, "invalid": fhir.Invalid, "too-costly": fhir.TooCostly}
	for _, row := range rows(t, "testdata/refused.tsv") {
		q, err := Parse(row[0], R4())
		if err == nil {
			t.Errorf("%s is accepted as %s", row[0], q)
			continue
		}
		e, ok := errors.AsType[*fhir.Error](err)
		if !ok {
			t.Errorf("%s: %T, want a *fhir.Error", row[0], err)
			continue
		}
		if e.Kind != kinds[row[1]] || e.Expression != row[2] || !strings.Contains(e.Diagnostic, row[3]) {
			t.Errorf("%s: kind %d at %q: %s; want %s at %q with %q", row[0], e.Kind, e.Expression, e.Diagnostic, row[1], row[2], row[3])
		}
	}
}

func TestParse_namesEveryWrongParameter(t *testing.T) {
	_, err := Parse("Patient?nmae=x&birthdate=soon&gender:exact=male&name=ok", R4())
	e, ok := errors.AsType[*fhir.Error](err)
	if !ok || e.Expression != "http.nmae" || len(e.More) != 2 || e.More[0].Expression != "http.birthdate" || e.More[1].Expression != "http.gender" {
		t.Fatalf("%#v", err)
	}
}

func TestDate_prefixTable(t *testing.T) {
	names := []string{"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"}
	for _, row := range rows(t, "testdata/date.tsv") {
		if len(row) != 10 {
			t.Fatalf("%q has not ten columns", row)
		}
		json := `{"resourceType":"Observation","effectiveDateTime":"` + row[1] + `"}`
		if start, stop, period := strings.Cut(row[1], ".."); period {
			json = periodJSON(strings.TrimSpace(start), strings.TrimSpace(stop))
		}
		for i, prefix := range names {
			value := strings.ReplaceAll(row[0], "+", "%2B")
			if row[2+i] == "!" {
				continue
			}
			if got, want := matches(t, "Observation?date="+prefix+value, json), row[2+i] == "Y"; got != want {
				t.Errorf("%s%s on %s: %v, want %v", prefix, row[0], row[1], got, want)
			}
		}
		if row[2] != "!" && matches(t, "Observation?date="+strings.ReplaceAll(row[0], "+", "%2B"), json) != (row[2] == "Y") {
			t.Errorf("%s without a prefix on %s is not eq", row[0], row[1])
		}
	}
}

func periodJSON(start, stop string) string {
	var members []string
	if start != "" {
		members = append(members, `"start":"`+start+`"`)
	}
	if stop != "" {
		members = append(members, `"end":"`+stop+`"`)
	}
	return `{"resourceType":"Observation","effectivePeriod":{` + strings.Join(members, ",") + `}}`
}

func TestNumber_prefixTable(t *testing.T) {
	names := []string{"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"}
	for _, row := range rows(t, "testdata/number.tsv") {
		if len(row) != 11 {
			t.Fatalf("%q has not eleven columns", row)
		}
		probability := `"probabilityDecimal":` + row[1]
		quantity := `"valueQuantity":{"value":` + row[1] + `,"code":"mg"}`
		low, high, isRange := strings.Cut(row[1], "..")
		if isRange {
			probability = `"probabilityRange":` + rangeJSON(low, high)
			quantity = ""
		}
		for i, prefix := range names {
			if row[2+i] == "!" {
				continue
			}
			want := row[2+i] == "Y"
			number := `{"resourceType":"RiskAssessment","prediction":[{` + probability + `}]}`
			if got := matches(t, "RiskAssessment?probability="+prefix+row[0], number); got != want {
				t.Errorf("%s%s on %s: %v, want %v", prefix, row[0], row[1], got, want)
			}
			if quantity == "" {
				continue
			}
			observation := `{"resourceType":"Observation",` + quantity + `}`
			if got := matches(t, "Observation?value-quantity="+prefix+row[0]+"||mg", observation); got != want {
				t.Errorf("quantity %s%s on %s: %v, want %v", prefix, row[0], row[1], got, want)
			}
		}
	}
}

func rangeJSON(low, high string) string {
	var members []string
	if low != "" {
		members = append(members, `"low":{"value":`+low+`}`)
	}
	if high != "" {
		members = append(members, `"high":{"value":`+high+`}`)
	}
	return "{" + strings.Join(members, ",") + "}"
}

// A tenth of the way from now to the date, on both sides.
func TestDate_approximately(t *testing.T) {
	for _, tt := range []struct {
		value, at string
		want      bool
	}{
		{"2026-08-12T12:00:00Z", "2026-08-11T12:00:00Z", true}, // 10 days ago, so a day
		{"2026-08-12T12:00:00Z", "2026-08-11T11:59:59Z", false},
		{"2026-08-12T12:00:00Z", "2026-08-13T12:00:00Z", true},
		{"2026-08-12T12:00:00Z", "2026-08-13T12:00:05Z", false},
		{"2026-09-01T12:00:00Z", "2026-08-31T12:00:00Z", true},
		{"2026-09-01T12:00:00Z", "2026-08-31T11:59:00Z", false},
		{"2026-08-22", "2026-08-22T00:00:00Z", true}, // now itself
		{"2026-08-22", "2026-08-23T00:00:00Z", false},
	} {
		json := `{"resourceType":"Observation","effectiveDateTime":"` + tt.at + `"}`
		if got := matches(t, "Observation?date=ap"+tt.value, json); got != tt.want {
			t.Errorf("ap%s on %s: %v, want %v", tt.value, tt.at, got, tt.want)
		}
	}
}

func TestDate_zoneOfTheServer(t *testing.T) {
	env := testEnv
	env.Zone = time.FixedZone("", 2*3600)
	r := resource(t, `{"resourceType":"Observation","effectiveDateTime":"2013-01-13T22:30:00Z"}`)
	if !query(t, "Observation?date=2013-01-14").Match(r, env) {
		t.Error("half past midnight local time is not on that day")
	}
	if query(t, "Observation?date=2013-01-14").Match(r, testEnv) {
		t.Error("half past ten in the evening UTC is on the next day")
	}
	if !query(t, "Observation?date=2013-01-13T22:30Z").Match(r, env) {
		t.Error("a zone in the value does not count")
	}
}

func TestQuery_neverFindsDeleted(t *testing.T) {
	r := &fhir.Resource{Key: fhir.Key{Type: "Patient", ID: "1"}, Deleted: true}
	for _, expression := range []string{"Patient", "[*]", "Patient?name:missing=true", "Patient?gender:not=male"} {
		if query(t, expression).Match(r, testEnv) {
			t.Errorf("%s finds a tombstone", expression)
		}
	}
}
