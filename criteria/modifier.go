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
	String:    {modifierMissing, modifierExact, modifierContains},
	Token:     {modifierMissing, modifierNot, modifierText, modifierOfType},
	Reference: {modifierMissing, modifierIdentifier},
	URI:       {modifierMissing, modifierAbove, modifierBelow},
}

// later lists what R4 defines for a kind and this engine cannot evaluate yet.
var later = map[Kind][]string{
	String:    {modifierText},
	Token:     {modifierIn, modifierNotIn, modifierAbove, modifierBelow},
	Reference: {modifierAbove, modifierBelow},
}

// checkModifier tells whether p takes the modifier. It is refused in lenient searches too: to leave a
// modifier away would turn the question into another one (R4 search.html#modifiers: SHALL reject).
func checkModifier(p *Param, modifier string) *fhir.Error {
	allowed := offered[p.Kind]
	switch {
	case modifier == "" || slices.Contains(allowed, modifier):
		return nil
	case p.Kind == Token && (modifier == modifierAbove || modifier == modifierBelow) && p.mediaTypes():
		return nil
	case p.Kind == Reference && modifier == modifierBelow && p.canonicals():
		return nil
	case p.Kind == Reference && fhir.Type(modifier).Known():
		if p.mayTarget(fhir.Type(modifier)) {
			return nil
		}
		return fhir.Errorf(fhir.NotSupported, "", "%s never refers to a %s; it may refer to %s", p.Code, modifier, listTypes(p.Targets))
	case slices.Contains(later[p.Kind], modifier):
		return fhir.Errorf(fhir.NotSupported, "", "the modifier :%s is not supported yet on %s, a %s parameter%s", modifier, p.Code, p.Kind, accepted(p, allowed))
	default:
		return fhir.Errorf(fhir.NotSupported, "", "%s is a %s parameter, and the modifier :%s does not apply to it%s", p.Code, p.Kind, clip(modifier), accepted(p, allowed))
	}
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
	return slices.ContainsFunc(p.paths, func(x path) bool { return x.typ == "canonical" })
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
