package criteria

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"fhirhook/criteria/fhirpath"
	"fhirhook/fhir"
	"fhirhook/fhir/schema"
)

// Rejected says why a definition could not be used.
type Rejected struct {
	Index    int // among the definitions given
	Problems []*fhir.Error
}

// Err is the problems as one error.
func (r Rejected) Err() error { return fhir.Join(r.Problems) }

// Extend returns d with further definitions, and those that can't be used, which have no effect at all. d is
// not changed, and the types that no definition concerns are shared with it.
//
// A definition takes the place of one with its own url. A code that another url has taken on a type is
// refused, unless both say the same. Between the definitions given, those in front win; composites come
// behind all others, so that their components may be among them.
//
// last is an earlier extension of d, or nil: a Param that is the same in it is taken from there, so that
// pointers tell what a new definition changes.
func (d *Definitions) Extend(defs []Definition, last *Definitions) (*Definitions, []Rejected) {
	if len(defs) == 0 {
		return d, nil
	}
	x := &extending{
		out:  &Definitions{params: maps.Clone(d.params), byURL: maps.Clone(d.byURL)},
		last: last, own: map[fhir.Type]bool{}, from: map[*Param]int{},
	}
	var rejected []Rejected
	for _, composite := range []bool{false, true} {
		for i := range defs {
			if composite != (defs[i].Kind == Composite) {
				continue
			}
			if problems := x.add(i, &defs[i]); len(problems) > 0 {
				rejected = append(rejected, Rejected{i, problems})
			}
		}
	}
	slices.SortFunc(rejected, func(a, b Rejected) int { return a.Index - b.Index })
	return x.out, rejected
}

// extending is a table being made of another.
type extending struct {
	out  *Definitions
	last *Definitions
	own  map[fhir.Type]bool // the types whose maps are out's own
	from map[*Param]int     // which definition a parameter stems from
}

// add puts a definition in for all its bases, or nothing.
func (x *extending) add(index int, def *Definition) []*fhir.Error {
	var tree *fhirpath.Expr
	if def.Expression != "" {
		var err error
		if tree, err = parseExpression(def.Expression); err != nil {
			return []*fhir.Error{refusal(err)}
		}
	}
	var params []*Param
	var problems []*fhir.Error
	for _, base := range def.Bases {
		p, err := x.out.compile(base, def, tree)
		if err != nil {
			problems = addProblem(problems, refusal(err))
			continue
		}
		if err := p.check(); err != nil {
			problems = addProblem(problems, err)
			continue
		}
		for _, t := range concrete(base) {
			own := *p
			own.Type = t
			use, err := x.place(index, &own)
			if err != nil {
				problems = addProblem(problems, err)
				break
			}
			params = append(params, use)
		}
	}
	if len(problems) > 0 {
		return problems
	}
	for _, p := range params {
		x.put(index, def.URL, p)
	}
	return nil
}

func refusal(err error) *fhir.Error {
	if e, ok := errors.AsType[*fhir.Error](err); ok {
		return e
	}
	return fhir.Errorf(fhir.BusinessRule, "SearchParameter", "%v", err)
}

// addProblem keeps what is wrong on several bases from being told for each.
func addProblem(problems []*fhir.Error, e *fhir.Error) []*fhir.Error {
	if slices.ContainsFunc(problems, func(p *fhir.Error) bool {
		return p.Diagnostic == e.Diagnostic && p.Expression == e.Expression
	}) {
		return problems
	}
	return append(problems, e)
}

