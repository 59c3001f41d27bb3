package app

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// maxDefinitionFile is how large a file of search parameters may be, in bytes.
const maxDefinitionFile = 64 << 20

// definitionFile is where a definition stands, for whoever has to mend it.
type definitionFile struct {
	name string
	def  criteria.Definition
}

// loadDefinitions puts the search parameters in a folder ("" for none) beside R4's: SearchParameter resources
// in .json files, alone or in Bundles, and one a line in .ndjson files, in the folder and below it. Like those
// that clients write they count if they are active. Every problem of every file is added to wrong.
func loadDefinitions(folder string, wrong *problems, log *slog.Logger) *criteria.Definitions {
	if folder == "" {
		return criteria.R4()
	}
	l := &definitionLoader{wrong: wrong, log: log}
	root, err := os.OpenRoot(folder)
	if err != nil {
		wrong.add("--search-parameters: %w", err)
		return criteria.R4()
	}
	defer func() { _ = root.Close() }() // it was only read
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name != "." && strings.HasPrefix(entry.Name(), "."):
			if entry.IsDir() {
				return fs.SkipDir
			}
		case !entry.IsDir():
			l.file(root, folder, name)
		}
		return nil
	})
	if err != nil {
		wrong.add("--search-parameters: %w", err)
	}
	defs := make([]criteria.Definition, len(l.found))
	for i := range l.found {
		defs[i] = l.found[i].def
	}
	table, rejected := criteria.R4().Extend(defs, nil)
	for _, r := range rejected {
		for _, p := range r.Problems {
			l.problem(l.found[r.Index].name, p)
		}
	}
	log.Info("search.parameters.loaded", "folder", folder, "active", len(l.found)-len(rejected), "inactive", l.inactive, "other", l.other)
	return table
}

type definitionLoader struct {
	wrong    *problems
	log      *slog.Logger
	found    []definitionFile
	inactive int
	other    int // resources of other types
}

func (l *definitionLoader) problem(name string, err error) {
	l.wrong.add("--search-parameters: %s: %w", name, err)
}

func (l *definitionLoader) file(root *os.Root, folder, name string) {
	shown := filepath.Join(folder, filepath.FromSlash(name))
	ext := strings.ToLower(filepath.Ext(name))
	if ext != ".json" && ext != ".ndjson" || filepath.Base(name) == "package.json" {
		return
	}
	switch info, err := root.Stat(name); {
	case err != nil:
		l.problem(shown, err)
		return
	case info.Size() > maxDefinitionFile:
		l.problem(shown, fmt.Errorf("it is larger than %d bytes", maxDefinitionFile))
		return
	}
	content, err := root.ReadFile(name)
	if err != nil {
		l.problem(shown, err)
		return
	}
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	if ext == ".json" {
		l.resource(shown, content)
		return
	}
	n := 0
	for line := range bytes.Lines(content) {
		n++
		if line = bytes.TrimSpace(line); len(line) > 0 {
			l.resource(fmt.Sprintf("%s:%d", shown, n), line)
		}
	}
}

func (l *definitionLoader) resource(name string, content []byte) {
	in, err := fhir.Read(content, 0)
	if err != nil {
		l.problem(name, err)
		return
	}
	l.take(name, in.Doc.Root())
}

// take takes in a resource, and those in a Bundle.
func (l *definitionLoader) take(name string, root tape.Node) {
	switch of := fhir.Type(root.Get("resourceType").Text()); {
	case of == "Bundle":
		i := -1
		for entry := range root.Get("entry").Elements() {
			i++
			at := fmt.Sprintf("%s: Bundle.entry[%d].resource", name, i)
			inner := entry.Get("resource")
			if inner.Kind() != tape.Object {
				l.problem(at, errors.New("is missing"))
				continue
			}
			if t := fhir.Type(inner.Get("resourceType").Text()); !t.Known() {
				l.problem(at, fmt.Errorf("%q is not a resource type of FHIR R4", t))
				continue
			}
			l.take(at, inner)
		}
	case of != fhir.SearchParameter:
		l.other++
	case !criteria.InForce(root):
		l.inactive++
		l.log.Warn("a search parameter of the folder has no effect, for it is not active", "file", name, "status", root.Get("status").Text())
	default:
		def, found := criteria.ReadDefinition(root)
		for _, p := range found {
			l.problem(name, p)
		}
		if len(found) == 0 {
			l.found = append(l.found, definitionFile{name, def})
		}
	}
}
