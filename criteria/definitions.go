package criteria

import (
	"errors"
	"iter"
	"maps"
	"slices"
	"strconv"

	"fhirhook/criteria/fhirpath"
	"fhirhook/fhir"
)

// Definitions is a table of search parameters by type and code.
type Definitions struct {
	params map[fhir.Type]map[string]*Param
	byURL  map[fhir.Type]map[string]*Param
}

// Param finds a parameter of a type by its code, those of Resource and DomainResource included.
func (d *Definitions) Param(t fhir.Type, code string) (*Param, bool) {
	p, ok := d.params[t][code]
	return p, ok
}

// Params yields all parameters of a type in order of code.
func (d *Definitions) Params(t fhir.Type) iter.Seq[*Param] {
	codes := slices.Sorted(maps.Keys(d.params[t]))
	return func(yield func(*Param) bool) {
		for _, code := range codes {
			if !yield(d.params[t][code]) {
				return
			}
		}
	}
}

// Compile makes a parameter for one type of a definition; the parts of its expression that begin with
// another resource type are left out. The definitions of a composite's components are looked up in d.
// An error is a *fhir.Error that says which part of the expression is not supported.
func (d *Definitions) Compile(t fhir.Type, def Definition) (*Param, error) {
	var tree *fhirpath.Expr
	if def.Expression != "" {
		var err error
		if tree, err = parseExpression(def.Expression); err != nil {
			return nil, err
		}
	}
	return d.compile(t, &def, tree)
}

func parseExpression(expression string) (*fhirpath.Expr, error) {
	tree, err := fhirpath.Parse(expression)
	if err != nil {
		return nil, refuse(expression, err.Error())
	}
	return tree, nil
}

func refuse(expression, reason string) error {
	return fhir.Errorf(fhir.BusinessRule, "SearchParameter.expression", "%s (in %.200q)", reason, expression)
}

func (d *Definitions) compile(t fhir.Type, def *Definition, tree *fhirpath.Expr) (*Param, error) {
	p := &Param{
		Code: def.Code, Kind: def.Kind, URL: def.URL, Type: t, Usage: def.Usage, Targets: def.Targets,
	}
	if tree == nil {
		return p, nil
	}
	own, err := compileParts(string(t), def.Expression, tree)
	if err != nil {
		return nil, err
	}
	p.Expression, p.paths = own.text, own.paths
	for i, c := range def.Components {
		path := "SearchParameter.component[" + strconv.Itoa(i) + "]"
		governing, ok := d.byURL[t][c.URL]
		if !ok {
			return nil, fhir.Errorf(fhir.BusinessRule, path+".definition",
				"%s is not a search parameter of %s here", c.URL, t)
		}
		paths, err := compileComponent(own.foci, string(t), c.Expression)
		if e, ok := errors.AsType[*fhir.Error](err); ok {
			e.Expression = path + ".expression"
		}
		if err != nil {
			return nil, err
		}
		p.Components = append(p.Components, Component{Param: governing, Expression: c.Expression, paths: paths})
	}
	return p, nil
}

func (d *Definitions) add(p *Param) {
	if d.params[p.Type] == nil {
		d.params[p.Type], d.byURL[p.Type] = map[string]*Param{}, map[string]*Param{}
	}
	d.params[p.Type][p.Code] = p
	d.byURL[p.Type][p.URL] = p
}
