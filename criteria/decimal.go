package criteria

import (
	"math/big"
	"strings"
)

// decimal is an exact number, 0.digits × 10^mag, where digits neither begins nor ends with 0; zero has none.
// It is made for comparing: that looks at mag and then at the digits, so an exponent such as 1e999999999
// costs nothing, and no float64 is ever involved (R4 has 1E-22 and 1E+245 in its own examples).
type decimal struct {
	digits string
	mag    int64
	neg    bool
}

// written is a number as it is written: coef × 10^exp, where exp is the place of the last digit written.
type written struct {
	coef string // decimal digits, at least one
	exp  int64
	neg  bool
}

// farExponent is where exponents stop growing. Nothing tells numbers beyond it apart, and sums with the
// length of a text stay far from overflow.
const farExponent = 1 << 40

// parseWritten reads a number by the grammar of the decimal data type (R4 datatypes.html#decimal).
func parseWritten(s string) (written, bool) {
	var w written
	if strings.HasPrefix(s, "-") {
		w.neg, s = true, s[1:]
	}
	whole, s := leadingDigits(s)
	if whole == "" || len(whole) > 1 && whole[0] == '0' {
		return w, false
	}
	w.coef = whole
	if strings.HasPrefix(s, ".") {
		var fraction string
		fraction, s = leadingDigits(s[1:])
		if fraction == "" {
			return w, false
		}
		w.coef, w.exp = whole+fraction, -int64(len(fraction))
	}
	if s == "" {
		return w, true
	}
	if s[0] != 'e' && s[0] != 'E' {
		return w, false
	}
	s = s[1:]
	sign := int64(1)
	if strings.HasPrefix(s, "-") {
		sign, s = -1, s[1:]
	} else {
		s = strings.TrimPrefix(s, "+")
	}
	power, s := leadingDigits(s)
	if power == "" || s != "" {
		return w, false
	}
	n := int64(0)
	for i := range len(power) {
		n = min(10*n+int64(power[i]-'0'), farExponent)
	}
	w.exp += sign * n
	return w, true
}

func leadingDigits(s string) (digits, rest string) {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return s[:i], s[i:]
}

func (w written) decimal() decimal {
	digits := strings.TrimLeft(w.coef, "0")
	d := decimal{mag: int64(len(digits)) + w.exp, neg: w.neg}
	d.digits = strings.TrimRight(digits, "0")
	if d.digits == "" {
		return decimal{}
	}
	return d
}

// scaled returns (coef × by + plus) × 10^(exp-1): with by = 10 and plus = ±5 the number half a unit of its
// last digit away, with by = 9 or 11 the number less or more by a tenth.
func (w written) scaled(by, plus int64) decimal {
	n, _ := new(big.Int).SetString(w.coef, 10)
	if w.neg {
		n.Neg(n)
	}
	n.Mul(n, big.NewInt(by))
	n.Add(n, big.NewInt(plus))
	return written{coef: new(big.Int).Abs(n).String(), exp: w.exp - 1, neg: n.Sign() < 0}.decimal()
}

// compare is negative, 0 or positive as d is less than, equal to or greater than e.
func (d decimal) compare(e decimal) int {
	switch {
	case d.neg != e.neg:
		if d.neg {
			return -1
		}
		return 1
	case d.neg:
		return e.size(d)
	default:
		return d.size(e)
	}
}

// size compares without the signs.
func (d decimal) size(e decimal) int {
	switch {
	case d.digits == "" || e.digits == "":
		return len(d.digits) - len(e.digits)
	case d.mag != e.mag:
		if d.mag < e.mag {
			return -1
		}
		return 1
	default:
		return strings.Compare(d.digits, e.digits)
	}
}