// place finds out whether a parameter may take its code on its type, and returns the one to use.
func (x *extending) place(index int, p *Param) (*Param, *fhir.Error) {
	taken, ok := x.out.params[p.Type][p.Code]
	if other, named := x.out.byURL[p.Type][p.URL]; named && other.Code != p.Code && other.URL == p.URL {
		return nil, fhir.Errorf(fhir.BusinessRule, "SearchParameter.url",
			"%s is the url of %s's parameter %s: to replace that, use its code; to define another, use another url", p.URL, p.Type, other.Code)
	}
	switch {
	case ok && p.sameMeaning(taken):
		return taken, nil
	case ok && taken.URL != p.URL:
		return nil, fhir.Errorf(fhir.BusinessRule, "SearchParameter.code",
			"%s has a search parameter %s already (%s): choose another code, or replace that one by taking over its url", p.Type, p.Code, taken.URL)
	case ok:
		if by, fresh := x.from[taken]; fresh && by != index {
			return nil, fhir.Errorf(fhir.BusinessRule, "SearchParameter.url",
				"another SearchParameter with the url %s defines %s of %s: change that one, or use another url", p.URL, p.Code, p.Type)
		}
	case strings.HasPrefix(p.Code, "_"):
		return nil, fhir.Errorf(fhir.BusinessRule, "SearchParameter.code",
			"codes that begin with _ are for FHIR itself, and it has no %s: choose another code", p.Code)
	}
	if x.last != nil {
		if old, ok := x.last.params[p.Type][p.Code]; ok && old.Fingerprint() == p.Fingerprint() {
			return old, nil
		}
	}
	return p, nil
}

func (x *extending) put(index int, url string, p *Param) {
	if !x.own[p.Type] {
		x.own[p.Type] = true
		x.out.params[p.Type], x.out.byURL[p.Type] = maps.Clone(x.out.params[p.Type]), maps.Clone(x.out.byURL[p.Type])
		if x.out.params[p.Type] == nil {
			x.out.params[p.Type], x.out.byURL[p.Type] = map[string]*Param{}, map[string]*Param{}
		}
	}
	if x.out.params[p.Type][p.Code] != p {
		x.out.params[p.Type][p.Code] = p
		x.from[p] = index
	}
	x.out.byURL[p.Type][url] = p
}

// check refuses a parameter that could never have a value, for searches by it would find nothing in silence.
func (p *Param) check() *fhir.Error {
	if p.Kind == Composite {
		for i := range p.Components {
			c := &p.Components[i]
			at := fmt.Sprintf("SearchParameter.component[%d]", i)
			if c.Param.Kind == Composite {
				return fhir.Errorf(fhir.BusinessRule, at+".definition", "%s is a composite itself: a component must be something else", c.Param.URL)
			}
			if err := usable(c.Param.Kind, c.paths, at+".expression", c.Expression); err != nil {
				return err
			}
		}
		return nil
	}
	return usable(p.Kind, p.paths, "SearchParameter.expression", p.Expression)
}

func usable(k Kind, paths []path, at, expression string) *fhir.Error {
	var types []string
	for i := range paths {
		if k.takes(paths[i].typ) {
			return nil
		}
		if !slices.Contains(types, paths[i].typ) {
			types = append(types, paths[i].typ)
		}
	}
	return fhir.Errorf(fhir.BusinessRule, at, "a %s parameter can't be made of %s, which %.200q selects: choose other elements or another type",
		k, strings.Join(types, " and "), expression)
}

// takes tells whether elements of a FHIR type have values for parameters of the kind (R4 search.html#table).
func (k Kind) takes(typ string) bool {
	t, ok := schema.Lookup(typ)
	if !ok {
		return false
	}
	text := t.Class == schema.Primitive && t.Name != "boolean" && t.Name != "decimal" && !t.Is("integer")
	switch k {
	case Token:
		return text || slices.Contains([]string{"boolean", "CodeableConcept", "Coding", "Identifier", "ContactPoint"}, typ)
	case Reference:
		return t.Is("Resource") || slices.Contains([]string{"Reference", "canonical", "uri", "url"}, typ)
	case String:
		return text || typ == "HumanName" || typ == "Address"
	case URI:
		return text
	case Date:
		return slices.Contains([]string{"date", "dateTime", "instant", "Period", "Timing"}, typ)
	case Number:
		return t.Is("integer") || typ == "decimal" || typ == "Range"
	case Quantity:
		return t.Is("Quantity") || slices.Contains([]string{"SimpleQuantity", "MoneyQuantity", "Money", "Range"}, typ)
	default:
		return false
	}
}
