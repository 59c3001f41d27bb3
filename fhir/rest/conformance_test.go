package rest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestConformance_documentIsTheTable keeps docs/conformance.md and the rules the same; -update writes it.
func TestConformance_documentIsTheTable(t *testing.T) {
	t.Parallel()
	const path = "../../docs/conformance.md"
	var b strings.Builder
	b.WriteString(`# Conformance with R4's RESTful API

<!-- Made from the table in fhir/rest/rules_test.go by: go test ./fhir/rest -run Conformance -update -->

Each row is a rule of [R4](http://hl7.org/fhir/R4/http.html) that a test of its own shows, over HTTP
(` + "`go test ./fhir/rest -run keepsR4sRules`" + `). What is refused, with which status and code, is in status-codes.md.

| clause of R4 | the rule, as this server keeps it |
|---|---|
`)
	rows := slices.Clone(rules)
	slices.SortStableFunc(rows, func(a, b rule) int { return strings.Compare(a.clause, b.clause) })
	for _, r := range rows {
		fmt.Fprintf(&b, "| [%s](http://hl7.org/fhir/R4/%s) | %s |\n", r.clause, r.clause, r.says)
	}
	want := b.String()
	if *rewrite {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil { //nolint:gosec // a document
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("run go test ./fhir/rest -run Conformance -update:\n%s", diff)
	}
}
