package criteria

import (
	"slices"
	"strings"

	"fhirhook/fhir"
)

// The modifiers of R4 (search.html#modifiers); :[Type] is any resource type's name.
const (
	modifierMissing    = "missing"
	modifierExact      = "exact"
	modifierContains   = "contains"
	modifierText       = "text"
	modifierNot        = "not"
	modifierOfType     = "of-type"
	modifierIn         = "in"
	modifierNotIn      = "not-in"
	modifierAbove      = "above"
	modifierBelow      = "below"
	modifierIdentifier = "identifier"
)

// offered lists what each kind of parameter takes here.
var offered = map[Kind][]string{
	Number:    {modifierMissing},
	Date:      {modifierMissing},
	Quantity:  {modifierMissing},
	String:    {modifierMissing, modifierExact, modifierContains, modifierText},
	Token:     {modifierMissing, modifierNot, modifierText},
	Reference: {modifierMissing},
	URI:       {modifierMissing, modifierAbove, modifierBelow},
	Special:   {modifierMissing},
}

// checkModifier tells whether p takes the modifier. It is refused in lenient searches too: to leave a
// modifier away would turn the question into another one (R4 search.html#modifiers: SHALL reject).
func checkModifier(p *Param, modifier string) *fhir.Error {
	allowed := p.Modifiers()
	switch {
	case modifier == "" || slices.Contains(allowed, modifier):
		return nil
	case p.Kind == Reference && fhir.Type(modifier).Known():
		if p.mayTarget(fhir.Type(modifier)) {
			return nil
		}
		return fhir.Errorf(fhir.NotSupported, "", "%s never refers to a %s; it may refer to %s", p.Code, modifier, listTypes(p.Targets))
	case p.Kind == Reference && (modifier == modifierAbove || modifier == modifierBelow):
		return fhir.Errorf(fhir.NotSupported, "", "the modifier :%s does not apply to %s: none of the types that it may refer to has a hierarchy%s", modifier, p.Code, accepted(p, allowed))
	case p.Kind == Token && slices.Contains(conceptual, modifier):
		return fhir.Errorf(fhir.NotSupported, "", "the modifier :%s does not apply to %s, whose values are no codes of a code system%s", modifier, p.Code, accepted(p, allowed))
	default:
		return fhir.Errorf(fhir.NotSupported, "", "%s is a %s parameter, and the modifier :%s does not apply to it%s", p.Code, p.Kind, clip(modifier), accepted(p, allowed))
	}
}

// conceptual are the modifiers that ask for terminology.
var conceptual = []string{modifierIn, modifierNotIn, modifierAbove, modifierBelow}

// Modifiers lists what the parameter takes, beside :[type] of references.
func (p *Param) Modifiers() []string {
	if p.Expression == "" {
		return nil
	}
	all := slices.Clone(offered[p.Kind])
	switch p.Kind {
	case Token:
		if p.selects("Identifier") {
			all = append(all, modifierOfType)
		}
		switch {
		case p.mediaTypes():
			all = append(all, modifierAbove, modifierBelow)
		case p.selects("CodeableConcept", "Coding", "code"):
			all = append(all, conceptual...)
		}
	case Reference:
		if p.selects("Reference") { // a canonical has no identifier beside it
			all = append(all, modifierIdentifier)
		}
		switch {
		case len(p.hierarchies()) > 0:
			all = append(all, modifierAbove, modifierBelow)
		case p.canonicals():
			all = append(all, modifierBelow)
		}
	}
	return all
}

func (p *Param) selects(types ...string) bool {
	return slices.ContainsFunc(p.paths, func(x path) bool { return slices.Contains(types, x.typ) })
}

func accepted(p *Param, allowed []string) string {
	var names []string
	for _, m := range allowed {
		names = append(names, ":"+m)
	}
	if p.Kind == Reference {
		names = append(names, ":[type]")
	}
	if len(names) == 0 {
		return "; it takes none"
	}
	return "; accepted: " + strings.Join(names, ", ")
}

// mayTarget tells whether a reference of p can point to a t.
func (p *Param) mayTarget(t fhir.Type) bool {
	return len(p.Targets) == 0 || slices.Contains(p.Targets, t)
}

// canonicals tells whether p selects canonical URLs, whose :below needs no hierarchy.
func (p *Param) canonicals() bool {
	return p.selects("canonical")
}

// mediaTypes tells whether p selects MIME types, whose :above and :below need no code system.
func (p *Param) mediaTypes() bool {
	return slices.ContainsFunc(p.paths, func(x path) bool { return x.typ == "code" && x.system == mediaTypes })
}

func listTypes(types []fhir.Type) string {
	const most = 12
	names := make([]string, 0, most)
	for i, t := range types {
		if i == most {
			names = append(names, "…")
			break
		}
		names = append(names, string(t))
	}
	return strings.Join(names, ", ")
}
