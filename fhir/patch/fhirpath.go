package patch

import (
	"errors"
	"fmt"
	"strconv"

	"fhirhook/criteria/fhirpath"
	"fhirhook/fhir"
	"fhirhook/fhir/schema"
	"fhirhook/fhir/tape"
)

// pathPatch is a FHIRPath Patch (R4 fhirpatch.html).
type pathPatch []pathOperation

type pathOperation struct {
	kind                       string
	where                      string // FHIRPath of the parameter
	path                       *fhirpath.Expr
	name                       string
	value                      tape.Node // the parameter named value
	index, source, destination int       // -1 for none
}

// FHIRPath reads the Parameters of a FHIRPath Patch.
func FHIRPath(in fhir.Incoming) (Patch, error) {
	if in.Type != fhir.Parameters {
		return nil, fhir.Errorf(fhir.Invalid, "Resource.resourceType", "a FHIRPath Patch is a Parameters resource, and this is a %s", in.Type)
	}
	list := in.Doc.Root().Get("parameter")
	if list.Len() > MaxOperations {
		return nil, tooMany(list.Len())
	}
	var p pathPatch
	i := 0
	for n := range list.Elements() {
		o := pathOperation{where: fmt.Sprintf("Parameters.parameter[%d]", i), index: -1, source: -1, destination: -1}
		if name := n.Get("name"); !name.Is("operation") {
			return nil, fhir.Errorf(fhir.Value, o.where+".name", "the parameters of a FHIRPath Patch are named operation, not %q", clip(name.Text()))
		}
		if err := o.read(n.Get("part")); err != nil {
			return nil, o.located(err)
		}
		p = append(p, o)
		i++
	}
	if len(p) == 0 {
		return nil, fhir.Errorf(fhir.Required, "Parameters.parameter", "the patch has no operations: give each as a parameter named operation")
	}
	return p, nil
}

// located says of an error in which operation it is.
func (o pathOperation) located(err *fhir.Error) *fhir.Error {
	e := *err
	e.Expression = o.where
	if o.kind != "" {
		e.Diagnostic = o.kind + ": " + e.Diagnostic
	}
	return &e
}

func (o *pathOperation) read(parts tape.Node) *fhir.Error {
	seen := map[string]bool{}
	for part := range parts.Elements() {
		name := part.Get("name").Text()
		if seen[name] {
			return fhir.Errorf(fhir.Invalid, "", "the part %q stands twice", clip(name))
		}
		seen[name] = true
		if err := o.part(name, part); err != nil {
			return err
		}
	}
	needed := map[string][]string{
		"add": {"path", "name", "value"}, "insert": {"path", "value", "index"}, "delete": {"path"},
		"replace": {"path", "value"}, "move": {"path", "source", "destination"},
	}
	names, ok := needed[o.kind]
	switch {
	case !seen["type"]:
		return fhir.Errorf(fhir.Required, "", `the part "type" is missing: add, insert, delete, replace or move`)
	case !ok:
		return fhir.Errorf(fhir.Value, "", "%q is no type of operation: write add, insert, delete, replace or move", clip(o.kind))
	}
	for _, name := range names {
		if !seen[name] {
			return fhir.Errorf(fhir.Required, "", "the part %q is missing", name)
		}
		delete(seen, name)
	}
	delete(seen, "type")
	for name := range seen {
		return fhir.Errorf(fhir.Invalid, "", "the part %q has no meaning here", clip(name))
	}
	return nil
}

func (o *pathOperation) part(name string, part tape.Node) *fhir.Error {
	switch name {
	case "type":
		o.kind = primitive(part).Text()
	case "name":
		o.name = primitive(part).Text()
	case "value":
		o.value = part
	case "path":
		text := primitive(part)
		if text.Kind() != tape.String {
			return fhir.Errorf(fhir.Value, "", `the part "path" needs a valueString`)
		}
		e, err := fhirpath.Parse(text.Text())
		if err != nil {
			syntax, _ := errors.AsType[*fhirpath.SyntaxError](err)
			return badPath("the path %q can't be read: column %d: %s", clip(text.Text()), syntax.Column, syntax.Reason)
		}
		o.path = e
	case "index", "source", "destination":
		n, err := strconv.Atoi(primitive(part).Text())
		if err != nil || n < 0 || primitive(part).Kind() != tape.Number {
			return fhir.Errorf(fhir.Value, "", "the part %q needs a valueInteger from 0", name)
		}
		*map[string]*int{"index": &o.index, "source": &o.source, "destination": &o.destination}[name] = n
	default:
		return fhir.Errorf(fhir.Value, "", "the part %q is not known", clip(name))
	}
	return nil
}

// primitive is a part's value, whatever type its sender chose.
func primitive(part tape.Node) tape.Node {
	for name, v := range part.Members() {
		if _, ok := parameterType(name); ok {
			return v
		}
	}
	return tape.Node{}
}

func (p pathPatch) apply(t *tree) error {
	for _, o := range p {
		if err := o.apply(selector{t.rootPlace()}); err != nil {
			return o.located(err)
		}
	}
	return nil
}

