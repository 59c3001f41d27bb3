package criteria

import (
	_ "embed" // for r4.tsv
	"fmt"
	"strings"
	"sync"

	"fhirhook/criteria/fhirpath"
	"fhirhook/fhir"
	"fhirhook/fhir/schema"
)

//go:generate go run fhirhook/cmd/internal/generate

//go:embed r4.tsv
var r4Text string

// R4 returns the search parameters of R4 (4.0.1), compiled for each concrete type. _text, _content,
// _query and _filter are among them, without an expression; _has, _list and _type, which HL7 does not
// define as resources, are not.
//
// Two of HL7's definitions are taken differently from how they stand: the component expressions of
// DocumentReference's relationship are swapped back (cmd/internal/generate), and names of data types are
// found whatever their case (Observation's code-value-date says DateTime).
var R4 = sync.OnceValue(func() *Definitions {
	d, err := compileTable(readTable(r4Text))
	if err != nil {
		panic(fmt.Sprintf("criteria: r4.tsv: %v", err)) // the table is ours, and a test compiles it
	}
	return d
})

// readTable takes r4.tsv apart; its columns are told at its top.
func readTable(text string) []Definition {
	var defs []Definition
	anyTarget := anyTargets()
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		columns := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		kind, _ := ParseKind(columns[2])
		def := Definition{
			URL: parameterURL(columns[0]), Code: columns[1], Kind: kind, Usage: columns[3],
			Bases: typeList(columns[4]), Expression: columns[5],
		}
		if columns[6] == "*" {
			def.Targets = anyTarget
		} else {
			def.Targets = typeList(columns[6])
		}
		for _, column := range columns[7:] {
			id, expression, _ := strings.Cut(column, "=")
			def.Components = append(def.Components, ComponentDefinition{URL: parameterURL(id), Expression: expression})
		}
		defs = append(defs, def)
	}
	return defs
}

func parameterURL(id string) string { return "http://hl7.org/fhir/SearchParameter/" + id }

func typeList(s string) []fhir.Type {
	if s == "" {
		return nil
	}
	var types []fhir.Type
	for name := range strings.SplitSeq(s, ",") {
		types = append(types, fhir.Type(name))
	}
	return types
}

// anyTargets are the types that a reference to anything may point to: all that can be stored and are
// not mere envelopes of operations.
func anyTargets() []fhir.Type {
	var types []fhir.Type
	for _, t := range fhir.Types() {
		if t != fhir.Parameters {
			types = append(types, t)
		}
	}
	return types
}

// compileTable compiles composites last, for they need their components' definitions.
func compileTable(defs []Definition) (*Definitions, error) {
	d := &Definitions{params: map[fhir.Type]map[string]*Param{}, byURL: map[fhir.Type]map[string]*Param{}}
	for _, composite := range []bool{false, true} {
		for i := range defs {
			if composite != (defs[i].Kind == Composite) {
				continue
			}
			if err := d.compileBases(&defs[i]); err != nil {
				return nil, fmt.Errorf("%s: %w", defs[i].URL, err)
			}
		}
	}
	return d, nil
}

func (d *Definitions) compileBases(def *Definition) error {
	var tree *fhirpath.Expr
	if def.Expression != "" {
		var err error
		if tree, err = parseExpression(def.Expression); err != nil {
			return err
		}
	}
	for _, base := range def.Bases {
		p, err := d.compile(base, def, tree)
		if err != nil {
			return err
		}
		for _, t := range concrete(base) {
			own := *p
			own.Type = t
			d.add(&own)
		}
	}
	return nil
}

// concrete lists the types that a base stands for: itself, or all that are derived from it.
func concrete(base fhir.Type) []fhir.Type {
	if base.Known() {
		return []fhir.Type{base}
	}
	var types []fhir.Type
	for _, t := range fhir.Types() {
		if s, ok := schema.Lookup(string(t)); ok && s.Is(string(base)) {
			types = append(types, t)
		}
	}
	return types
}
