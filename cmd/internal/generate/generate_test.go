package main

import (
	"archive/tar"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// definitions is a package in miniature, with one of each thing that the tables treat specially.
var definitions = map[string]string{
	"StructureDefinition-Thing.json": `{"name":"Thing","kind":"resource","derivation":"specialization",
"baseDefinition":"http://hl7.org/fhir/StructureDefinition/DomainResource","snapshot":{"element":[{"path":"Thing"},
{"path":"Thing.id","max":"1","base":{"path":"Resource.id"},"type":[{"code":"x"}]},
{"path":"Thing.value[x]","max":"1","base":{"path":"Thing.value[x]"},"type":[{"code":"string"},{"code":"Quantity"}]},
{"path":"Thing.part","min":1,"max":"*","base":{"path":"Thing.part"},"type":[{"code":"BackboneElement"}]},
{"path":"Thing.part.state","max":"1","base":{"path":"Thing.part.state"},"type":[{"code":"code"}],"binding":{"strength":"required","valueSet":"http://hl7.org/fhir/ValueSet/states|4.0.1"}},
{"path":"Thing.part.mixed","max":"1","base":{"path":"Thing.part.mixed"},"type":[{"code":"code"}],"binding":{"strength":"required","valueSet":"http://hl7.org/fhir/ValueSet/mixed"}},
{"path":"Thing.part.part","max":"*","base":{"path":"Thing.part.part"},"contentReference":"#Thing.part"}]}}`,
	"StructureDefinition-Profile.json": `{"name":"Profile","kind":"resource","derivation":"constraint"}`,
	"StructureDefinition-code.json":    `{"name":"code","kind":"primitive-type","baseDefinition":"http://hl7.org/fhir/StructureDefinition/string","snapshot":{"element":[{"path":"code"}]}}`,
	"StructureDefinition-Resource.json": `{"name":"Resource","kind":"resource","abstract":true,"snapshot":{"element":[{"path":"Resource"},
{"path":"Resource.id","max":"1","base":{"path":"Resource.id"},"type":[{"code":"http://hl7.org/fhirpath/System.String"}]},
{"path":"Resource.url","max":"1","base":{"path":"Resource.url"},"type":[{"code":"http://hl7.org/fhirpath/System.String","extension":[{"url":"http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type","valueUrl":"uri"}]}]}]}}`,
	"ValueSet-states.json": `{"url":"http://hl7.org/fhir/ValueSet/states","compose":{"include":[{"system":"urn:s"},{"valueSet":["http://hl7.org/fhir/ValueSet/more"]}]}}`,
	"ValueSet-more.json":   `{"url":"http://hl7.org/fhir/ValueSet/more","compose":{"include":[{"system":"urn:s"}]}}`,
	"CodeSystem-s.json":    `{"url":"urn:s","content":"complete","concept":[{"code":"b"},{"code":"a","concept":[{"code":"a 1"}]}]}`,
	"CodeSystem-t.json":    `{"url":"urn:t","content":"not-present"}`,
	"ValueSet-mixed.json":  `{"url":"http://hl7.org/fhir/ValueSet/mixed","compose":{"include":[{"system":"urn:s"},{"system":"urn:t"}]}}`,
	"SearchParameter-b.json": `{"id":"DocumentReference-relationship","url":"http://hl7.org/fhir/SearchParameter/DocumentReference-relationship","code":"r","base":["Thing"],"type":"composite",
"expression":"Thing.part\n | Thing","xpathUsage":"normal","extension":[{"url":"http://hl7.org/fhir/StructureDefinition/structuredefinition-standards-status"}],
"component":[{"definition":"http://hl7.org/fhir/SearchParameter/one","expression":"1"},{"definition":"http://hl7.org/fhir/SearchParameter/two","expression":"2"}]}`,
	"SearchParameter-a.json": `{"id":"example","url":"http://hl7.org/fhir/SearchParameter/example","base":["Thing"]}`,
}

func write(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range definitions {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// rows is a table without its comments.
func rows(table []byte) []string {
	var out []string
	for line := range strings.Lines(string(table)) {
		if !strings.HasPrefix(line, "# ") {
			out = append(out, strings.TrimSuffix(line, "\n"))
		}
	}
	return out
}

func TestElementTable(t *testing.T) {
	t.Parallel()
	table, err := elementTable(write(t))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"Resource\tabstract\t", "\tid\t0\t1\tid", "\turl\t0\t1\turi",
		"Thing\tresource\tDomainResource", "\tvalue[x]\t0\t1\tstring|Quantity", "\tpart\t1\t*\t#Thing.part",
		"Thing.part\tnested\tBackboneElement", "\tstate\t0\t1\tcode\tstates", "\tmixed\t0\t1\tcode\tmixed", "\tpart\t0\t*\t#Thing.part",
		"code\tprimitive\tstring",
		"=\tstates\turn:s",
	}
	if diff := cmp.Diff(want, rows(table)); diff != "" {
		t.Error(diff)
	}
}

// TestCodeTable leaves out the set that draws on a system that isn't there in full.
func TestCodeTable(t *testing.T) {
	t.Parallel()
	table, err := codeTable(write(t))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"states\turn:s\ta\ta 1\tb"}, rows(table)); diff != "" {
		t.Error(diff)
	}
}

func TestParameterTable(t *testing.T) {
	t.Parallel()
	table, err := parameterTable(write(t))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"DocumentReference-relationship\tr\tcomposite\tnormal\tThing\tThing.part | Thing\t\tone=2\ttwo=1"}
	if diff := cmp.Diff(want, rows(table)); diff != "" {
		t.Error(diff)
	}
}

func TestTables_needThePackage(t *testing.T) {
	t.Parallel()
	if _, err := elementTable(t.TempDir()); err == nil || !strings.Contains(err.Error(), "holds no StructureDefinition") {
		t.Errorf("an empty folder gave %v", err)
	}
}

// TestUnpack_staysInItsFolder: only files directly in package/ are written.
func TestUnpack_staysInItsFolder(t *testing.T) {
	t.Parallel()
	temp := t.TempDir()
	archive := filepath.Join(temp, "a.tgz")
	f, err := os.Create(archive)
	if err != nil {
		t.Fatal(err)
	}
	zip := gzip.NewWriter(f)
	files := tar.NewWriter(zip)
	for _, name := range []string{"package/package.json", "package/../out.json", "package/other/x.json", "x.json"} {
		if err := files.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: 2, Mode: 0o600}); err != nil {
			t.Fatal(err)
		}
		if _, err := files.Write([]byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []interface{ Close() error }{files, zip, f} {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	folder := filepath.Join(temp, "into", "package")
	if err := unpack(archive, folder); err != nil {
		t.Fatal(err)
	}
	var got []string
	err = filepath.WalkDir(temp, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			got = append(got, strings.TrimPrefix(filepath.ToSlash(path), filepath.ToSlash(temp)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/a.tgz", "/into/package/package.json"}, got); diff != "" {
		t.Error(diff)
	}
}
