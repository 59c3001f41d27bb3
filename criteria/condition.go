package criteria

import (
	"slices"
	"strconv"

	"fhirhook/criteria/fhirpath"
	"fhirhook/fhir/schema"
	"fhirhook/fhir/tape"
)

var conditionFunctions = []string{"exists", "empty", "not", "hasExtension"}

// condition tells whether an expression is true or false instead of selecting elements.
func condition(e *fhirpath.Expr) bool {
	switch e.Op {
	case fhirpath.And, fhirpath.Or, fhirpath.Equal, fhirpath.NotEqual, fhirpath.Is:
		return true
	case fhirpath.Call:
		return slices.Contains(conditionFunctions, e.Name)
	default:
		return false
	}
}

// condition compiles what is true or false about the context.
func (c *compiler) condition(e *fhirpath.Expr) (check, error) {
	if err := c.count(e); err != nil {
		return check{}, err
	}
	switch e.Op {
	case fhirpath.And:
		return c.both(allHold, e)
	case fhirpath.Or:
		return c.both(anyHolds, e)
	case fhirpath.Equal:
		return c.equal(e)
	case fhirpath.NotEqual:
		return negate(c.equal(e))
	case fhirpath.Is:
		return c.is(e)
	case fhirpath.Call:
		if slices.Contains(conditionFunctions, e.Name) {
			return c.function(e)
		}
	}
	return c.boolean(e)
}

func (c *compiler) both(op checkOp, e *fhirpath.Expr) (check, error) {
	left, err := c.condition(e.Left)
	if err != nil {
		return check{}, err
	}
	right, err := c.condition(e.Right)
	return check{op: op, parts: []check{left, right}}, err
}

func negate(k check, err error) (check, error) {
	return check{op: notHolds, parts: []check{k}}, err
}

// equal compares a primitive with a literal, which may stand on either side.
func (c *compiler) equal(e *fhirpath.Expr) (check, error) {
	selected, literal := e.Left, e.Right
	if _, _, ok := literalValue(selected); ok {
		selected, literal = literal, selected
	}
	text, kind, ok := literalValue(literal)
	if !ok {
		return check{}, at(e, "elements can only be compared with a string, a whole number or a boolean")
	}
	ps, err := c.selection(selected)
	if err != nil {
		return check{}, err
	}
	primitive := func(p partial) bool { return p.at.Class == schema.Primitive }
	if len(ps) > 0 && !slices.ContainsFunc(ps, primitive) {
		return check{}, at(e, "a %s can't be compared with a literal: name one of its elements", ps[0].at.FHIRType())
	}
	paths, _ := finish(ps)
	return check{op: equals, paths: paths, literal: text, kind: kind}, nil
}

func literalValue(e *fhirpath.Expr) (text string, kind tape.Kind, ok bool) {
	switch e.Op {
	case fhirpath.Text:
		return e.Name, tape.String, true
	case fhirpath.Bool:
		return e.Name, tape.Bool, true
	case fhirpath.Number:
		return strconv.Itoa(e.Number), tape.Number, true
	default:
		return "", 0, false
	}
}

// is compiles resolve() is T, and the test for a type.
func (c *compiler) is(e *fhirpath.Expr) (check, error) {
	if e.Left.Op == fhirpath.Call && e.Left.Name == "resolve" && len(e.Left.Args) == 0 {
		return c.resolves(e)
	}
	all, err := c.selection(e.Left)
	if err != nil {
		return check{}, err
	}
	typed, err := cast(all, e.Name)
	if err != nil {
		return check{}, at(e, "%v", err)
	}
	paths, _ := finish(typed)
	others, _ := finish(all)
	return check{op: isType, paths: paths, others: others}, nil
}

func (c *compiler) resolves(e *fhirpath.Expr) (check, error) {
	want, ok := schema.Lookup(e.Name)
	if !ok || !want.Is("Resource") {
		return check{}, at(e, "%s is not a resource type", e.Name)
	}
	from := c.context
	if e.Left.Left != nil {
		var err error
		if from, err = c.selection(e.Left.Left); err != nil {
			return check{}, err
		}
	}
	refs := slices.DeleteFunc(slices.Clone(from), func(p partial) bool {
		return p.at.Name != "Reference" && !p.at.Is("uri")
	})
	if len(refs) == 0 && len(from) > 0 {
		return check{}, at(e, "a %s is no reference that could be resolved", from[0].at.FHIRType())
	}
	paths, _ := finish(refs)
	return check{op: refersTo, paths: paths, literal: want.Name}, nil
}

func (c *compiler) function(e *fhirpath.Expr) (check, error) {
	switch {
	case e.Name == "not" && len(e.Args) == 0 && e.Left != nil:
		return negate(c.condition(e.Left))
	case e.Name == "exists" && len(e.Args) <= 1:
		return c.exists(e)
	case e.Name == "empty" && len(e.Args) == 0:
		return negate(c.exists(e))
	case e.Name == "hasExtension" && len(e.Args) == 1 && e.Args[0].Op == fhirpath.Text:
		from := c.context
		if e.Left != nil {
			var err error
			if from, err = c.selection(e.Left); err != nil {
				return check{}, err
			}
		}
		ps, err := extension(e, from, e.Args[0].Name)
		paths, _ := finish(ps)
		return check{op: exists, paths: paths}, err
	}
	return check{}, at(e, "the function %s is not supported with these arguments", e.Name)
}

// exists is about its operand; exists(condition) about those of it that pass.
func (c *compiler) exists(e *fhirpath.Expr) (check, error) {
	ps := c.context
	if e.Left != nil {
		var err error
		if ps, err = c.selection(e.Left); err != nil {
			return check{}, err
		}
	}
	if len(e.Args) == 1 {
		var err error
		if ps, err = c.where(e, ps); err != nil {
			return check{}, err
		}
	}
	paths, _ := finish(ps)
	return check{op: exists, paths: paths}, nil
}

// boolean takes a path to a boolean element as the condition that it is true.
func (c *compiler) boolean(e *fhirpath.Expr) (check, error) {
	ps, err := c.selection(e)
	if err != nil {
		return check{}, err
	}
	for _, p := range ps {
		if p.at.Name != "boolean" {
			return check{}, at(e, "a %s is no condition: compare it, or ask whether it exists()", p.at.FHIRType())
		}
	}
	paths, _ := finish(ps)
	return check{op: equals, paths: paths, literal: "true", kind: tape.Bool}, nil
}
