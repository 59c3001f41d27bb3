package criteria

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"fhirhook/criteria/fhirpath"
	"fhirhook/fhir/schema"
)

// Bounds on hostile expressions, far above what any sensible one needs: conditions inside chains of open
// choices would multiply.
const (
	maxPaths = 512  // alternatives
	maxWork  = 5000 // parts compiled, each counted once for every type that its context may have
)

// compiler turns one expression into paths, relative to its context.
type compiler struct {
	context []partial
	root    *schema.Type // what %resource is
	foreign bool         // a part began with another resource type
	inner   bool         // this is about the elements that a condition judges, not about the whole
	work    *int         // parts compiled so far
}

// compiled is an expression as it concerns one resource type.
type compiled struct {
	text  string // the parts that concern it
	paths []path
	foci  []*schema.Type // what the paths lead to
}

// compileParts compiles those top-level parts of an expression that concern the type.
func compileParts(typ, expression string, tree *fhirpath.Expr) (compiled, error) {
	root, ok := schema.Lookup(typ)
	if !ok || root.Class != schema.Resource && root.Class != schema.Abstract {
		return compiled{}, refuse(expression, typ+" is not a resource type")
	}
	var out compiled
	var texts []string
	var ends []partial
	for _, part := range tree.Parts() {
		c := &compiler{context: []partial{{at: root, path: path{typ: typ}}}, root: root, work: new(int)}
		ps, err := c.top(part)
		if err != nil {
			return compiled{}, refuse(expression, err.Error())
		}
		if c.foreign {
			continue
		}
		texts = append(texts, expression[part.Start:part.End])
		ends = append(ends, ps...)
	}
	if len(ends) == 0 {
		return compiled{}, refuse(expression, "no part of the expression is about "+typ)
	}
	out.text = strings.Join(texts, " | ")
	out.paths, out.foci = finish(ends)
	return out, nil
}

// compileComponent compiles an expression relative to any of the foci. One that is not found in some of
// them is only looked for in the others.
func compileComponent(foci []*schema.Type, typ, expression string) ([]path, error) {
	tree, err := parseExpression(expression)
	if err != nil {
		return nil, err
	}
	root, _ := schema.Lookup(typ)
	var ends []partial
	var problem error
	for _, focus := range foci {
		c := &compiler{context: []partial{{at: focus, path: path{typ: focus.FHIRType()}}}, root: root, work: new(int)}
		ps, err := c.top(tree)
		if err != nil {
			problem = err
			continue
		}
		ends = append(ends, ps...)
	}
	if len(ends) == 0 {
		if problem == nil {
			problem = fmt.Errorf("the composite selects nothing that it could be relative to")
		}
		return nil, refuse(expression, problem.Error())
	}
	paths, _ := finish(ends)
	return paths, nil
}

// finish drops repetitions.
func finish(ends []partial) ([]path, []*schema.Type) {
	var paths []path
	var foci []*schema.Type
	seen := map[string]bool{}
	for _, e := range ends {
		if key := e.path.String(); !seen[key] {
			seen[key] = true
			paths = append(paths, e.path)
		}
		if e.at != nil && !slices.Contains(foci, e.at) {
			foci = append(foci, e.at)
		}
	}
	return slices.Clip(paths), foci
}

// top compiles a whole expression: a condition becomes a computed boolean, all else a selection.
func (c *compiler) top(e *fhirpath.Expr) ([]partial, error) {
	if !condition(e) {
		return c.selection(e)
	}
	k, err := c.condition(e)
	if err != nil {
		return nil, err
	}
	boolean, _ := schema.Lookup("boolean")
	return []partial{{at: boolean, path: path{typ: "boolean", computed: &k}}}, nil
}

// selection compiles an expression that selects elements.
func (c *compiler) selection(e *fhirpath.Expr) ([]partial, error) {
	if err := c.count(e); err != nil {
		return nil, err
	}
	switch e.Op {
	case fhirpath.This:
		return c.context, nil
	case fhirpath.Resource:
		if c.inner { // each element judged would walk the whole resource again
			return nil, at(e, "%%resource is not supported inside a condition")
		}
		return []partial{{at: c.root, path: path{typ: c.root.Name, fromRoot: true}}}, nil
	case fhirpath.Member:
		return c.member(e)
	case fhirpath.Call:
		return c.call(e)
	case fhirpath.Index:
		ps, err := c.selection(e.Left)
		if err != nil {
			return nil, err
		}
		return nth(ps, e.Number)
	case fhirpath.As:
		ps, err := c.selection(e.Left)
		if err != nil {
			return nil, err
		}
		return cast(ps, e.Name)
	case fhirpath.Union:
		return c.union(e)
	default:
		return nil, at(e, "a condition or a literal selects no element")
	}
}

