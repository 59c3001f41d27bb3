package patch

import (
	"fmt"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// jsonPatch is a JSON Patch (RFC 6902).
type jsonPatch []operation

// operation is one of its steps.
type operation struct {
	op         string
	path, from pointer
	value      tape.Node
}

// JSON reads a JSON Patch that is parsed already. Its errors name the operation and say what is wrong.
func JSON(doc *tape.Doc) (Patch, error) {
	root := doc.Root()
	if root.Kind() != tape.Array {
		return nil, fhir.Errorf(fhir.Structure, "", "a JSON Patch is an array of operations (RFC 6902), and this is a JSON %s", root.Kind())
	}
	if root.Len() > MaxOperations {
		return nil, tooMany(root.Len())
	}
	p := make(jsonPatch, 0, root.Len())
	i := 0
	for n := range root.Elements() {
		o, err := readOperation(n)
		if err != nil {
			err.Diagnostic = fmt.Sprintf("operation %d: %s", i, err.Diagnostic)
			return nil, err
		}
		p = append(p, o)
		i++
	}
	return p, nil
}

func tooMany(n int) error {
	return fhir.Errorf(fhir.TooCostly, "", "the patch has %d operations, and at most %d are taken: send it in parts", n, MaxOperations)
}

func readOperation(n tape.Node) (operation, *fhir.Error) {
	var o operation
	if n.Kind() != tape.Object {
		return o, fhir.Errorf(fhir.Structure, "", `an operation is an object such as {"op":"replace","path":"/active","value":true}`)
	}
	for _, name := range []string{"op", "path", "from"} {
		switch v := n.Get(name); {
		case v.Exists() && v.Kind() != tape.String:
			return o, fhir.Errorf(fhir.Value, "", "%q must be a string", name)
		case !v.Exists() && name != "from":
			return o, fhir.Errorf(fhir.Required, "", "%q is missing", name)
		}
	}
	o.op = n.Get("op").Text()
	var err error
	if o.path, err = parsePointer(n.Get("path").Text()); err != nil {
		return o, fhir.Errorf(fhir.Value, "", "path: %v", err)
	}
	switch o.op {
	case "add", "replace", "test":
		if o.value = n.Get("value"); !o.value.Exists() {
			return o, fhir.Errorf(fhir.Required, "", `%s needs a "value"`, o.op)
		}
	case "move", "copy":
		if !n.Get("from").Exists() {
			return o, fhir.Errorf(fhir.Required, "", `%s needs a "from"`, o.op)
		}
		if o.from, err = parsePointer(n.Get("from").Text()); err != nil {
			return o, fhir.Errorf(fhir.Value, "", "from: %v", err)
		}
		if o.op == "move" && o.from.prefixes(o.path) {
			return o, fhir.Errorf(fhir.Value, "", "a value can't be moved into itself")
		}
	case "remove":
	default:
		return o, fhir.Errorf(fhir.Value, "", "%q is no operation: write add, remove, replace, move, copy or test", clip(o.op))
	}
	return o, nil
}

func (p jsonPatch) apply(t *tree) error {
	for i, o := range p {
		if err := o.apply(t); err != nil {
			e := *err
			e.Diagnostic = fmt.Sprintf("operation %d (%s %s): %s", i, o.op, o.path, err.Diagnostic)
			return &e
		}
	}
	return nil
}

func (o operation) apply(t *tree) *fhir.Error {
	switch o.op {
	case "add":
		return t.add(o.path, valueOf(o.value))
	case "remove":
		return t.remove(o.path)
	case "replace":
		if t.find(o.path) == nil {
			return missing(o.path)
		}
		return t.replace(o.path, valueOf(o.value))
	case "test":
		return t.test(o.path, o.value)
	}
	source := t.find(o.from)
	switch {
	case source == nil:
		return missing(o.from)
	case source.masked():
		return fhir.Errorf(fhir.BusinessRule, "", "%s %s", o.from, maskedSource)
	case o.op == "copy":
		copied, err := t.copyOf(source)
		if err != nil {
			return err.(*fhir.Error) //nolint:errorlint // tooLarge makes nothing else
		}
		source = copied
	default:
		if err := t.remove(o.from); err != nil {
			return err
		}
	}
	return t.add(o.path, source)
}

func missing(p pointer) *fhir.Error {
	return fhir.Errorf(fhir.BusinessRule, "", "there is nothing at %q in the resource", p.String())
}

// parent finds the object or array that holds what p names; p is not empty.
func (t *tree) parent(p pointer) (*node, string, *fhir.Error) {
	holder, last := t.find(p[:len(p)-1]), p[len(p)-1]
	if holder != nil {
		holder.open()
	}
	if holder == nil || holder.opened == tape.Absent {
		return nil, "", fhir.Errorf(fhir.BusinessRule, "", "there is no object or array at %q in the resource", p[:len(p)-1].String())
	}
	return holder, last, nil
}

// add is RFC 6902 section 4.1.
func (t *tree) add(p pointer, v *node) *fhir.Error {
	if len(p) == 0 {
		t.root = v
		return nil
	}
	holder, last, err := t.parent(p)
	if err != nil {
		return err
	}
	if holder.opened == tape.Object {
		holder.set(last, v)
		return nil
	}
	i := len(holder.elements)
	if last != "-" {
		i = index(last)
	}
	if i < 0 || i > len(holder.elements) {
		return fhir.Errorf(fhir.BusinessRule, "", "%q is no place in an array of %d elements", clip(last), len(holder.elements))
	}
	holder.insert(i, v)
	return nil
}

// remove is RFC 6902 section 4.2.
func (t *tree) remove(p pointer) *fhir.Error {
	switch {
	case len(p) == 0:
		return fhir.Errorf(fhir.BusinessRule, "", "the whole resource can't be removed by a patch: DELETE it")
	case t.find(p) == nil:
		return missing(p)
	}
	holder, last, err := t.parent(p)
	if err != nil {
		return err
	}
	if holder.opened == tape.Object {
		holder.remove(last)
	} else {
		holder.removeAt(index(last))
	}
	return nil
}

// replace puts a value where one is (RFC 6902 section 4.3).
func (t *tree) replace(p pointer, v *node) *fhir.Error {
	if len(p) == 0 {
		t.root = v
		return nil
	}
	holder, last, err := t.parent(p)
	if err != nil {
		return err
	}
	if holder.opened == tape.Object {
		holder.set(last, v)
	} else {
		holder.elements[index(last)] = v
	}
	return nil
}

// test is RFC 6902 section 4.6.
func (t *tree) test(p pointer, want tape.Node) *fhir.Error {
	found := t.find(p)
	switch {
	case found == nil:
		return missing(p)
	case found.masked():
		return fhir.Errorf(fhir.BusinessRule, "", "%q %s", p.String(), maskedSource)
	case !found.equal(valueOf(want)):
		return fhir.Errorf(fhir.BusinessRule, "", "the value in the resource is another: read it again")
	default:
		return nil
	}
}
