package tape

import (
	"cmp"
	"slices"
)

// Edit replaces the bytes [Start, End) of a document's compact form with With.
// Start == End inserts; an empty With deletes.
type Edit struct {
	Start, End int
	With       []byte
}

// Splice returns the compact form with the edits made, in a new slice. Edits must not overlap; they may
// come in any order. Insertions at one place keep the order given and come before what is replaced there.
func (d *Doc) Splice(edits ...Edit) []byte { return d.splice(inOrder(edits)) }

// inOrder leaves the edits that it is given alone.
func inOrder(edits []Edit) []Edit {
	order := func(a, b Edit) int { return cmp.Or(a.Start-b.Start, a.End-b.End) }
	if slices.IsSortedFunc(edits, order) {
		return edits
	}
	edits = slices.Clone(edits)
	slices.SortStableFunc(edits, order)
	return edits
}

func (d *Doc) splice(sorted []Edit) []byte {
	size := len(d.bytes)
	for _, e := range sorted {
		size += len(e.With) - (e.End - e.Start)
	}
	out := make([]byte, 0, size)
	at := 0
	for _, e := range sorted {
		out = append(out, d.bytes[at:e.Start]...)
		out = append(out, e.With...)
		at = e.End
	}
	return append(out, d.bytes[at:]...)
}
