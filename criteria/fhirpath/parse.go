package fhirpath

import "strconv"

// maxDepth bounds nesting and maxLength the text, so that hostile expressions cost nothing.
const (
	maxDepth  = 64
	maxLength = 16 << 10
)

// Parse reads an expression. An error is a *SyntaxError.
func Parse(src string) (*Expr, error) {
	if len(src) > maxLength {
		return nil, fail(maxLength, "the expression is longer than %d bytes", maxLength)
	}
	p := &parser{lexer: lexer{src: src}}
	if err := p.advance(); err != nil {
		return nil, err
	}
	e, err := p.binary(0)
	if err != nil {
		return nil, err
	}
	if p.at.kind != end {
		return nil, fail(p.at.start, "expected an operator or the end, not %v", p.at)
	}
	return e, nil
}

type parser struct {
	lexer lexer
	at    lexeme
	last  int // where the lexeme before ended
	depth int
}

func (p *parser) advance() (err error) {
	p.last = p.at.end
	p.at, err = p.lexer.next()
	return err
}

func (p *parser) is(s string) bool {
	return (p.at.kind == symbol || p.at.kind == word) && p.at.text == s
}

func (p *parser) expect(s string) error {
	if !p.is(s) {
		return fail(p.at.start, "expected %s, not %v", s, p.at)
	}
	return p.advance()
}

// levels are the binary operators from the loosest to the tightest (FHIRPath 2.0.0 operator precedence).
var levels = []map[string]Op{
	{"or": Or},
	{"and": And},
	{"=": Equal, "!=": NotEqual},
	{"|": Union},
	{"is": Is, "as": As},
}

func (p *parser) binary(level int) (*Expr, error) {
	if level == len(levels) {
		return p.path()
	}
	left, err := p.binary(level + 1)
	if err != nil {
		return nil, err
	}
	for {
		op, ok := levels[level][p.at.text]
		if !ok || p.at.kind != symbol && p.at.kind != word {
			return left, nil
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
		e := &Expr{Op: op, Left: left, Start: left.Start}
		if op == Is || op == As {
			e.Name, err = p.typeName()
		} else {
			e.Right, err = p.binary(level + 1)
		}
		if err != nil {
			return nil, err
		}
		e.End = p.last
		left = e
	}
}

// typeName reads a type's name; the namespaces FHIR and System may stand before it.
func (p *parser) typeName() (string, error) {
	name, err := p.name()
	if err != nil || !p.is(".") || name != "FHIR" && name != "System" {
		return name, err
	}
	if err := p.advance(); err != nil {
		return "", err
	}
	return p.name()
}

func (p *parser) name() (string, error) {
	if p.at.kind != word && p.at.kind != quoted {
		return "", fail(p.at.start, "expected a name, not %v", p.at)
	}
	name := p.at.text
	return name, p.advance()
}

// path reads a term and what is behind it: .member, .function(…) and [index].
func (p *parser) path() (*Expr, error) {
	e, err := p.term()
	for err == nil {
		switch {
		case p.is("."):
			if err = p.advance(); err == nil {
				e, err = p.invocation(e)
			}
		case p.is("["):
			e, err = p.index(e)
		default:
			return e, nil
		}
	}
	return nil, err
}

func (p *parser) index(left *Expr) (*Expr, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.at.kind != number {
		return nil, fail(p.at.start, "an index is a whole number, not %v", p.at)
	}
	n, err := p.integer()
	if err != nil {
		return nil, err
	}
	if err := p.expect("]"); err != nil {
		return nil, err
	}
	return &Expr{Op: Index, Left: left, Number: n, Start: left.Start, End: p.last}, nil
}

func (p *parser) integer() (int, error) {
	n, err := strconv.Atoi(p.at.text)
	if err != nil || len(p.at.text) > 9 {
		return 0, fail(p.at.start, "the number %s is too large", p.at.text)
	}
	return n, p.advance()
}

func (p *parser) term() (*Expr, error) {
	start := p.at.start
	switch {
	case p.is("("):
		if p.depth++; p.depth > maxDepth {
			return nil, fail(start, "parentheses are nested too deeply")
		}
		defer func() { p.depth-- }()
		if err := p.advance(); err != nil {
			return nil, err
		}
		e, err := p.binary(0)
		if err != nil {
			return nil, err
		}
		if err := p.expect(")"); err != nil {
			return nil, err
		}
		e.Start, e.End = start, p.last
		return e, nil
	case p.is("$"):
		return p.special("this", This)
	case p.is("%"):
		return p.special("resource", Resource)
	case p.at.kind == text:
		return p.literal(&Expr{Op: Text, Name: p.at.text, Start: start, End: p.at.end})
	case p.at.kind == number:
		n, err := p.integer()
		return &Expr{Op: Number, Number: n, Start: start, End: p.last}, err
	case p.at.kind == word && (p.at.text == "true" || p.at.text == "false"):
		return p.literal(&Expr{Op: Bool, Name: p.at.text, Start: start, End: p.at.end})
	default:
		return p.invocation(nil)
	}
}

func (p *parser) literal(e *Expr) (*Expr, error) { return e, p.advance() }

// special reads the name behind $ or %.
func (p *parser) special(name string, op Op) (*Expr, error) {
	start, mark := p.at.start, p.at.text
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.at.kind != word || p.at.text != name {
		return nil, fail(start, "only %s%s is supported, not %s%s", mark, name, mark, p.at.text)
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	return &Expr{Op: op, Start: start, End: p.last}, nil
}

// invocation reads a member or a function call on left.
func (p *parser) invocation(left *Expr) (*Expr, error) {
	start := p.at.start
	if left != nil {
		start = left.Start
	}
	plain := p.at.kind == word
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	e := &Expr{Op: Member, Name: name, Left: left, Start: start, End: p.last}
	if !plain || !p.is("(") {
		return e, nil
	}
	if p.depth++; p.depth > maxDepth {
		return nil, fail(p.at.start, "function calls are nested too deeply")
	}
	defer func() { p.depth-- }()
	if err := p.advance(); err != nil {
		return nil, err
	}
	switch name {
	case "as", "ofType", "is":
		e.Op = As
		if name == "is" {
			e.Op = Is
		}
		if left == nil {
			e.Left = &Expr{Op: This, Start: start, End: start}
		}
		e.Name, err = p.typeName()
	default:
		e.Op = Call
		e.Args, err = p.arguments()
	}
	if err != nil {
		return nil, err
	}
	err = p.expect(")")
	e.End = p.last
	return e, err
}

func (p *parser) arguments() ([]*Expr, error) {
	var args []*Expr
	for !p.is(")") {
		if len(args) > 0 {
			if err := p.expect(","); err != nil {
				return nil, err
			}
		}
		e, err := p.binary(0)
		if err != nil {
			return nil, err
		}
		args = append(args, e)
	}
	return args, nil
}