func (o pathOperation) apply(s selector) *fhir.Error {
	switch o.kind {
	case "insert", "move":
		l, err := o.list(s)
		if err != nil {
			return err
		}
		if o.kind == "insert" {
			return o.insert(l)
		}
		return o.move(l)
	}
	found, err := s.selects(o.path, []*place{s.root})
	switch {
	case err != nil:
		return err
	case len(found) == 0 && o.kind == "delete":
		return nil // what was asked for is so
	case len(found) != 1:
		return fhir.Errorf(fhir.BusinessRule, "", "the path must find exactly one element, and finds %d", len(found))
	case o.kind == "add":
		return o.add(found[0])
	case found[0].owner == nil:
		return fhir.Errorf(fhir.BusinessRule, "", "the path names the whole resource: name an element of it")
	case o.kind == "delete":
		found[0].drop()
		return nil
	default:
		return o.replace(found[0])
	}
}

func (o pathOperation) add(p *place) *fhir.Error {
	if p.typ == nil || p.node.kind() != tape.Object {
		return fhir.Errorf(fhir.BusinessRule, "", "the path names no element that can hold others")
	}
	e, ok := p.typ.Element(o.name)
	if !ok {
		return unknownElement(p.typ, o.name)
	}
	v, err := readValue(o.value, e, 0)
	if err != nil {
		return err
	}
	return p.addElement(e, v)
}

// addElement appends to an element that repeats, and sets one that is not there.
func (p *place) addElement(e *schema.Element, v value) *fhir.Error {
	if e.Repeats {
		l := list{p, e}
		l.insert(l.length(), v)
		return nil
	}
	there, err := p.children(e.Name)
	switch {
	case err != nil:
		return err
	case len(there) > 0:
		return fhir.Errorf(fhir.BusinessRule, "", "%s is there already and does not repeat: replace it", e.Name)
	}
	member := e.Member(v.memberType(e))
	p.node.set(member, v.node)
	if v.extension != nil {
		p.node.set("_"+member, v.extension)
	}
	return nil
}

func (v value) memberType(e *schema.Element) string {
	if e.Choice && v.typ != "" {
		return v.typ
	}
	return e.Types[0]
}

// drop takes a value out of the resource.
func (p *place) drop() {
	if p.index >= 0 {
		list{p.owner, p.element}.take(p.index)
		return
	}
	p.owner.node.remove(p.member)
	p.owner.node.remove("_" + p.member)
}

func (o pathOperation) replace(p *place) *fhir.Error {
	v, err := readValue(o.value, p.element, 0)
	if err != nil {
		return err
	}
	if p.index >= 0 {
		list{p.owner, p.element}.put(p.index, v)
		return nil
	}
	member := p.element.Member(v.memberType(p.element))
	p.owner.node.rename(p.member, member, v.node)
	p.owner.node.remove("_" + p.member)
	if v.extension != nil {
		p.owner.node.set("_"+member, v.extension)
	}
	return nil
}

// list finds the element that repeats which the path of insert and move names.
func (o pathOperation) list(s selector) (list, *fhir.Error) {
	if o.path.Op != fhirpath.Member || o.path.Left == nil && s.isType(o.path.Name) {
		return list{}, badPath("the path names a list by its last step, as in Patient.name")
	}
	owners := []*place{s.root}
	if o.path.Left != nil {
		var err *fhir.Error
		if owners, err = s.selects(o.path.Left, owners); err != nil {
			return list{}, err
		}
	}
	if len(owners) != 1 || owners[0].typ == nil {
		return list{}, fhir.Errorf(fhir.BusinessRule, "", "the path must lead to one list, and leads to %d", len(owners))
	}
	e, ok := owners[0].typ.Element(o.path.Name)
	switch {
	case !ok:
		return list{}, unknownElement(owners[0].typ, o.path.Name)
	case !e.Repeats:
		return list{}, fhir.Errorf(fhir.BusinessRule, "", "%s does not repeat: add or replace it", e.Name)
	}
	return list{owners[0], e}, nil
}

func (o pathOperation) insert(l list) *fhir.Error {
	if n := l.length(); o.index > n {
		return fhir.Errorf(fhir.BusinessRule, "", "index %d lies behind the end of %d elements", o.index, n)
	}
	v, err := readValue(o.value, l.element, 0)
	if err == nil {
		l.insert(o.index, v)
	}
	return err
}

func (o pathOperation) move(l list) *fhir.Error {
	n := l.length()
	switch {
	case o.source >= n:
		return fhir.Errorf(fhir.BusinessRule, "", "source %d lies behind the end of %d elements", o.source, n)
	case o.destination >= n:
		return fhir.Errorf(fhir.BusinessRule, "", "destination %d lies behind the end of %d elements", o.destination, n)
	case l.array().elements[o.source].masked():
		return fhir.Errorf(fhir.BusinessRule, "", "element %d %s", o.source, maskedSource)
	case n == 1:
		return nil
	}
	l.insert(o.destination, l.take(o.source))
	return nil
}
