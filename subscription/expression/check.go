package expression

import (
	"errors"
	"strings"

	"fhirhook/fhir/tape"
)

// What a resource may hold to be looked at. The engine compares and counts element by element, and with
// numbers written out in full.
const (
	mostNodes    = 20_000
	mostDigits   = 1000
	mostExponent = 100
)

var (
	errManyNodes = errors.New("the resource has too many elements for an expression")
	errFarNumber = errors.New("the resource holds a number with too many digits for an expression")
)

// check refuses what would take the engine too much time or memory.
func check(doc *tape.Doc) error {
	if doc == nil {
		return nil
	}
	left := mostNodes
	return checkNode(doc.Root(), &left)
}

func checkNode(n tape.Node, left *int) error {
	if *left--; *left < 0 {
		return errManyNodes
	}
	switch n.Kind() {
	case tape.Object:
		for _, v := range n.Members() {
			if err := checkNode(v, left); err != nil {
				return err
			}
		}
	case tape.Array:
		for v := range n.Elements() {
			if err := checkNode(v, left); err != nil {
				return err
			}
		}
	case tape.Number:
		if far(string(n.Raw())) {
			return errFarNumber
		}
	}
	return nil
}

// far tells whether a number has many digits when its exponent is written out.
func far(s string) bool {
	mantissa, exponent := s, ""
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		mantissa, exponent = s[:i], strings.TrimLeft(s[i+1:], "+-0")
	}
	if len(mantissa) > mostDigits || len(exponent) > 3 {
		return true
	}
	n := 0
	for _, c := range exponent {
		n = 10*n + int(c-'0')
	}
	return n > mostExponent
}
