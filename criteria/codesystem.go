package criteria

import (
	"slices"
	"strings"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// systemName names a code system, or the newest version of it.
type systemName struct{ url, version string }

// codeSystem is a stored CodeSystem as far as membership and hierarchy go.
type codeSystem struct {
	url       string
	reference string // Type/id, for errors
	complete  bool   // its concepts are all there are
	loose     bool   // codes ignore case
	meaning   string // hierarchyMeaning, if the hierarchy is not one of kinds of
	concepts  map[string]*concept
}

type concept struct {
	parents    []string
	properties []property
}

type property struct{ code, value string }

// The properties that hold a hierarchy (R4 codesystem-concept-properties.html).
const conceptProperties = "http://hl7.org/fhir/concept-properties#"

func compileCodeSystem(r *fhir.Resource) *codeSystem {
	root := r.Doc().Root()
	c := &codeSystem{
		url: text(root.Get("url")), reference: r.Key.String(),
		complete: root.Get("content").Is("complete"),
		loose:    root.Get("caseSensitive").Kind() == tape.Bool && !root.Get("caseSensitive").Bool(),
		concepts: map[string]*concept{},
	}
	if m := text(root.Get("hierarchyMeaning")); m != "is-a" {
		c.meaning = m
	}
	upward, downward := []string{"parent", "subsumedBy"}, []string{"child"}
	for p := range root.Get("property").Elements() {
		switch p.Get("uri").Text() {
		case conceptProperties + "parent":
			upward = append(upward, text(p.Get("code")))
		case conceptProperties + "child":
			downward = append(downward, text(p.Get("code")))
		}
	}
	c.add(root.Get("concept"), "", upward, downward)
	return c
}

// add takes in the concepts below a parent ("" for none).
func (c *codeSystem) add(concepts tape.Node, parent string, upward, downward []string) {
	for n := range concepts.Elements() {
		code := text(n.Get("code"))
		if code == "" {
			continue
		}
		at := c.at(code)
		if parent != "" {
			at.parents = append(at.parents, c.form(parent))
		}
		for p := range n.Get("property").Elements() {
			name, value := text(p.Get("code")), valueOf(p)
			switch {
			case slices.Contains(upward, name):
				at.parents = append(at.parents, c.form(value))
			case slices.Contains(downward, name):
				child := c.at(value)
				child.parents = append(child.parents, c.form(code))
			default:
				at.properties = append(at.properties, property{name, value})
			}
		}
		c.add(n.Get("concept"), code, upward, downward)
	}
}

func (c *codeSystem) at(code string) *concept {
	code = c.form(code)
	if c.concepts[code] == nil {
		c.concepts[code] = &concept{}
	}
	return c.concepts[code]
}

// valueOf is a concept property's value: of a Coding the code.
func valueOf(p tape.Node) string {
	for name, v := range p.Members() {
		if strings.HasPrefix(name, "value") {
			if v.Kind() == tape.Object {
				return text(v.Get("code"))
			}
			return v.Text()
		}
	}
	return ""
}

// form is a code in the form that equal codes share.
func (c *codeSystem) form(code string) string {
	if c.loose {
		return strings.ToLower(code)
	}
	return code
}

func (c *codeSystem) has(code string) bool { return c.concepts[c.form(code)] != nil }

// below tells whether a code is another or one of its kinds, however far.
func (c *codeSystem) below(code, ancestor string) bool {
	code, ancestor = c.form(code), c.form(ancestor)
	seen := map[string]bool{code: true}
	for next := []string{code}; len(next) > 0; next = next[1:] {
		if next[0] == ancestor {
			return true
		}
		at := c.concepts[next[0]]
		if at == nil {
			continue
		}
		for _, up := range at.parents {
			if !seen[up] {
				seen[up] = true
				next = append(next, up)
			}
		}
	}
	return false
}

// ordered tells what is wrong with the hierarchy as an order of kinds that a code is to be placed in.
func (c *codeSystem) ordered(code string) *fhir.Error {
	switch {
	case c.meaning != "":
		return fhir.Errorf(fhir.NotSupported, "", "the hierarchy of the code system %s (%s) means %s and not is-a, so nothing in it is a kind of something else", c.url, c.reference, clip(c.meaning))
	case !c.complete && !c.has(code):
		return fhir.Errorf(fhir.NotSupported, "", "the code system %s is stored only in part (%s), and %q is not in it", c.url, c.reference, clip(code))
	}
	return nil
}

// compiledTerms keeps the compiled forms of stored versions, which never change.
type compiledTerms struct {
	systems map[versionKey]*codeSystem
	sets    map[versionKey]*valueSet
}

type versionKey struct {
	key     fhir.Key
	version uint64
}

const mostCompiled = 64

// codeSystem is the stored CodeSystem of that name; if there is none, the evaluation fails.
func (l *Lookup) codeSystem(s *Subject, name systemName) *codeSystem {
	if c, ok := l.systems[name]; ok {
		l.may()
		return c
	}
	found := l.canonical(s.env, "CodeSystem", name.url, name.version)
	switch {
	case l.err != nil:
		return nil
	case found == nil:
		l.fail(fhir.Errorf(fhir.NotSupported, "", "the code system %s is not stored here: store its CodeSystem first", name))
		return nil
	}
	k := versionKey{found.resource.Key, found.resource.Version}
	c := l.compiled.systems[k]
	if c == nil {
		c = compileCodeSystem(found.resource)
		if l.compiled.systems == nil || len(l.compiled.systems) >= mostCompiled {
			l.compiled.systems = map[versionKey]*codeSystem{}
		}
		l.compiled.systems[k] = c
	}
	if l.systems == nil || len(l.systems) >= mostRemembered {
		l.systems = map[systemName]*codeSystem{}
	}
	l.systems[name] = c
	return c
}

func (n systemName) String() string {
	if n.version == "" {
		return clip(n.url)
	}
	return clip(n.url) + "|" + clip(n.version)
}
