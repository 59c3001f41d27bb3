package criteria

import (
	"slices"
	"time"

	"fhirhook/fhir"
)

// Reaches returns where a type's subjects that the terms can match have their marks, for terms that are all
// about one parameter and must all hold; false if the index can't tell.
func Reaches(terms []*Term, of fhir.Type, env Env) ([]Reach, bool) {
	var all []Reach
	served := false
	for _, t := range terms {
		reaches, ok := t.Reaches(of, env)
		if !ok {
			continue
		}
		if served {
			reaches = both(all, reaches)
		}
		all, served = reaches, true
	}
	return all, served
}

// both narrows what two terms on one parameter allow. A lone value has to satisfy both; of several, each term may
// be satisfied by another, so of those the first term's are taken as they are.
func both(a, b []Reach) []Reach {
	pa, pb := points(a), points(b)
	if len(pa) != 1 || len(pb) != 1 {
		return a
	}
	out := slices.Clone(a)
	for i := range out {
		if out[i].Class == MarkPoint {
			out[i].Low, out[i].High = max(pa[0].Low, pb[0].Low), min(pa[0].High, pb[0].High)
		}
	}
	return slices.DeleteFunc(out, func(r Reach) bool { return r.Low > r.High })
}

func points(all []Reach) []Reach {
	var out []Reach
	for _, r := range all {
		if r.Class == MarkPoint {
			out = append(out, r)
		}
	}
	return out
}

// Reaches returns where the marks lie of a type's subjects that the term can match; false if any may.
func (t *Term) Reaches(of fhir.Type, env Env) ([]Reach, bool) {
	p, ok := t.Param(of)
	if !ok || !p.Marked() {
		return nil, false
	}
	var out []Reach
	for _, v := range t.Values {
		if out, ok = t.appendReaches(out, p, v, env); !ok {
			return nil, false
		}
	}
	return out, true
}

func (t *Term) appendReaches(out []Reach, p *Param, v Value, env Env) ([]Reach, bool) {
	plainly := t.Modifier == ""
	switch v := v.(type) {
	case *tokenValue:
		_, loose := p.tokenForms()
		return append(out, Reach{Class: MarkText, Text: looseCode(v.code, loose)}), plainly && v.code != ""
	case *referenceValue:
		return append(out, Reach{Class: MarkText, Text: v.mark()}), plainly || fhir.Type(t.Modifier).Known()
	case *uriValue:
		return append(out, Reach{Class: MarkText, Text: v.url}), plainly
	case *stringValue:
		return v.appendReaches(out)
	case *dateValue:
		out, ok := v.appendReaches(out, env)
		return out, ok && plainly
	case *numberValue:
		out, ok := v.appendReaches(out)
		return out, ok && plainly
	case *quantityValue:
		out, ok := v.appendReaches(out)
		return out, ok && plainly
	default:
		return out, false
	}
}

func (v *referenceValue) mark() string {
	switch {
	case v.rest && v.version == "":
		return v.id
	case v.bare:
		return v.whole
	default:
		return v.url
	}
}

// appendReaches of a string: of :exact too, for what is the same begins the same.
func (v *stringValue) appendReaches(out []Reach) ([]Reach, bool) {
	if v.modifier != "" && v.modifier != modifierExact {
		return out, false
	}
	sought := plainOf(v.text)
	if sought.joined == "" { // nothing but punctuation is compared with the punctuation
		return out, false
	}
	forms := []string{sought.joined, sought.spaced}
	for _, form := range slices.Compact(forms) {
		out = append(out, Reach{Class: MarkStart, Low: startOrder(form, 0), High: startOrder(form, 0xff)})
	}
	return out, true
}

// edges adds the parts of the orders of values' ends that are not empty, which the zero Reach is.
func edges(out []Reach, point, low, high Reach) []Reach {
	point.Class, low.Class, high.Class = MarkPoint, MarkLow, MarkHigh
	for _, r := range [...]Reach{point, low, high} {
		if r.High != 0 {
			out = append(out, r)
		}
	}
	return out
}

const (
	least = uint64(0)
	most  = ^uint64(0)
)

func (v *dateValue) appendReaches(out []Reach, env Env) ([]Reach, bool) {
	zone := env.zone()
	s := v.utc
	if !v.civil.zoned && zone != time.UTC {
		s = v.civil.interval(zone)
	}
	if v.prefix == AP {
		s = s.widened(momentOf(env.Now))
	}
	// Marks of dates that name no zone were made as if it were UTC.
	slack := int64(0)
	if zone != time.UTC {
		slack = 24 * 60 * 60
	}
	before := func(m moment, sec int64) uint64 { return m.plus(-sec - slack).order() }
	behind := func(m moment) uint64 { return m.plus(slack).order() }
	switch v.prefix {
	case EQ:
		in := Reach{Low: before(s.low, 0), High: behind(s.high)}
		return edges(out, in, in, Reach{}), true
	case GT, GE: // the upper end lies behind s.low
		return edges(out, Reach{Low: before(s.low, near), High: most}, Reach{}, Reach{Low: before(s.low, 0), High: most}), true
	case SA:
		in := Reach{Low: before(s.high, 0), High: most}
		return edges(out, in, in, Reach{}), true
	case LT, LE:
		in := Reach{Low: least, High: behind(s.high)}
		return edges(out, in, in, Reach{}), true
	case EB:
		in := Reach{Low: least, High: behind(s.low)}
		return edges(out, in, Reach{}, in), true
	case AP:
		return edges(out, Reach{Low: before(s.low, near), High: behind(s.high)}, Reach{}, Reach{Low: before(s.low, 0), High: most}), true
	default:
		return out, false
	}
}

func (t *numberTest) appendReaches(out []Reach) ([]Reach, bool) {
	at := t.at.order()
	above, below := Reach{Low: at, High: most}, Reach{Low: least, High: at}
	switch t.prefix {
	case EQ:
		in := Reach{Low: t.low.order(), High: t.high.order()}
		return edges(out, in, in, Reach{}), true
	case GT, GE:
		return edges(out, above, Reach{}, above), true
	case SA:
		return edges(out, above, above, Reach{}), true
	case LT, LE:
		return edges(out, below, below, Reach{}), true
	case EB:
		return edges(out, below, Reach{}, below), true
	case AP:
		return edges(out, Reach{Low: t.low.order(), High: t.high.order()}, Reach{}, Reach{Low: t.low.order(), High: most}), true
	default:
		return out, false
	}
}

// ReachOfKey returns where the marks lie of subjects that have a key (AppendKeys) of the parameter; false if
// any may.
func (p *Param) ReachOfKey(key string) (Reach, bool) {
	switch p.Kind {
	case URI:
		return Reach{Class: MarkText, Text: key}, true
	case Reference:
		if t := targetOf(key); t.rest {
			return Reach{Class: MarkText, Text: t.id}, true
		}
		return Reach{Class: MarkText, Text: key}, true
	default:
		return Reach{}, false
	}
}
