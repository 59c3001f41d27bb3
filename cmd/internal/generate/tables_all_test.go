//go:build all

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestTables_areWhatThePackageGives: the committed tables are up to date, and made the same each time.
func TestTables_areWhatThePackageGives(t *testing.T) {
	const root = "../../.."
	folder := filepath.Join(root, ".cache/r4/package")
	if _, err := os.Stat(filepath.Join(folder, "package.json")); err != nil {
		t.Fatalf("%v: run `make all-test`, which fetches HL7's package", err)
	}
	tables := map[string]func(string) ([]byte, error){
		"fhir/schema/r4.tsv":    elementTable,
		"fhir/schema/codes.tsv": codeTable,
		"criteria/r4.tsv":       parameterTable,

		"criteria/compartments.tsv": compartmentTable,
	}
	for name, table := range tables {
		first, err := table(folder)
		if err != nil {
			t.Fatal(err)
		}
		second, err := table(folder)
		if err != nil {
			t.Fatal(err)
		}
		committed, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, second) {
			t.Errorf("%s comes out different each time", name)
		}
		if !bytes.Equal(first, committed) {
			t.Errorf("%s is not what `make generate` writes", name)
		}
	}
}
