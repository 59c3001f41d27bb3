package rest

import (
	"fmt"
	"regexp"
	"strings"
	"sync"

	"fhirhook/fhir"
	"fhirhook/fhir/schema"
	"fhirhook/fhir/tape"
)

// site is a value in a resource that may name another resource.
type site struct {
	kind siteKind
	node tape.Node
}

// path is the way to the site from a node around it, as FHIRPath: .performer[1].reference.
func (s site) path(from tape.Node) string {
	at, _ := s.node.Span()
	holds := func(n tape.Node) bool {
		start, end := n.Span()
		return start <= at && at < end
	}
	switch from.Kind() {
	case tape.Array:
		i := 0
		for v := range from.Elements() {
			if holds(v) {
				return fmt.Sprintf("[%d]", i) + s.path(v)
			}
			i++
		}
	case tape.Object:
		for name, v := range from.Members() {
			if holds(v) {
				return "." + name + s.path(v)
			}
		}
	}
	return ""
}

type siteKind uint8

// The kinds of sites that a transaction rewrites (R4 http.html#trules). Canonicals are none of them.
const (
	referenceSite siteKind = iota + 1 // Reference.reference
	uriSite                           // a uri, url, oid or uuid
	narrativeSite                     // the XHTML of a narrative, whose links may name resources
)

// sites lists them for a resource, by the table of R4's elements; what that table does not know is left
// alone. A Bundle inside is left alone too: its references are about its own entries.
func sites(in fhir.Incoming) []site {
	var w siteWalk
	w.resource(in.Doc.Root())
	return w.found
}

type siteWalk struct{ found []site }

func (w *siteWalk) resource(n tape.Node) {
	name := n.Get("resourceType").Text()
	if name == string(fhir.Bundle) {
		return
	}
	if t, ok := schema.Lookup(name); ok {
		w.object(n, t)
	}
}

func (w *siteWalk) object(n tape.Node, t *schema.Type) {
	types := membersOf(t)
	for name, v := range n.Members() {
		inner, ok := types[name]
		if !ok {
			continue
		}
		for v := range v.Elements() {
			w.value(v, t, name, inner)
		}
	}
}

func (w *siteWalk) value(v tape.Node, owner *schema.Type, name string, t *schema.Type) {
	switch {
	case v.Kind() == tape.Object && t.Is("Resource"):
		w.resource(v) // contained, or a parameter
	case v.Kind() == tape.Object && t.Class != schema.Primitive:
		w.object(v, t)
	case v.Kind() != tape.String:
	case owner.Is("Reference") && name == "reference":
		w.found = append(w.found, site{referenceSite, v})
	case t.Name == "xhtml":
		w.found = append(w.found, site{narrativeSite, v})
	case owner.Is("Extension") && name == "url": // says what the extension is
	case t.Is("uri") && !t.Is("canonical"):
		w.found = append(w.found, site{uriSite, v})
	}
}

// memberTypes caches, for each type, the type of each JSON member.
var memberTypes sync.Map // *schema.Type → map[string]*schema.Type

func membersOf(t *schema.Type) map[string]*schema.Type {
	if m, ok := memberTypes.Load(t); ok {
		return m.(map[string]*schema.Type)
	}
	m := map[string]*schema.Type{}
	for e := range t.All() {
		for _, name := range e.Types {
			if inner, ok := schema.Lookup(name); ok {
				m[e.Member(name)] = inner
				if inner.Class == schema.Primitive {
					if element, ok := schema.Lookup("Element"); ok {
						m["_"+e.Member(name)] = element // its extensions
					}
				}
			}
		}
	}
	memberTypes.Store(t, m)
	return m
}

// identities maps the fullUrl of each entry that is written to what it is here.
type identities map[string]identity

type identity struct {
	key     fhir.Key
	created bool
}

// restful is the shape of a literal reference to a version or a resource, after an optional root (R4
// references.html#literal).
var restful = regexp.MustCompile(`^(https?://.*/)?([A-Z][A-Za-z]+)/([A-Za-z0-9.-]{1,64})(?:/_history/([A-Za-z0-9.-]{1,64}))?$`)

// root is what a relative reference in an entry with this fullUrl is relative to, "" if that is nothing.
func root(fullURL string) string {
	m := restful.FindStringSubmatch(fullURL)
	if m == nil {
		return ""
	}
	return m[1]
}

