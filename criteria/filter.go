package criteria

import (
	"strings"

	"fhirhook/fhir"
)

// filterValue is a value of _filter (R4 search_filter.html): conditions on search parameters, joined by and, or
// and not( ). As there, and and or are read from left to right, neither before the other, and no value is
// compared with its case.
type filterValue struct{ node filterNode }

func (v *filterValue) String() string { return v.node.String() }

func (v *filterValue) matches(s *Subject, _ *values) bool { return v.node.holds(s) }

// farFilter is a filterValue that looks at other resources.
type farFilter struct{ *filterValue }

func (v farFilter) check(s *Subject) { v.node.check(s) }

// filterNode is a part of a filter. String writes it so that it can be read again.
type filterNode interface {
	holds(s *Subject) bool
	far() bool
	check(s *Subject)
	String() string
}

// filter compiles _filter. Commas and backslashes have no special meaning in it.
func (b *builder) filter(modifier, value string) (*Term, *fhir.Error) {
	if modifier != "" {
		return nil, fhir.Errorf(fhir.NotSupported, "", "_filter takes no modifier, and :%s is one", clip(modifier))
	}
	if strings.TrimSpace(value) == "" {
		return nil, nil
	}
	r := &filterReader{text: value}
	node := r.expression(b)
	if r.err == nil && r.peek() != "" {
		r.fail("%q is left over behind the filter", r.text[r.at:])
	}
	if r.err != nil {
		return nil, within(r.err)
	}
	v := &filterValue{node}
	t := &Term{Name: parameterFilter, Kind: Special, Values: []Value{v}}
	if node.far() {
		t.Values[0] = farFilter{v}
	}
	return t, nil
}

// junction is left and right, or left or right.
type junction struct {
	word        string
	left, right filterNode
}

func (n *junction) holds(s *Subject) bool {
	if n.word == "and" {
		return n.left.holds(s) && n.right.holds(s)
	}
	return n.left.holds(s) || n.right.holds(s)
}

func (n *junction) far() bool { return n.left.far() || n.right.far() }

func (n *junction) check(s *Subject) {
	n.left.check(s)
	n.right.check(s)
}

func (n *junction) String() string {
	right := n.right.String()
	if _, nested := n.right.(*junction); nested {
		right = "(" + right + ")"
	}
	return n.left.String() + " " + n.word + " " + right
}

// negation is not( ).
type negation struct{ filterNode }

func (n negation) holds(s *Subject) bool { return !n.filterNode.holds(s) }

func (n negation) String() string { return "not(" + n.filterNode.String() + ")" }

// filterTest is parameter operator value.
type filterTest struct {
	*Term
	text string
}

func (n *filterTest) holds(s *Subject) bool { return n.Holds(s) }

func (n *filterTest) far() bool { return n.Term.far() }

func (n *filterTest) check(s *Subject) { n.Term.check(s) }

func (n *filterTest) String() string { return n.text }

// filterHop is reference[where].next: both hold for one resource that the reference leads to.
type filterHop struct {
	code        string
	linked      *Linked
	where, next filterNode // where may be nil
}

func (n *filterHop) holds(s *Subject) bool {
	for other := range n.linked.others(s) {
		if (n.where == nil || n.where.holds(other)) && n.next.holds(other) {
			return true
		}
	}
	return false
}

func (n *filterHop) far() bool { return true }

func (n *filterHop) check(s *Subject) {
	if n.where != nil {
		n.where.check(s)
	}
	n.next.check(s)
}

func (n *filterHop) String() string {
	if n.where == nil {
		return n.code + "." + n.next.String()
	}
	return n.code + "[" + n.where.String() + "]." + n.next.String()
}
