package fhir

import (
	"bytes"
	"strconv"
	"time"

	"fhirhook/fhir/tape"
)

// Stamp returns the document's bytes with id, meta.versionId and meta.lastUpdated set: replaced where they
// stand, else put behind resourceType, id and the opening of meta. All other bytes stay (invariant 1).
// The document must have passed Read.
func Stamp(doc *tape.Doc, id string, version uint64, updated time.Time) []byte {
	root := doc.Root()
	_, behind, _ := root.MemberSpan("resourceType")
	edits := make([]tape.Edit, 0, 3)
	if v := root.Get("id"); v.Exists() {
		start, end := v.Span()
		edits = append(edits, tape.Edit{Start: start, End: end, With: quoted(id)})
		behind = end
	} else {
		edits = append(edits, tape.Edit{Start: behind, End: behind, With: []byte(`,"id":"` + id + `"`)})
	}
	versionID := strconv.FormatUint(version, 10)
	meta := root.Get("meta")
	if !meta.Exists() {
		with := `,"meta":{"versionId":"` + versionID + `","lastUpdated":"` + Instant(updated) + `"}`
		return doc.Splice(append(edits, tape.Edit{Start: behind, End: behind, With: []byte(with)})...)
	}
	edits = append(edits, stampMeta(meta, versionID, Instant(updated))...)
	return doc.Splice(edits...)
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

// quoted needs no escaping: ids, version numbers and instants hold only plain characters.
func quoted(s string) []byte { return []byte(`"` + s + `"`) }

// SameContent tells whether two resources differ in nothing but id, meta.versionId and meta.lastUpdated.
// An update with the same content makes no version (docs/architecture.md). Order counts, for what is
// served is what was sent.
func SameContent(a, b *tape.Doc) bool {
	return bytes.Equal(content(a), content(b))
}

// content is the document without the three stamped members, and without a meta that held nothing else.
func content(doc *tape.Doc) []byte {
	root := doc.Root()
	meta := root.Get("meta")
	stamped := 0
	for _, name := range []string{"versionId", "lastUpdated"} {
		if meta.Get(name).Exists() {
			stamped++
		}
	}
	var out []byte
	for name, v := range root.Members() {
		switch {
		case name == "id", name == "meta" && meta.Kind() == tape.Object && meta.Len() == stamped:
		case name == "meta" && meta.Kind() == tape.Object:
			for inner, v := range meta.Members() {
				if inner != "versionId" && inner != "lastUpdated" {
					out = appendMember(out, "meta."+inner, v)
				}
			}
		default:
			out = appendMember(out, name, v)
		}
	}
	return out
}

func appendMember(out []byte, name string, v tape.Node) []byte {
	out = strconv.AppendQuote(out, name)
	return append(out, v.Raw()...)
}
