package schema

import (
	_ "embed" // for r4.tsv
	"strings"
	"sync"
)

//go:embed r4.tsv
var text string

type table struct {
	types  map[string]*Type
	folded map[string]*Type // by lower-case name, nested ones left out
}

var r4 = sync.OnceValue(func() *table { return read(text) })

var classes = map[string]Class{
	"abstract": Abstract, "resource": Resource, "complex": Complex, "primitive": Primitive, "nested": Nested,
}

// read takes the table apart; its columns are told at the top of r4.tsv. The text is ours, so it is not
// checked here but by the package's test.
func read(text string) *table {
	t := &table{types: make(map[string]*Type, 1024), folded: make(map[string]*Type, 256)}
	bases := map[*Type]string{}
	systems := map[string]string{}
	var current *Type
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "# "):
		case strings.HasPrefix(line, "\t"):
			current.Elements = append(current.Elements, readElement(line[1:]))
		case strings.HasPrefix(line, "=\t"):
			set, system, _ := strings.Cut(line[2:], "\t")
			systems[valueSet(set)] = system
		default:
			name, rest, _ := strings.Cut(line, "\t")
			class, base, _ := strings.Cut(rest, "\t")
			current = &Type{Name: name, Class: classes[class]}
			t.types[name] = current
			bases[current] = base
			if current.Class != Nested {
				t.folded[strings.ToLower(name)] = current
			}
		}
	}
	for typ, base := range bases {
		typ.Base = t.types[base]
		for i := range typ.Elements {
			typ.Elements[i].System = systems[typ.Elements[i].ValueSet]
		}
	}
	return t
}

func readElement(row string) Element {
	columns := strings.Split(row, "\t")
	e := Element{Required: columns[1] != "0", Repeats: columns[2] != "1"}
	e.Name, e.Choice = strings.CutSuffix(columns[0], "[x]")
	e.Types = strings.Split(columns[3], "|")
	for i, name := range e.Types {
		e.Types[i] = strings.TrimPrefix(name, "#")
	}
	e.Summary = len(columns) > 5
	if len(columns) > 4 && columns[4] != "" {
		e.ValueSet = valueSet(columns[4])
	}
	return e
}

// valueSet undoes the shortening of HL7's own canonicals.
func valueSet(name string) string {
	if strings.Contains(name, ":") {
		return name
	}
	return "http://hl7.org/fhir/ValueSet/" + name
}
