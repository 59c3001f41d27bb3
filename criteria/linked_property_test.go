package criteria

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"fhirhook/fhir"
)

// node is a resource as the naive model knows it: its code-like values, and what its references lead to.
type node struct {
	kind   string
	id     string // "" of a contained one
	values map[string]string
	links  map[string]*node // nil: nowhere
}

// element is how a parameter of the model is written in JSON.
var element = map[string]map[string]string{
	"Organization": {"name": `"name":%s`, "partof": `"partOf":{"reference":%s}`},
	"Patient":      {"gender": `"gender":%s`, "family": `"name":[{"family":%s}]`, "organization": `"managingOrganization":{"reference":%s}`},
	"Observation":  {"status": `"status":%s`, "subject": `"subject":{"reference":%s}`, "derived-from": `"derivedFrom":[{"reference":%s}]`},
}

// leads are the model's reference parameters with the types that they may lead to there.
var leads = map[string]map[string][]string{
	"Organization": {"partof": {"Organization"}},
	"Patient":      {"organization": {"Organization"}},
	"Observation":  {"subject": {"Patient"}, "derived-from": {"Observation"}},
}

var plainParams = map[string][]string{"Organization": {"name"}, "Patient": {"gender", "family"}, "Observation": {"status"}}

var modelKinds = []string{"Observation", "Organization", "Patient"}

// drawLinkedWorld draws resources that refer to each other, to deleted and foreign ones, to old versions and to
// contained resources, and the same as a model.
func drawLinkedWorld(t *rapid.T) ([]*node, *testWorld) {
	var nodes []*node
	for _, kind := range modelKinds {
		for i := range rapid.IntRange(1, 4).Draw(t, kind) {
			nodes = append(nodes, &node{kind: kind, id: fmt.Sprint(i), values: map[string]string{}, links: map[string]*node{}})
		}
	}
	world := &testWorld{}
	for _, n := range nodes {
		members := []string{fmt.Sprintf(`"resourceType":%q,"id":%q`, n.kind, n.id)}
		for _, p := range plainParams[n.kind] {
			if v := rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, p); v != "" {
				n.values[p] = v
				members = append(members, fmt.Sprintf(element[n.kind][p], jsonText(v)))
			}
		}
		for _, p := range sortedKeys(leads[n.kind]) {
			if target, ref := drawTarget(t, nodes, leads[n.kind][p][0]); ref != "" {
				n.links[p] = target
				members = append(members, fmt.Sprintf(element[n.kind][p], jsonText(ref)))
			} else if p == "organization" && rapid.Bool().Draw(t, "contained") {
				v := rapid.SampledFrom([]string{"x", "y"}).Draw(t, "name")
				n.links[p] = &node{kind: "Organization", values: map[string]string{"name": v}, links: map[string]*node{}}
				members = append(members, fmt.Sprintf(`"contained":[{"resourceType":"Organization","id":"c","name":%q}],"managingOrganization":{"reference":"#c"}`, v))
			}
		}
		world.all = append(world.all, &fhir.Resource{
			Key: fhir.Key{Type: fhir.Type(n.kind), ID: n.id}, JSON: []byte("{" + strings.Join(members, ",") + "}"),
		})
	}
	return nodes, world
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// drawTarget draws a reference and what it leads to; "" for none.
func drawTarget(t *rapid.T, nodes []*node, kind string) (*node, string) {
	id := rapid.SampledFrom([]string{"", "0", "1", "2", "3", "9"}).Draw(t, "target")
	if id == "" {
		return nil, ""
	}
	var at *node
	for _, n := range nodes {
		if n.kind == kind && n.id == id {
			at = n
		}
	}
	switch path := kind + "/" + id; rapid.IntRange(0, 4).Draw(t, "form") {
	case 0:
		return at, testEnv.Bases[0] + "/" + path
	case 1:
		return at, path + "/_history/3"
	case 2:
		return nil, "https://other.example/fhir/" + path
	default:
		return at, path
	}
}

// test is a condition of the model.
type test struct {
	param, modifier, value string // of a plain one
	link                   string // of a chain the parameter, of _has that of the others
	reverse                bool
	to                     string // the type at the other end
	typed                  bool
	inner                  *test
}

