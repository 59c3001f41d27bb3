package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSBOM_listsEveryModuleOfTheBinary builds the binary and compares what it says of itself with what the go command finds
// among the packages that it is made of.
func TestSBOM_listsEveryModuleOfTheBinary(t *testing.T) {
	t.Parallel()
	command := func(name string, args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), name, args...).Output()
		if err != nil {
			t.Fatalf("%s %v: %v", name, args, err)
		}
		return string(out)
	}
	binary := filepath.Join(t.TempDir(), "fhirhook")
	command("go", "build", "-o", binary, ".")
	listed := strings.Fields(command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}@{{.Version}}{{end}}{{end}}", "."))
	slices.Sort(listed)
	want := append(slices.Compact(listed), "std@"+strings.TrimPrefix(runtime.Version(), "go"))

	first := command(binary, "version", "--sbom")
	var got struct {
		BOMFormat, SpecVersion string
		Components             []struct{ Name, Version, PURL, Type string }
		Dependencies           []struct{ DependsOn []string }
	}
	if err := json.Unmarshal([]byte(first), &got); err != nil {
		t.Fatal(err)
	}
	var found, refs []string
	for _, c := range got.Components {
		found = append(found, c.Name+"@"+c.Version)
		refs = append(refs, c.PURL)
		if c.Type != "library" || !strings.HasPrefix(c.PURL, "pkg:golang/") {
			t.Errorf("component %+v", c)
		}
	}
	slices.Sort(found)
	slices.Sort(want)
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("modules (-linked +listed):\n%s", diff)
	}
	if got.BOMFormat != "CycloneDX" || got.SpecVersion != "1.6" || len(got.Dependencies) != 1 || cmp.Diff(refs, got.Dependencies[0].DependsOn) != "" {
		t.Errorf("%s %s, dependencies %v", got.BOMFormat, got.SpecVersion, got.Dependencies)
	}
	if second := command(binary, "version", "--sbom"); second != first {
		t.Error("the same binary has two lists")
	}
}

func TestSBOM_tellsReplacedModules(t *testing.T) {
	t.Parallel()
	b := newSBOM(&debug.BuildInfo{
		GoVersion: "go1.26.8", Main: debug.Module{Path: "fhirhook"},
		Deps: []*debug.Module{{Path: "example.org/Old", Version: "v1.0.0", Replace: &debug.Module{Path: "example.org/New", Version: "v2.0.0+incompatible", Sum: "h1:x"}}},
	}, "v1")
	want := sbomComponent{
		Ref: "pkg:golang/example.org/new@v2.0.0%2Bincompatible", Type: "library", Name: "example.org/New", Version: "v2.0.0+incompatible",
		PURL: "pkg:golang/example.org/new@v2.0.0%2Bincompatible", Scope: "required",
		Properties: []sbomProperty{{"go:replaces", "example.org/Old@v1.0.0"}, {"go:sum", "h1:x"}},
	}
	if diff := cmp.Diff(want, b.Components[1]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
