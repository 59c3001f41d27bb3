package patch

import (
	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// mergePatch is a JSON Merge Patch (RFC 7396).
type mergePatch struct{ root tape.Node }

// Merge reads a JSON Merge Patch that is parsed already. One that is no object would replace the whole
// resource by something that is none.
func Merge(doc *tape.Doc) (Patch, error) {
	if kind := doc.Root().Kind(); kind != tape.Object {
		return nil, fhir.Errorf(fhir.Structure, "", "a merge patch is an object with the members to change (RFC 7396), and this is a JSON %s", kind)
	}
	return mergePatch{doc.Root()}, nil
}

func (p mergePatch) apply(t *tree) error {
	t.root = merged(t.root, p.root)
	return nil
}

// merged is MergePatch of RFC 7396 section 2. target may be nil.
func merged(target *node, patch tape.Node) *node {
	if patch.Kind() != tape.Object {
		return valueOf(patch)
	}
	if target == nil || target.kind() != tape.Object {
		target = newObject()
	}
	target.open()
	places := make(map[string]int, len(target.members))
	for i, m := range target.members {
		places[m.name] = i
	}
	removed := false
	for name, v := range patch.Members() {
		i, there := places[name]
		switch {
		case v.Kind() == tape.Null && there:
			target.members[i].value = nil
			removed = true
		case v.Kind() == tape.Null:
		case there:
			target.members[i].value = merged(target.members[i].value, v)
		default:
			target.members = append(target.members, member{name, quote(name), merged(nil, v)})
		}
	}
	if removed {
		left := target.members[:0]
		for _, m := range target.members {
			if m.value != nil {
				left = append(left, m)
			}
		}
		target.members = left
	}
	return target
}
