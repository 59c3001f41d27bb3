package fhir

import (
	"bytes"
	"slices"
	"strconv"
	"time"

	"fhirhook/fhir/tape"
)

// Stamp returns the document's bytes with id, meta.versionId and meta.lastUpdated set: replaced where they
// stand, else put behind resourceType, id and the opening of meta. All other bytes stay (invariant 1).
// The document must have passed Read.
func Stamp(doc *tape.Doc, id string, version uint64, updated time.Time) []byte {
	return doc.Splice(stamp(doc, id, version, updated)...)
}

// Stamped is a version whose JSON is the document's, stamped. The document's parse goes over into its own.
func Stamped(doc *tape.Doc, key Key, version uint64, updated time.Time) *Resource {
	stamped := doc.Graft(stamp(doc, key.ID, version, updated)...)
	r := &Resource{Key: key, Version: version, Updated: updated, JSON: stamped.Bytes()}
	r.doc.Store(stamped)
	return r
}

// stamp is what has to be changed. It needs no escaping: ids, version numbers and instants hold only plain characters.
func stamp(doc *tape.Doc, id string, version uint64, updated time.Time) []tape.Edit {
	root := doc.Root()
	_, behind, _ := root.MemberSpan("resourceType")
	edits := make([]tape.Edit, 0, 3)
	insert := make([]byte, 0, 160) // room for an id of 64 characters and all else
	if v := root.Get("id"); v.Exists() {
		start, end := v.Span()
		if string(v.Raw()) != `"`+id+`"` {
			edits = append(edits, tape.Edit{Start: start, End: end, With: quoted(id)})
		}
		behind = end
	} else {
		insert = append(append(append(insert, `,"id":"`...), id...), '"')
	}
	meta := root.Get("meta")
	if !meta.Exists() {
		insert = strconv.AppendUint(append(insert, `,"meta":{"versionId":"`...), version, 10)
		insert = updated.UTC().AppendFormat(append(insert, `","lastUpdated":"`...), instantLayout)
		insert = append(insert, `"}`...)
	}
	if len(insert) > 0 {
		edits = append(edits, tape.Edit{Start: behind, End: behind, With: insert})
	}
	if meta.Exists() {
		edits = append(edits, stampMeta(meta, strconv.FormatUint(version, 10), Instant(updated))...)
	}
	return edits
}

func stampMeta(meta tape.Node, versionID, updated string) []tape.Edit {
	var edits []tape.Edit
	var insert []byte
	for _, m := range []struct{ name, value string }{{"versionId", versionID}, {"lastUpdated", updated}} {
		if v := meta.Get(m.name); v.Exists() {
			start, end := v.Span()
			edits = append(edits, tape.Edit{Start: start, End: end, With: quoted(m.value)})
			continue
		}
		if len(insert) > 0 {
			insert = append(insert, ',')
		}
		insert = append(insert, `"`+m.name+`":"`+m.value+`"`...)
	}
	if len(insert) > 0 {
		if meta.Len() > 0 {
			insert = append(insert, ',')
		}
		start, _ := meta.Span()
		edits = append(edits, tape.Edit{Start: start + 1, End: start + 1, With: insert})
	}
	return edits
}

func quoted(s string) []byte { return []byte(`"` + s + `"`) }

// SameContent tells whether two resources differ in nothing but id, meta.versionId and meta.lastUpdated.
// An update with the same content makes no version (docs/architecture.md). Order, number text and string
// escapes count, for what is served is what was sent.
func SameContent(a, b *tape.Doc) bool {
	return slices.EqualFunc(content(a.Root()), content(b.Root()), func(a, b member) bool {
		if a.name == "meta" && b.name == "meta" && a.value.Kind() == tape.Object && b.value.Kind() == tape.Object {
			return slices.EqualFunc(metaContent(a.value), metaContent(b.value), same)
		}
		return same(a, b)
	})
}

type member struct {
	name  string
	value tape.Node
}

func same(a, b member) bool { return a.name == b.name && bytes.Equal(a.value.Raw(), b.value.Raw()) }

// content is the members but id, and but a meta in which nothing stands that a client could have meant.
func content(root tape.Node) []member {
	all := make([]member, 0, root.Len())
	for name, v := range root.Members() {
		if name == "id" || name == "meta" && v.Kind() == tape.Object && len(metaContent(v)) == 0 {
			continue
		}
		all = append(all, member{name, v})
	}
	return all
}

func metaContent(meta tape.Node) []member {
	var all []member
	for name, v := range meta.Members() {
		if name != "versionId" && name != "lastUpdated" {
			all = append(all, member{name, v})
		}
	}
	return all
}
