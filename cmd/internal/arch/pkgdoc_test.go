package arch_test

import (
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

// TestArch_everyPackageSaysWhatItIsFor wants exactly one package comment, of more than a line's worth.
func TestArch_everyPackageSaysWhatItIsFor(t *testing.T) {
	t.Parallel()
	for pkg, files := range packages(t) {
		var comments []string
		for _, file := range files {
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if f.Doc != nil {
				comments = append(comments, f.Doc.Text())
			}
		}
		switch {
		case len(comments) != 1:
			t.Errorf("%s has %d package comments, want 1", pkg, len(comments))
		case len(strings.Fields(comments[0])) < 12:
			t.Errorf("%s: the package comment is too short to start from: %q", pkg, comments[0])
		}
	}
}
