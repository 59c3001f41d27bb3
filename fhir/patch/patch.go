package patch

import (
	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// MaxOperations bounds the operations of one patch: each may move the rest of an array.
const MaxOperations = 1000

// Patch is a patch that was read and is in form.
type Patch interface {
	// apply changes the tree. Its error is an *fhir.Error.
	apply(t *tree) error
}

// Result is a patched document in its two forms; they are equal where nothing is masked.
type Result struct {
	Shown []byte // as a reader sees it, with masks
	Full  []byte // with what the masks stand for, wherever that has come to stand
}

// Apply applies a patch to a stored document. shown is the document as its reader sees it, the same as stored
// where nothing is masked. The result may be at most most bytes long. A patch that can't be applied to this
// document is a fhir.BusinessRule: it is in form, and the document isn't what it expects.
func Apply(p Patch, stored, shown *tape.Doc, most int) (Result, error) {
	t := &tree{root: &node{full: stored.Root(), shown: shown.Root()}, most: most, size: len(stored.Bytes())}
	if err := p.apply(t); err != nil {
		return Result{}, err
	}
	r := Result{Shown: t.root.append(nil, true)}
	if len(r.Shown) > most {
		return Result{}, t.tooLarge()
	}
	r.Full = r.Shown
	if t.root.masked() {
		r.Full = t.root.append(nil, false)
	}
	return r, nil
}

// tree is a document under change.
type tree struct {
	root *node
	most int // bytes
	size int // a bound of what the document's bytes have grown to, by copies
}

// copyOf returns a copy of a node; copies of copies would else grow without bound.
func (t *tree) copyOf(n *node) (*node, error) {
	if t.size += n.length(); t.size > t.most {
		return nil, t.tooLarge()
	}
	return n.clone(), nil
}

func (t *tree) tooLarge() error {
	return fhir.Errorf(fhir.TooLarge, "", "the patched resource would be larger than %d bytes", t.most)
}

const maskedSource = "is masked, or holds something that is: a patch may replace or remove a secret, and not copy, move or test it"
