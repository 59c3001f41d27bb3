package criteria

import (
	"regexp"
	"slices"
	"strconv"

	"fhirhook/fhir"
	"fhirhook/fhir/schema"
	"fhirhook/fhir/tape"
)

// codePattern is what can stand as a name in a query: nothing that separates it from modifiers, chains,
// prefixes and values.
var codePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,63}$`)

// InForce tells whether a SearchParameter resource is meant to have effect: its status is active. All others
// are kept as any resource is.
func InForce(root tape.Node) bool { return root.Get("status").Is("active") }

// ReadDefinition reads a SearchParameter resource and returns everything that is wrong with it, each problem
// a fhir.BusinessRule with the element's path. Whether the definition can be used beside others is for
// Definitions.Extend to say.
//
// xpath and xpathUsage have no effect, nor have the elements that narrow how a parameter may be used
// (modifier, comparator, multipleOr, multipleAnd, chain): everything that its type allows is allowed.
func ReadDefinition(root tape.Node) (Definition, []*fhir.Error) {
	r := &definitionReading{}
	r.def.URL = r.text(root, "url", "url", "an absolute URL or URN that names the definition")
	r.code(root)
	r.kind(root)
	r.def.Bases = r.types(root, "base", true)
	r.def.Targets = r.types(root, "target", false)
	if r.def.Kind == Reference && len(r.def.Targets) == 0 {
		r.def.Targets = anyTargets()
	}
	r.def.Expression = r.text(root, "expression", "expression", "the FHIRPath of the elements that are searched")
	r.components(root)
	if root.Get("modifierExtension").Exists() {
		r.refuse("modifierExtension", "a modifier extension changes what the definition means, and none is known here: leave it out")
	}
	return r.def, r.problems
}

type definitionReading struct {
	def      Definition
	problems []*fhir.Error
}

func (r *definitionReading) refuse(path, format string, args ...any) {
	r.problems = append(r.problems, fhir.Errorf(fhir.BusinessRule, "SearchParameter."+path, format, args...))
}

// text reads a string that must be there; what tells what to put there.
func (r *definitionReading) text(of tape.Node, name, path, what string) string {
	switch v := of.Get(name); {
	case !v.Exists():
		r.refuse(path, "is missing: give %s", what)
	case v.Kind() != tape.String:
		r.refuse(path, "must be a JSON string, and this is a JSON %s", v.Kind())
	case v.Text() == "":
		r.refuse(path, "must not be empty: give %s", what)
	default:
		return v.Text()
	}
	return ""
}

func (r *definitionReading) code(root tape.Node) {
	r.def.Code = r.text(root, "code", "code", "the name by which searches use it")
	if r.def.Code != "" && !codePattern.MatchString(r.def.Code) {
		r.refuse("code", "%q can't be a parameter's name: use 1 to 64 letters, digits, - and _, with a letter in front", clip(r.def.Code))
		r.def.Code = ""
	}
}

func (r *definitionReading) kind(root tape.Node) {
	code := r.text(root, "type", "type", "number, date, string, token, reference, composite, quantity or uri")
	kind, ok := ParseKind(code)
	if code != "" && !ok {
		r.refuse("type", "%q is not a type of search parameters: use number, date, string, token, reference, composite, quantity or uri", clip(code))
	}
	if kind == Special {
		r.refuse("type", "what a special parameter does is not in its definition, so it can't be evaluated: use another type")
	}
	r.def.Kind = kind
}

// types reads a list of resource types.
func (r *definitionReading) types(root tape.Node, name string, base bool) []fhir.Type {
	list := root.Get(name)
	switch {
	case !list.Exists() && base:
		r.refuse(name, "is missing: list the resource types that can be searched by this parameter")
		return nil
	case !list.Exists():
		return nil
	case list.Kind() != tape.Array:
		r.refuse(name, "must be a JSON array of resource types, and this is a JSON %s", list.Kind())
		return nil
	}
	var types []fhir.Type
	i := -1
	for v := range list.Elements() {
		i++
		path := name + "[" + strconv.Itoa(i) + "]"
		t := fhir.Type(v.Text())
		s, ok := schema.Lookup(string(t))
		abstract := ok && s.Class == schema.Abstract && s.Is("Resource")
		switch {
		case v.Kind() != tape.String || !t.Known() && !abstract:
			r.refuse(path, "%q is not a resource type of FHIR R4%s", clip(string(t)), suggestedType(string(t)))
		case abstract && !base: // any resource
			types = append(types, anyTargets()...)
		case !slices.Contains(types, t):
			types = append(types, t)
		}
	}
	if i < 0 && base {
		r.refuse(name, "must not be empty: list the resource types that can be searched by this parameter")
	}
	slices.Sort(types)
	return slices.Compact(types)
}

func suggestedType(name string) string {
	known := make([]string, 0, 150)
	for _, t := range fhir.Types() {
		known = append(known, string(t))
	}
	return suggestion(name, known)
}

func (r *definitionReading) components(root tape.Node) {
	list := root.Get("component")
	switch {
	case r.def.Kind != Composite && list.Exists():
		r.refuse("component", "only a composite has components: make the type composite, or leave them out")
		return
	case r.def.Kind != Composite:
		return
	case !list.Exists() || list.Kind() == tape.Array && list.Len() == 0:
		r.refuse("component", "a composite needs components: give each a definition and an expression")
		return
	case list.Kind() != tape.Array:
		r.refuse("component", "must be a JSON array, and this is a JSON %s", list.Kind())
		return
	}
	i := 0
	for v := range list.Elements() {
		path := "component[" + strconv.Itoa(i) + "]"
		i++
		if v.Kind() != tape.Object {
			r.refuse(path, "must be a JSON object, and this is a JSON %s", v.Kind())
			continue
		}
		r.def.Components = append(r.def.Components, ComponentDefinition{
			URL:        r.text(v, "definition", path+".definition", "the url of the search parameter that tells the component's type"),
			Expression: r.text(v, "expression", path+".expression", "a FHIRPath that begins at each element of the composite's own expression"),
		})
	}
}