func drawTest(t *rapid.T, kind string, depth int) *test {
	links := sortedKeys(leads[kind])
	type referrer struct{ kind, link string }
	var referrers []referrer
	for _, of := range modelKinds {
		for _, link := range sortedKeys(leads[of]) {
			if leads[of][link][0] == kind {
				referrers = append(referrers, referrer{of, link})
			}
		}
	}
	shape := rapid.IntRange(0, 3).Draw(t, "shape")
	switch {
	case depth > 0 && shape < 2 && len(links) > 0:
		link := rapid.SampledFrom(links).Draw(t, "link")
		to := leads[kind][link][0]
		return &test{link: link, to: to, typed: rapid.Bool().Draw(t, "typed"), inner: drawTest(t, to, depth-1)}
	case depth > 0 && shape < 3 && len(referrers) > 0:
		r := rapid.SampledFrom(referrers).Draw(t, "referrer")
		return &test{link: r.link, to: r.kind, reverse: true, inner: drawTest(t, r.kind, depth-1)}
	}
	p := rapid.SampledFrom(plainParams[kind]).Draw(t, "parameter")
	modifiers := []string{"", "", "missing"}
	if p == "gender" || p == "status" {
		modifiers = append(modifiers, "not")
	} else {
		modifiers = append(modifiers, "exact")
	}
	n := &test{param: p, modifier: rapid.SampledFrom(modifiers).Draw(t, "modifier"), value: rapid.SampledFrom([]string{"x", "y", "z", "x,y"}).Draw(t, "value")}
	if n.modifier == "missing" {
		n.value = rapid.SampledFrom([]string{"true", "false"}).Draw(t, "missing")
	}
	return n
}

// pair writes the condition.
func (c *test) pair() Pair {
	if c.inner == nil {
		name := c.param
		if c.modifier != "" {
			name += ":" + c.modifier
		}
		return Pair{name, c.value}
	}
	inner := c.inner.pair()
	switch {
	case c.reverse:
		inner.Name = "_has:" + c.to + ":" + c.link + ":" + inner.Name
	case c.typed || c.link == "subject" || c.link == "derived-from": // they may lead to types outside the model
		inner.Name = c.link + ":" + c.to + "." + inner.Name
	default:
		inner.Name = c.link + "." + inner.Name
	}
	return inner
}

// holds is what the condition means.
func (c *test) holds(n *node, all []*node) bool {
	switch {
	case c.inner != nil && c.reverse:
		return n.id != "" && slices.ContainsFunc(all, func(o *node) bool {
			return o.kind == c.to && o.links[c.link] == n && c.inner.holds(o, all)
		})
	case c.inner != nil:
		to := n.links[c.link]
		return to != nil && c.inner.holds(to, all)
	}
	v, there := n.values[c.param]
	switch c.modifier {
	case "missing":
		return there != (c.value == "true")
	case "not":
		return !slices.Contains(strings.Split(c.value, ","), v)
	default:
		return there && slices.Contains(strings.Split(c.value, ","), v)
	}
}

// Chains and _has find what following the references by hand finds, alone and in a set with others.
func TestLinked_agreesWithNaiveModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes, world := drawLinkedWorld(t)
		env := world.env()
		var set Set
		tests := map[string][]*test{} // all must hold
		kinds := map[string]string{}
		for i := range rapid.IntRange(1, 6).Draw(t, "queries") {
			kind := rapid.SampledFrom(modelKinds).Draw(t, "kind")
			id := fmt.Sprint(i)
			var pairs []Pair
			for range rapid.IntRange(1, 2).Draw(t, "terms") {
				c := drawTest(t, kind, 3)
				tests[id] = append(tests[id], c)
				pairs = append(pairs, c.pair())
			}
			q, err := Parse(expression(kind, pairs...), R4())
			if err != nil {
				t.Fatal(err)
			}
			kinds[id] = kind
			set.Add(id, q)
		}
		for i, r := range world.all {
			var want []string
			for _, id := range sortedKeys(tests) {
				holds := kinds[id] == nodes[i].kind
				for _, c := range tests[id] {
					holds = holds && c.holds(nodes[i], nodes)
				}
				if holds {
					want = append(want, id)
				}
			}
			got, undecided := set.Decide(NewSubject(r, env))
			if !slices.Equal(got, want) || undecided != nil {
				t.Fatalf("%s: %v, %v, want %v", r.JSON, got, undecided, want)
			}
		}
	})
}
