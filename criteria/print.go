package criteria

import (
	"strconv"
	"strings"
)

// String writes a compiled path so that equal paths are equal texts: members joined by dots, conditions in
// braces, an index in brackets, and the type at the end.
func (p path) String() string {
	var b strings.Builder
	if p.fromRoot {
		b.WriteString("%")
	}
	if p.computed != nil {
		b.WriteString(p.computed.String())
	}
	for i := range p.steps {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(p.steps[i].String())
	}
	b.WriteString(":" + p.typ)
	if p.system != "" {
		b.WriteString("(" + p.system + ")")
	}
	return b.String()
}

func (s *step) String() string {
	text := s.name
	if text == "" {
		text = "$"
	}
	for i := range s.keep {
		text += "{" + s.keep[i].String() + "}"
	}
	if s.nth >= 0 {
		text += "[" + strconv.Itoa(s.nth) + "]"
	}
	return text
}

func (c *check) String() string {
	switch c.op {
	case allHold, anyHolds:
		parts := make([]string, len(c.parts))
		for i := range c.parts {
			parts[i] = c.parts[i].String()
		}
		return "(" + strings.Join(parts, map[checkOp]string{allHold: " and ", anyHolds: " or "}[c.op]) + ")"
	case notHolds:
		return "not " + c.parts[0].String()
	case exists:
		return joinPaths(c.paths) + " exists"
	case equals:
		return joinPaths(c.paths) + " = " + strconv.Quote(c.literal)
	case isType:
		return joinPaths(c.paths) + " of " + joinPaths(c.others)
	case refersTo:
		return joinPaths(c.paths) + " -> " + c.literal
	default:
		return "is " + c.literal
	}
}

func joinPaths(paths []path) string {
	texts := make([]string, len(paths))
	for i, p := range paths {
		texts[i] = p.String()
	}
	return strings.Join(texts, "|")
}
