package criteria

import (
	"bytes"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

const structurePrefix = "http://hl7.org/fhir/StructureDefinition/"

// targetIs tells whether a Reference (or a string that is one) surely points to a resource of the type.
// Nothing is fetched. The type is told by Reference.type, by an address of the form Type/id, relative or
// absolute, with or without /_history/ (R4 references.html#literal), or by the contained resource that
// #id names. Else it is unknown, and the answer no.
func targetIs(ref, root tape.Node, typ string) bool {
	address := ref
	if ref.Kind() == tape.Object {
		if t := ref.Get("type"); t.Kind() == tape.String {
			name := plainText(t)
			if rest, ok := bytes.CutPrefix(name, []byte(structurePrefix)); ok {
				name = rest
			}
			return sameType(name, typ)
		}
		address = ref.Get("reference")
	}
	if address.Kind() != tape.String {
		return false
	}
	text := plainText(address)
	if id, ok := bytes.CutPrefix(text, []byte("#")); ok {
		return containedIs(id, root, typ)
	}
	return sameType(typeSegment(text), typ)
}

// plainText is Text without a copy where the string has no escapes.
func plainText(n tape.Node) []byte {
	raw := n.Raw()
	raw = raw[1 : len(raw)-1]
	if bytes.IndexByte(raw, '\\') >= 0 {
		return []byte(n.Text())
	}
	return raw
}

// sameType also knows the abstract types, which every known type is.
func sameType(name []byte, typ string) bool {
	if string(name) == typ {
		return true
	}
	if typ != "Resource" && typ != "DomainResource" {
		return false
	}
	t := fhir.Type(name)
	return t.Known() && (typ == "Resource" || t != fhir.Binary && t != fhir.Bundle && t != fhir.Parameters)
}

// containedIs looks #id up; # alone is the resource itself.
func containedIs(id []byte, root tape.Node, typ string) bool {
	if len(id) == 0 {
		return sameType([]byte(root.Get("resourceType").Text()), typ)
	}
	for c := range root.Get("contained").Elements() {
		if c.Get("id").Is(string(id)) {
			return sameType([]byte(c.Get("resourceType").Text()), typ)
		}
	}
	return false
}

// typeSegment is the type in a literal reference, empty if the address does not have that form.
func typeSegment(address []byte) []byte {
	if before, version, ok := bytes.Cut(address, []byte("/_history/")); ok && fhir.ValidID(string(version)) {
		address = before
	}
	slash := bytes.LastIndexByte(address, '/')
	if slash < 0 || !fhir.ValidID(string(address[slash+1:])) {
		return nil
	}
	name := address[:slash]
	slash = bytes.LastIndexByte(name, '/')
	if slash < 0 {
		return name
	}
	_, host, ok := bytes.Cut(name[:slash], []byte("://"))
	if !ok || len(host) == 0 || !bytes.HasPrefix(address, []byte("http")) {
		return nil
	}
	return name[slash+1:]
}
