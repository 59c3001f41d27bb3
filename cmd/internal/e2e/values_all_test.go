//go:build all

package e2e_test

import (
	"strings"

	"fhirhook/criteria"
	"fhirhook/fhir/tape"
)

// escape makes text literal in a search value (R4 search.html#escaping).
var escape = strings.NewReplacer(`\`, `\\`, `,`, `\,`, `|`, `\|`, `$`, `\$`)

// ownValues writes what a resource has for a parameter as search values that must find it. It is written
// from the specification and shares nothing with the matcher but the extraction.
func ownValues(param *criteria.Param, root tape.Node) []string {
	if param.Kind == criteria.Composite {
		return compositeValues(param, root)
	}
	var values []string
	for leaf := range param.Leaves(root) {
		values = append(values, leafValues(param.Kind, leaf)...)
	}
	return values
}

// compositeValues joins the first value of each component of a focus.
func compositeValues(param *criteria.Param, root tape.Node) []string {
	var values []string
	for focus := range param.Foci(root) {
		var parts []string
		for i := range param.Components {
			component := &param.Components[i]
			for leaf := range component.Leaves(focus.Node, root) {
				if own := leafValues(component.Param.Kind, leaf); len(own) > 0 {
					parts = append(parts, own[0])
					break
				}
			}
		}
		if len(parts) == len(param.Components) {
			values = append(values, strings.Join(parts, "$"))
		}
	}
	return values
}

// leafValues writes one element as search values.
func leafValues(kind criteria.Kind, leaf criteria.Leaf) []string {
	var values []string
	add := func(parts ...string) {
		for _, p := range parts {
			if strings.TrimSpace(p) != "" {
				values = append(values, p)
			}
		}
	}
	n := leaf.Node
	switch kind {
	case criteria.Token:
		tokenValues(leaf.Type, n, add)
	case criteria.Reference:
		text := n.Text()
		if n.Kind() == tape.Object {
			text = n.Get("reference").Text()
		}
		if !strings.HasPrefix(text, "#") && leaf.Type != "Attachment" && leaf.Type != "Resource" {
			add(escapePipeAware(text))
		}
	case criteria.String:
		stringValues(leaf.Type, n, add)
	case criteria.Date:
		dateValues(leaf.Type, n, add)
	case criteria.Number:
		if n.Kind() == tape.Number {
			add(n.Text())
		}
	case criteria.Quantity:
		quantityValues(leaf.Type, n, add)
	case criteria.URI:
		add(escape.Replace(n.Text()))
	case criteria.Composite, criteria.Special:
	}
	return values
}

// escapePipeAware leaves a canonical's version separator as it is.
func escapePipeAware(text string) string {
	return strings.NewReplacer(`\`, `\\`, `,`, `\,`, `$`, `\$`).Replace(text)
}

func tokenValues(dataType string, n tape.Node, add func(...string)) {
	coding := func(c tape.Node, code string) {
		if value := c.Get(code).Text(); value != "" {
			add(escape.Replace(value))
			if system := c.Get("system").Text(); system != "" {
				add(escape.Replace(system) + "|" + escape.Replace(value))
			}
		}
	}
	switch dataType {
	case "CodeableConcept":
		for c := range n.Get("coding").Elements() {
			coding(c, "code")
		}
	case "Coding":
		coding(n, "code")
	case "Identifier":
		coding(n, "value")
	case "ContactPoint":
		add(escape.Replace(n.Get("value").Text()))
	default:
		add(escape.Replace(n.Text()))
	}
}

func stringValues(dataType string, n tape.Node, add func(...string)) {
	var members []string
	switch dataType {
	case "HumanName":
		members = []string{"text", "family", "given", "prefix", "suffix"}
	case "Address":
		members = []string{"text", "line", "city", "district", "state", "postalCode", "country"}
	default:
		add(escape.Replace(n.Text()))
	}
	for _, member := range members {
		for part := range n.Get(member).Elements() {
			add(escape.Replace(part.Text()))
		}
	}
}

func dateValues(dataType string, n tape.Node, add func(...string)) {
	switch dataType {
	case "Period":
		if start := n.Get("start").Text(); start != "" {
			add("ge" + start)
		}
		if end := n.Get("end").Text(); end != "" {
			add("le" + end)
		}
	case "Timing":
		for event := range n.Get("event").Elements() {
			add("ge" + event.Text())
			break
		}
	case "date", "dateTime", "instant":
		add(n.Text())
	}
}

func quantityValues(dataType string, n tape.Node, add func(...string)) {
	value, system, code := n.Get("value").Text(), n.Get("system").Text(), n.Get("code").Text()
	switch dataType {
	case "Money":
		add(value)
	case "Range", "SampledData":
	default:
		if value == "" || n.Get("comparator").Exists() {
			return
		}
		add(value)
		if system != "" && code != "" {
			add(value + "|" + escape.Replace(system) + "|" + escape.Replace(code))
		}
		if unit := n.Get("unit").Text(); unit != "" {
			add(value + "||" + escape.Replace(unit))
		}
	}
}
