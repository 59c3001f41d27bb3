package criteria

import (
	"fmt"
	"slices"
	"strings"
)

// Differs tells whether a parameter selects other values in the subject than in another version of the same
// resource. Values are compared as a search without modifiers compares them: order and repetitions do not
// count, nor do the case and the accents of a text, the display of a code, or another way to write an instant.
// An element with nothing to compare (a concept that is all text, a reference that is all identifier) counts
// as it is written.
func (s *Subject) Differs(from *Subject, p *Param) bool {
	return !slices.Equal(s.prints(s.values(p)), from.prints(from.values(p)))
}

// prints writes each value so that equal ones are the same text, sorted and each once.
func (s *Subject) prints(x *values) []string {
	var out []string
	switch x.param.Kind {
	case Token:
		for _, l := range x.leaves {
			out = codePrints(out, l)
		}
	case Reference:
		for _, l := range x.leaves {
			out = append(out, s.referencePrint(l))
		}
	case String:
		for i := range x.phrases {
			out = append(out, x.phrases[i].plain.folded)
		}
	case Date:
		for _, d := range x.dates {
			out = append(out, fmt.Sprint(d))
		}
	case Number:
		for _, n := range x.spans {
			out = append(out, fmt.Sprint(n))
		}
	case Quantity:
		for _, a := range x.amounts {
			out = append(out, fmt.Sprintf("%v %q", a.span, a.units))
		}
	case URI:
		for _, a := range x.addresses {
			out = append(out, a.whole)
		}
	case Composite:
		for _, tuple := range x.tuples {
			var parts strings.Builder
			for _, part := range tuple {
				fmt.Fprintf(&parts, "%q", s.prints(part))
			}
			out = append(out, parts.String())
		}
	case Special:
		for l := range x.param.Leaves(s.root) {
			out = append(out, string(l.Node.Raw()))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func codePrints(out []string, l Leaf) []string {
	codes := codesOf(nil, l)
	for _, c := range codes {
		code := c.code
		switch c.rule {
		case byText:
			code = fold(code)
		case byContact:
			code = looseContact(c.system, code)
		}
		out = append(out, fmt.Sprintf("%q %q", c.system, code))
	}
	if len(codes) == 0 {
		out = append(out, string(l.Node.Raw()))
	}
	return out
}

// referencePrint is the same for all ways to write where a resource of this server is.
func (s *Subject) referencePrint(l Leaf) string {
	t, ok := pointsTo(l)
	switch {
	case !ok:
		return string(l.Node.Raw())
	case !t.rest || !s.own(t.base) || t.version != "":
		return t.whole
	case t.history != "":
		return string(t.kind) + "/" + t.id + "/_history/" + t.history
	default:
		return string(t.kind) + "/" + t.id
	}
}
