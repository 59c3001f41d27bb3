package subscription

import (
	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// admitStatus decides the status that is stored for the one that a client sent ("" for none). The client
// asks for on or off; whether a live Subscription is active or in error is the server's to say. So requested,
// active and none mean on, and error does on an update, where GET, edit, PUT sends it back; on a create it
// can only be a mistake. A Subscription whose end has passed is off.
func admitStatus(sent Status, update, ended bool) (Status, *fhir.Error) {
	switch {
	case sent == Erroneous && !update:
		return "", fhir.Errorf(fhir.BusinessRule, "Subscription.status",
			"only the server sets error: send requested or active to switch the Subscription on, off to store it switched off")
	case sent == Off, ended:
		return Off, nil
	default:
		return Active, nil
	}
}

// WithStatus returns the bytes of a Subscription with the two elements that the server owns: status, and
// error, which is taken away where errorText is "". All other bytes stay as they are (invariant 1).
func WithStatus(doc *tape.Doc, status Status, errorText string) []byte {
	if errorText == "" {
		doc = without(doc, "error")
	}
	doc = without(doc, "_error") // an extension of the error would be the client's, and error isn't
	root := doc.Root()
	_, behind, _ := root.MemberSpan("resourceType")
	var edits []tape.Edit
	if v := root.Get("status"); v.Exists() {
		start, end := v.Span()
		edits = append(edits, tape.Edit{Start: start, End: end, With: tape.Quote(string(status))})
		behind = end
	} else {
		edits = append(edits, tape.Edit{Start: behind, End: behind, With: append([]byte(`,"status":`), tape.Quote(string(status))...)})
	}
	if errorText != "" {
		if v := root.Get("error"); v.Exists() {
			start, end := v.Span()
			edits = append(edits, tape.Edit{Start: start, End: end, With: tape.Quote(errorText)})
		} else {
			edits = append(edits, tape.Edit{Start: behind, End: behind, With: append([]byte(`,"error":`), tape.Quote(errorText)...)})
		}
	}
	return doc.Splice(edits...)
}

// without is doc without a member of its root.
func without(doc *tape.Doc, name string) *tape.Doc {
	start, end, ok := doc.Root().MemberSpan(name)
	if !ok {
		return doc
	}
	// One of the commas beside it goes too. There is one, for a resource has a resourceType.
	if doc.Bytes()[end] == ',' {
		end++
	} else {
		start--
	}
	return reparsed(doc.Splice(tape.Edit{Start: start, End: end}))
}

// reparsed parses what was spliced from a document. Edits put only JSON strings in the place of values, so
// that it can't fail; if it did, the bytes would be no resource, and writing them must not go on.
func reparsed(b []byte) *tape.Doc {
	doc, err := tape.Parse(b, 0)
	if err != nil {
		panic("subscription: an edit broke a document: " + err.Error())
	}
	return doc
}
