package arch_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// allowedTop are the only entries at the top of the tree, dot files aside.
var allowedTop = []string{
	"CHANGELOG.md", "LICENSE", "Makefile", "README.md", "channel", "cmd", "criteria", "docs", "fhir",
	"go.mod", "go.sum", "subscription", "testdata", "tools.mod", "tools.sum",
	"bin", "data", "bench", // made by targets, ignored by git
}

func TestArch_topLevelHoldsNothingElse(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(allowedTop, e.Name()) {
			t.Errorf("unexpected top-level entry %s", e.Name())
		}
	}
}

// TestArch_noTestIsSkipped keeps promises from rotting silently: a test that can't run somewhere belongs
// behind a build tag whose target fails without its needs.
func TestArch_noTestIsSkipped(t *testing.T) {
	t.Parallel()
	skip := "t" + ".Skip"
	for path, text := range testFiles(t) {
		n := 0
		for line := range strings.Lines(text) {
			if n++; strings.Contains(line, skip) {
				t.Errorf("%s:%d skips a test", path, n)
			}
		}
	}
}

// testFiles are the texts of all files with tests, by their paths.
func testFiles(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && path != root && strings.HasPrefix(entry.Name(), ".") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		found[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