// resolve returns what a reference becomes, and whether it changes. Relative references are first joined to
// the root of the entry they stand in (R4 bundle.html#references).
func (ids identities) resolve(value, root string) (string, bool) {
	base, fragment, _ := strings.Cut(value, "#")
	if base == "" {
		return "", false
	}
	if fragment != "" {
		fragment = "#" + fragment
	}
	if id, ok := ids[base]; ok {
		return id.key.String() + fragment, true
	}
	if !strings.Contains(base, "/_history/") {
		// Then it is a name that stands above, or one below the root: most values need no closer look.
		id, ok := ids[root+base]
		if root == "" || !ok {
			return "", false
		}
		return id.key.String() + fragment, true
	}
	m := restful.FindStringSubmatch(base)
	if m == nil {
		return "", false
	}
	from, typ, version := m[1], m[2], m[4]
	if from == "" {
		from = root
	}
	id, ok := ids[from+typ+"/"+m[3]]
	if !ok {
		return "", false
	}
	text := id.key.String()
	if version != "" && id.created {
		version = "1"
	}
	if version != "" {
		text += "/_history/" + version
	}
	return text + fragment, true
}

// edits rewrites what names an entry of the transaction. URIs and links are compared in full only: a uri
// that is no reference may look like a relative one.
func (ids identities) edits(found []site, root string) []tape.Edit {
	if len(ids) == 0 {
		return nil
	}
	var edits []tape.Edit
	for _, s := range found {
		start, end := s.node.Span()
		switch s.kind {
		case referenceSite:
			if to, ok := ids.resolve(s.node.Text(), root); ok {
				edits = append(edits, tape.Edit{Start: start, End: end, With: encode(to)})
			}
		case uriSite:
			if to, ok := ids.resolve(s.node.Text(), ""); ok {
				edits = append(edits, tape.Edit{Start: start, End: end, With: encode(to)})
			}
		case narrativeSite:
			for _, e := range ids.linkEdits(s.node, root) {
				edits = append(edits, tape.Edit{Start: start + e.Start, End: start + e.End, With: e.With})
			}
		}
	}
	return edits
}

// htmlLink is a link in XHTML: the value is the second or third group.
var htmlLink = regexp.MustCompile(`<(?:a|img)\s[^>]*?(?:href|src)\s*=\s*(?:"([^"]*)"|'([^']*)')`)

// linkEdits finds the links of a narrative. The string keeps its escapes: only the bytes of a link's value
// are replaced, at the places in the JSON that the decoded places came from.
func (ids identities) linkEdits(n tape.Node, root string) []tape.Edit {
	raw := n.Raw()
	decoded := n.Text()
	var edits []tape.Edit
	var places []int
	for _, m := range htmlLink.FindAllStringSubmatchIndex(decoded, -1) {
		from, to := m[2], m[3]
		if from < 0 {
			from, to = m[4], m[5]
		}
		target, ok := ids.resolve(decoded[from:to], root)
		if !ok {
			continue
		}
		if places == nil {
			places = rawPlaces(raw)
		}
		quoted := encode(target)
		edits = append(edits, tape.Edit{Start: places[from], End: places[to], With: quoted[1 : len(quoted)-1]})
	}
	return edits
}

// rawPlaces maps each byte of a decoded JSON string, and its end, to where it comes from in raw.
func rawPlaces(raw []byte) []int {
	places := make([]int, 0, len(raw))
	for i := 1; i < len(raw)-1; {
		length, bytes := 1, 1
		if raw[i] == '\\' {
			length, bytes = escapeLength(raw[i:])
		}
		for range bytes {
			places = append(places, i)
		}
		i += length
	}
	return append(places, len(raw)-1)
}

// escapeLength is how long an escape is, and how many bytes of UTF-8 it stands for. The parser has accepted it.
func escapeLength(raw []byte) (length, bytes int) {
	if raw[1] != 'u' {
		return 2, 1
	}
	high := hexQuad(raw[2:6])
	switch {
	case high >= 0xd800 && high < 0xe000:
		return 12, 4
	case high >= 0x800:
		return 6, 3
	case high >= 0x80:
		return 6, 2
	default:
		return 6, 1
	}
}

func hexQuad(b []byte) (n int) {
	for _, c := range b {
		n <<= 4
		switch {
		case c >= 'a':
			n |= int(c-'a') + 10
		case c >= 'A':
			n |= int(c-'A') + 10
		default:
			n |= int(c - '0')
		}
	}
	return n
}
