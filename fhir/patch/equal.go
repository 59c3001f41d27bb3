package patch

import (
	"bytes"
	"math/big"
	"strings"

	"fhirhook/fhir/tape"
)

// equal compares by RFC 6902 section 4.6: numbers by value, objects whatever the order of their members.
func (n *node) equal(m *node) bool {
	if n.kind() != m.kind() {
		return false
	}
	switch n.kind() {
	case tape.Object:
		n.open()
		m.open()
		if len(n.members) != len(m.members) {
			return false
		}
		others := make(map[string]*node, len(m.members))
		for _, o := range m.members {
			others[o.name] = o.value
		}
		for _, a := range n.members {
			if b := others[a.name]; b == nil || !a.value.equal(b) {
				return false
			}
		}
		return true
	case tape.Array:
		n.open()
		m.open()
		if len(n.elements) != len(m.elements) {
			return false
		}
		for i := range n.elements {
			if !n.elements[i].equal(m.elements[i]) {
				return false
			}
		}
		return true
	case tape.Number:
		return bytes.Equal(n.shown.Raw(), m.shown.Raw()) || canonical(n.text()) == canonical(m.text())
	default:
		return n.text() == m.text()
	}
}

// canonical writes a JSON number so that equal ones are the same text: the digits without zeros at their
// ends, and the power of ten of the last. The number itself is never made: 1e999999999 is legal.
func canonical(s string) string {
	s, negative := strings.CutPrefix(s, "-")
	mantissa, power := s, "0"
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		mantissa, power = s[:i], strings.TrimPrefix(s[i+1:], "+")
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		return "0"
	}
	const mostPower = 1000 // digits of an exponent; what is longer is compared as it is written
	if len(power) > mostPower {
		return s
	}
	exponent, ok := new(big.Int).SetString(power, 10)
	if !ok {
		return s
	}
	short := strings.TrimRight(digits, "0")
	exponent.Add(exponent, big.NewInt(int64(len(digits)-len(short)-len(fraction))))
	sign := ""
	if negative {
		sign = "-"
	}
	return sign + short + "e" + exponent.String()
}