// count keeps the work within bounds.
func (c *compiler) count(e *fhirpath.Expr) error {
	if *c.work++; *c.work > maxWork {
		return at(e, "the expression is too complex: say which types are meant with ofType()")
	}
	return nil
}

func (c *compiler) union(e *fhirpath.Expr) ([]partial, error) {
	var all []partial
	for _, part := range e.Parts() {
		ps, err := c.selection(part)
		if err != nil {
			return nil, err
		}
		for _, p := range ps {
			p.joined = true
			all = append(all, p)
		}
	}
	return limit(all)
}

// member goes to a member; at the head of an expression a resource type's name stands for the resource.
func (c *compiler) member(e *fhirpath.Expr) ([]partial, error) {
	from := c.context
	if e.Left == nil {
		if t, ok := schema.Lookup(e.Name); ok && t.Is("Resource") {
			if c.inner {
				return nil, at(e, "inside a condition, name elements without the resource type")
			}
			if c.root.Is(e.Name) {
				return c.context, nil
			}
			c.foreign = true
			return nil, nil
		}
	} else {
		var err error
		if from, err = c.selection(e.Left); err != nil {
			return nil, err
		}
	}
	var out []partial
	var lacking []string
	for _, p := range from {
		element, ok := p.at.Element(e.Name)
		if !ok {
			lacking = append(lacking, missing(p.at, e.Name))
			continue
		}
		next, err := p.enter(element)
		if err != nil {
			return nil, at(e, "%v", err)
		}
		out = append(out, next...)
	}
	if len(out) == 0 && len(from) > 0 {
		return nil, at(e, "%s", strings.Join(slices.Compact(lacking), "; "))
	}
	return limit(out)
}

// missing explains that there is no such element, and what its writer may have meant.
func missing(t *schema.Type, name string) string {
	for e := range t.All() {
		if !e.Choice {
			continue
		}
		for _, typ := range e.Types {
			if e.Member(typ) == name {
				return fmt.Sprintf("%s has no element %s in FHIRPath: write %s.ofType(%s)", t.Name, name, e.Name, typ)
			}
		}
	}
	return fmt.Sprintf("%s has no element %s", t.Name, name)
}

// call compiles the functions that select.
func (c *compiler) call(e *fhirpath.Expr) ([]partial, error) {
	from := c.context
	if e.Left != nil {
		var err error
		if from, err = c.selection(e.Left); err != nil {
			return nil, err
		}
	}
	switch {
	case e.Name == "where" && len(e.Args) == 1:
		return c.where(e, from)
	case e.Name == "extension" && len(e.Args) == 1 && e.Args[0].Op == fhirpath.Text:
		return extension(e, from, e.Args[0].Name)
	case e.Name == "first" && len(e.Args) == 0:
		return nth(from, 0)
	case e.Name == "resolve":
		return nil, at(e, "resolve() is only supported in conditions of the form resolve() is Type")
	}
	return nil, at(e, "the function %s with %d arguments is not supported here", e.Name, len(e.Args))
}

func (c *compiler) where(e *fhirpath.Expr, from []partial) ([]partial, error) {
	var out []partial
	var problem error
	for _, p := range from {
		k, err := c.judge(e.Args[0], p)
		if err != nil && *c.work > maxWork {
			return nil, err
		}
		if err != nil {
			problem = err // it may make sense for another type of the choice
			continue
		}
		out = append(out, p.where(k))
	}
	if len(out) == 0 {
		return nil, problem
	}
	return out, nil
}

// judge compiles a condition about the elements that p leads to.
func (c *compiler) judge(e *fhirpath.Expr, p partial) (check, error) {
	sub := &compiler{
		context: []partial{{at: p.at, path: path{typ: p.typ}}}, root: c.root, inner: true, work: c.work,
	}
	return sub.condition(e)
}

func at(e *fhirpath.Expr, format string, args ...any) error {
	return fmt.Errorf("column "+strconv.Itoa(e.Start+1)+": "+format, args...)
}
