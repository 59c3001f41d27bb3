//go:build all

package criteria

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// strangers are values that no example has.
var strangers = map[Kind]string{
	Token: "zz-nothing", Reference: "zz-nothing", String: "zz nothing", URI: "http://zz.example/nothing",
	Date: "0001", Number: "98765432198765", Quantity: "98765432198765",
}

// TestQuery_findsExamplesByTheirOwnValues searches each of HL7's examples by each value that it has for
// each parameter of its type, through a query, its printed form and a set, and by one that it has not.
func TestQuery_findsExamplesByTheirOwnValues(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(packageFolder, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples in %s: %v", packageFolder, err)
	}
	resources, searches, params := 0, 0, map[*Param]bool{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := tape.Parse(content, 0)
		if err != nil {
			continue // the package's own index and the like
		}
		of := fhir.Type(doc.Root().Get("resourceType").Text())
		if !of.Known() || len(content) > 256<<10 || of == "StructureDefinition" || of == fhir.SearchParameter {
			continue
		}
		resources++
		s := NewSubject(&fhir.Resource{Key: fhir.Key{Type: of}, JSON: doc.Bytes()}, testEnv)
		for p := range R4().Params(of) {
			for _, v := range paramValues(p, doc.Root()) {
				searches++
				params[p] = true
				findsOwn(t, file, s, p, v, true)
			}
			if stranger := strangers[p.Kind]; stranger != "" && p.Expression != "" {
				findsOwn(t, file, s, p, stranger, false)
			}
		}
	}
	t.Logf("%d resources, %d searches, %d parameters", resources, searches, len(params))
	if searches < 20_000 || len(params) < 1000 {
		t.Error("that is too few")
	}
}

func findsOwn(t *testing.T, file string, s *Subject, p *Param, value string, want bool) {
	t.Helper()
	q, _, err := ParseParams(p.Type, []Pair{{p.Code, value}}, R4(), false)
	if err != nil {
		t.Errorf("%s: %s=%s: %v", file, p.Code, value, err)
		return
	}
	again, err := Parse(q.String(), R4())
	if err != nil {
		t.Errorf("%s: %s=%s: %v", file, p.Code, value, err)
		return
	}
	var set Set
	set.Add("q", q)
	ids, undecided := set.Decide(s)
	if q.Matches(s) != want || again.Matches(s) != want || (len(ids) == 1) != want || len(undecided) > 0 {
		t.Errorf("%s: %s: query %v, printed %v, set %v (undecided %v); want %v", file, q, q.Matches(s), again.Matches(s), ids, undecided, want)
	}
}

func paramValues(p *Param, root tape.Node) []string {
	var out []string
	if p.Kind != Composite {
		for l := range p.Leaves(root) {
			out = append(out, leafValues(p.Kind, l)...)
		}
		return out
	}
	for focus := range p.Foci(root) {
		tuple := make([]string, len(p.Components))
		for i := range p.Components {
			for l := range p.Components[i].Leaves(focus.Node, root) {
				if values := leafValues(p.Components[i].Param.Kind, l); len(values) > 0 {
					tuple[i] = values[0]
				}
			}
		}
		if !slices.Contains(tuple, "") {
			out = append(out, strings.Join(tuple, "$"))
		}
	}
	return out
}

// leafValues are search values that must find an element. They are made of its JSON and not of what
// matching extracts.
func leafValues(k Kind, l Leaf) []string {
	var out []string
	add := func(parts ...string) {
		if parts[len(parts)-1] == "" {
			return
		}
		for i := range parts {
			parts[i] = escape(parts[i])
		}
		out = append(out, strings.Join(parts, "|"))
	}
	n := l.Node
	switch {
	case l.Computed != "":
		add(l.Computed)
	case k == Token && l.Type == "CodeableConcept":
		for c := range n.Get("coding").Elements() {
			add(c.Get("code").Text())
			add(c.Get("system").Text(), c.Get("code").Text())
		}
	case k == Token && l.Type == "Coding":
		add(n.Get("system").Text(), n.Get("code").Text())
	case k == Token && l.Type == "Identifier":
		add(n.Get("value").Text())
		add(n.Get("system").Text(), n.Get("value").Text())
	case k == Token && l.Type == "ContactPoint":
		add(n.Get("value").Text())
	case k == Token:
		add(n.Text())
	case k == Reference && l.Type == "Reference":
		add(n.Get("reference").Text())
	case k == Reference && l.Type == "canonical":
		url, version, _ := strings.Cut(n.Text(), "|")
		add(url)
		add(url, version)
	case k == String && l.Type == "HumanName":
		add(n.Get("family").Text())
		for given := range n.Get("given").Elements() {
			add(given.Text())
		}
	case k == String && l.Type == "Address":
		add(n.Get("city").Text())
	case k == String, k == URI:
		add(n.Text())
	case k == Date && l.Type == "Period":
		if start := n.Get("start").Text(); start != "" {
			add("ge" + start)
		}
		if stop := n.Get("end").Text(); stop != "" {
			add("le" + stop)
		}
	case k == Date && (l.Type == "date" || l.Type == "dateTime" || l.Type == "instant"):
		add(n.Text())
	case k == Number && l.Type != "Range":
		add(n.Text())
	case k == Quantity && (l.Type == "Quantity" || l.Type == "Age" || l.Type == "Duration"):
		if value := n.Get("value").Text(); value != "" && !n.Get("comparator").Exists() {
			add(value)
			add(value, n.Get("system").Text(), n.Get("code").Text())
			add(value, "", n.Get("unit").Text())
		}
	}
	return out
}
