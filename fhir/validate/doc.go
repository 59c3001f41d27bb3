// Package validate checks the structure of resources against R4's definitions (package schema), so that a typo
// is refused with its path and not stored in silence.
//
// Structure, the default mode, asks whether the JSON is what R4's tables say: element names, JSON types, maximum
// cardinality, choices, the formats of primitives, the form of references. It knows no minimum but that an
// extension says what it is and has something to say. Strict adds what R4 requires to be there, and that codes
// with a required binding come from their value set. docs/validation.md has the table of all checks.
//
// A resource is walked once, over its parsed tape, without decoding anything; each type's members were put
// into a map at the first use (shape.go). Finding out where one is and what could have been meant is left to
// the moment when something is wrong.
//
// The trap: errors quote what was sent, and a Subscription holds secrets. Inside one, values are never quoted.
package validate
