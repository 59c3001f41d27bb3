package fhir

import (
	"errors"
	"strings"

	"fhirhook/fhir/tape"
)

// Incoming is a resource as a client sent it: read, checked for being a resource at all, not stamped.
type Incoming struct {
	Type Type
	ID   string // "" if it has none
	Doc  *tape.Doc
}

// Read parses body as a resource nested at most depth deep (0: tape.MaxDepth). It refuses what could not
// be stored faithfully or stamped: no JSON, no known resourceType, an id or a meta of the wrong JSON type,
// a malformed id. The error is an *Error of kind Structure, Required or Value.
func Read(body []byte, depth int) (Incoming, error) {
	doc, err := tape.Parse(body, depth)
	if err != nil {
		syntax, _ := errors.AsType[*tape.SyntaxError](err)
		return Incoming{}, Errorf(Structure, "", "the body is not acceptable JSON: line %d, column %d: %s",
			syntax.Line, syntax.Column, syntax.Reason)
	}
	return Check(doc)
}

// Check is Read for JSON that is parsed already.
func Check(doc *tape.Doc) (Incoming, error) {
	root := doc.Root()
	if root.Kind() != tape.Object {
		return Incoming{}, Errorf(Structure, "", "a resource is a JSON object, and this is a JSON %s", root.Kind())
	}
	name := root.Get("resourceType")
	switch {
	case !name.Exists():
		return Incoming{}, Errorf(Required, "Resource.resourceType", `the member "resourceType" is missing: name the type of the resource there`)
	case name.Kind() != tape.String:
		return Incoming{}, Errorf(Value, "Resource.resourceType", `"resourceType" must be a string`)
	}
	in := Incoming{Type: Type(name.Text()), Doc: doc}
	if !in.Type.Known() {
		return Incoming{}, Errorf(Value, "Resource.resourceType", "%s is not a resource type of FHIR R4", clip(name.Raw()))
	}
	if id := root.Get("id"); id.Exists() {
		if id.Kind() != tape.String || !ValidID(id.Text()) {
			return Incoming{}, Errorf(Value, string(in.Type)+".id", "%s is not a FHIR id: 1 to 64 of A-Z, a-z, 0-9, - and .", clip(id.Raw()))
		}
		in.ID = id.Text()
	}
	meta := root.Get("meta")
	if meta.Exists() && meta.Kind() != tape.Object {
		return Incoming{}, Errorf(Value, string(in.Type)+".meta", "meta must be a JSON object, and this is a JSON %s", meta.Kind())
	}
	return in, nil
}

func clip(b []byte) string {
	const most = 80
	if len(b) <= most {
		return string(b)
	}
	return strings.ToValidUTF8(string(b[:most]), "") + "…"
}
