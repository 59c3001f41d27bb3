// Package fhirpath reads FHIRPath, as far as search parameters use it, into a tree. It knows the grammar
// and nothing of FHIR: whether an element exists, and what an expression means, is decided by its reader
// (package criteria compiles the tree to fixed paths).
//
// Read are paths, indexers, function calls, |, is, as, =, !=, and, or, parentheses, $this, %resource and
// literals that are strings, whole numbers or booleans. All else is refused by name (FHIRPath 2.0.0).
package fhirpath

// Op says what an Expr is.
type Op uint8

// The operations. Left and Right are the operands, in the order in which they are written.
const (
	Member   Op = iota + 1 // Name in Left; without Left, in the context or the name of a type
	Call                   // Left.Name(Args), or Name(Args) on the context
	Index                  // Left[Number]
	Union                  // Left | Right
	Is                     // Left is Name, and Left.is(Name)
	As                     // Left as Name, Left.as(Name), Left.ofType(Name)
	Equal                  // Left = Right
	NotEqual               // Left != Right
	And                    // Left and Right
	Or                     // Left or Right
	This                   // $this
	Resource               // %resource, %rootResource is not supported
	Text                   // a string: Name is its value
	Number                 // a whole number: Number
	Bool                   // true or false: Name
)

// Expr is a node of the tree.
type Expr struct {
	Op          Op
	Name        string
	Number      int
	Left, Right *Expr
	Args        []*Expr
	Start, End  int // where it stands in the text
}

// Parts returns the operands of a chain of unions from left to right; of all else, the expression itself.
func (e *Expr) Parts() []*Expr {
	if e.Op != Union {
		return []*Expr{e}
	}
	return append(e.Left.Parts(), e.Right.Parts()...)
}
