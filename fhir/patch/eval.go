package patch

import (
	"strconv"
	"strings"

	"fhirhook/criteria/fhirpath"
	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// selector evaluates paths of a FHIRPath Patch. They are simple by R4's own rule (fhirpatch.html): members,
// indexes, and a few functions that pick from a list.
type selector struct{ root *place }

func badPath(format string, args ...any) *fhir.Error {
	return fhir.Errorf(fhir.Value, "", format, args...)
}

// selects evaluates e on each of the places that it is about.
func (s selector) selects(e *fhirpath.Expr, this []*place) ([]*place, *fhir.Error) {
	switch e.Op {
	case fhirpath.This:
		return this, nil
	case fhirpath.Resource:
		return []*place{s.root}, nil
	case fhirpath.Member:
		return s.member(e, this)
	case fhirpath.Index:
		found, err := s.selects(e.Left, this)
		if err != nil {
			return nil, err
		}
		return pick(found, e.Number), nil
	case fhirpath.As:
		found, err := s.selects(e.Left, this)
		var of []*place
		for _, p := range found {
			if p.typ != nil && strings.EqualFold(p.typ.FHIRType(), e.Name) {
				of = append(of, p)
			}
		}
		return of, err
	case fhirpath.Call:
		return s.call(e, this)
	default:
		return nil, badPath("a path names one place in the resource, as in Patient.name[0].family")
	}
}

func pick(found []*place, i int) []*place {
	if i < 0 || i >= len(found) {
		return nil
	}
	return found[i : i+1]
}

func (s selector) member(e *fhirpath.Expr, this []*place) ([]*place, *fhir.Error) {
	if e.Left == nil && len(this) == 1 && this[0] == s.root && s.isType(e.Name) {
		return this, nil
	}
	on := this
	if e.Left != nil {
		var err *fhir.Error
		if on, err = s.selects(e.Left, this); err != nil {
			return nil, err
		}
	}
	var all []*place
	for _, p := range on {
		found, err := p.children(e.Name)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func (s selector) isType(name string) bool {
	return s.root.typ != nil && s.root.typ.Is(name)
}

func (s selector) call(e *fhirpath.Expr, this []*place) ([]*place, *fhir.Error) {
	on := this
	if e.Left != nil {
		var err *fhir.Error
		if on, err = s.selects(e.Left, this); err != nil {
			return nil, err
		}
	}
	switch {
	case e.Name == "first" && len(e.Args) == 0:
		return pick(on, 0), nil
	case e.Name == "last" && len(e.Args) == 0:
		return pick(on, len(on)-1), nil
	case e.Name == "single" && len(e.Args) == 0:
		if len(on) > 1 {
			return nil, fhir.Errorf(fhir.BusinessRule, "", "single() finds %d elements", len(on))
		}
		return on, nil
	case e.Name == "extension" && len(e.Args) == 1 && e.Args[0].Op == fhirpath.Text:
		return s.extensions(on, e.Args[0].Name)
	case e.Name == "where" && len(e.Args) == 1:
		var kept []*place
		for _, p := range on {
			holds, err := s.holds(e.Args[0], p)
			if err != nil {
				return nil, err
			}
			if holds {
				kept = append(kept, p)
			}
		}
		return kept, nil
	default:
		return nil, badPath("%s() with %d arguments is not offered in a patch: use where(), first(), last(), single(), ofType(), extension('url') or an index", clip(e.Name), len(e.Args))
	}
}

func (s selector) extensions(on []*place, url string) ([]*place, *fhir.Error) {
	var kept []*place
	for _, p := range on {
		all, err := p.children("extension")
		if err != nil {
			return nil, err
		}
		for _, x := range all {
			if u := x.node.get("url"); u != nil && u.text() == url {
				kept = append(kept, x)
			}
		}
	}
	return kept, nil
}

// holds evaluates a condition of where().
func (s selector) holds(e *fhirpath.Expr, p *place) (bool, *fhir.Error) {
	switch e.Op {
	case fhirpath.And, fhirpath.Or:
		left, err := s.holds(e.Left, p)
		if err != nil || left == (e.Op == fhirpath.Or) {
			return left, err
		}
		return s.holds(e.Right, p)
	case fhirpath.Equal, fhirpath.NotEqual:
		left, err := s.operand(e.Left, p)
		if err != nil {
			return false, err
		}
		right, err := s.operand(e.Right, p)
		if err != nil || len(left) == 0 || len(right) == 0 {
			return false, err // FHIRPath: an empty operand makes the comparison empty
		}
		return equalLists(left, right) == (e.Op == fhirpath.Equal), nil
	case fhirpath.Bool:
		return e.Name == "true", nil
	case fhirpath.Call:
		if (e.Name == "exists" || e.Name == "empty") && len(e.Args) == 0 && e.Left != nil {
			found, err := s.selects(e.Left, []*place{p})
			return (len(found) > 0) == (e.Name == "exists"), err
		}
	case fhirpath.Member, fhirpath.Index:
		found, err := s.selects(e, []*place{p})
		return len(found) == 1 && found[0].node.kind() == tape.Bool && found[0].node.text() == "true", err
	}
	return false, badPath("a condition of where() compares by = and !=, joins by and and or, or asks exists() or empty()")
}

func equalLists(a, b []*node) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !a[i].equal(b[i]) {
			return false
		}
	}
	return true
}

// operand is a literal or what a path finds. A secret is compared as its mask, as its reader sees it.
func (s selector) operand(e *fhirpath.Expr, p *place) ([]*node, *fhir.Error) {
	var literal string
	switch e.Op {
	case fhirpath.Text:
		literal = string(quote(e.Name))
	case fhirpath.Number:
		literal = strconv.Itoa(e.Number)
	case fhirpath.Bool:
		literal = e.Name
	default:
		found, err := s.selects(e, []*place{p})
		nodes := make([]*node, len(found))
		for i, f := range found {
			nodes[i] = f.node
		}
		return nodes, err
	}
	doc, err := tape.Parse([]byte(literal), 1)
	if err != nil {
		return nil, badPath("the literal %s can't be compared", clip(literal))
	}
	return []*node{valueOf(doc.Root())}, nil
}
