package arch_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

var (
	testDeclared = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9_]+)\(`)
	testNamed    = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+)`")
)

// declaredTests finds the names of all tests and fuzz targets, with the files that they are in.
func declaredTests(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for path, text := range testFiles(t) {
		for _, m := range testDeclared.FindAllStringSubmatch(text, -1) {
			found[m[1]] = append(found[m[1]], path)
		}
	}
	return found
}

// TestSecurity_claimsNothingWithoutATest holds docs/SECURITY.md against the tests: each that it names exists, and each test of an
// attack is named.
func TestSecurity_claimsNothingWithoutATest(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(root + "/docs/SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	declared, named := declaredTests(t), map[string]bool{}
	for _, m := range testNamed.FindAllStringSubmatch(string(text), -1) {
		named[m[1]] = true
		if len(declared[m[1]]) == 0 {
			t.Errorf("docs/SECURITY.md names %s, and there is no such test", m[1])
		}
	}
	if len(named) < 60 {
		t.Errorf("only %d tests are named: the search is broken", len(named))
	}
	for name, files := range declared {
		if strings.HasPrefix(name, "TestAttack_") && !named[name] {
			t.Errorf("docs/SECURITY.md does not name %s (%s)", name, files[0])
		}
	}
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(strings.TrimSpace(line), "|"); len(cells) == 5 && !strings.HasPrefix(cells[1], "-") && cells[1] != " threat " && !testNamed.MatchString(cells[3]) {
			t.Errorf("a threat without a test: %s", line)
		}
	}
}
