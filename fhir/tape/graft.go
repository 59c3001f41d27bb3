package tape

import (
	"fmt"
	"sort"
)

// Graft is what Parse makes of Splice(edits...), without reading again what stays as it is. Each edit puts a value in the
// place of a whole value, or inserts members into an object, with the commas that part them from their neighbours; another one
// panics. What comes of it has to be a document: no member may be put beside one of the same name.
func (d *Doc) Graft(edits ...Edit) *Doc {
	edits = inOrder(edits)
	g := graft{doc: d, cuts: make([]cut, 0, len(edits)), parser: parser{tokens: make([]token, 0, 8)}}
	for _, e := range edits {
		g.read(e)
	}
	out := make([]token, 0, len(d.tokens)+len(g.parser.tokens))
	next := 0
	for i := range g.cuts {
		c := &g.cuts[i]
		for ; next < c.at; next++ {
			out = append(out, g.moved(d.tokens[next], len(out)))
		}
		next += c.gone
		out = g.plant(out, c)
	}
	first := len(out)
	out = append(out, d.tokens[next:]...) // behind all edits, as most are
	for i := range out[first:] {
		t := &out[first+i]
		t.start, t.end, t.next = t.start+g.grown, t.end+g.grown, t.next+g.more
	}
	return &Doc{bytes: d.splice(edits), tokens: out}
}

// graft works edits into the tokens of a document. Differences are added modulo 2³², for things also shrink.
type graft struct {
	doc         *Doc
	parser      parser // of what is put in; its tokens are those of all cuts
	cuts        []cut  // in order
	grown, more uint32 // by which bytes and tokens of the whole document become more
}

// cut is an edit, by its tokens.
type cut struct {
	start       uint32 // in the old bytes
	at, gone    int    // the old token where it begins, and how many old ones go
	first, last int    // of the new ones, in graft.parser.tokens
	shift       uint32 // from where the new ones were read to where they stand: in bytes
	grown, more uint32 // by which bytes and tokens become more
	members     uint32 // that an object gets
	object      int    // which it is, in the new tokens
}

// read parses what an edit puts in.
func (g *graft) read(e Edit) {
	tokens := g.doc.tokens
	c := cut{
		start: uint32(e.Start), first: len(g.parser.tokens), shift: uint32(e.Start) + g.grown, grown: uint32(len(e.With) - (e.End - e.Start)),
		object: -1, at: sort.Search(len(tokens), func(i int) bool { return int(tokens[i].start) >= e.Start }),
	}
	p := &g.parser
	*p = parser{src: e.With, depth: MaxDepth, tokens: p.tokens}
	var err error
	if e.Start == e.End {
		c.members, err = p.members()
	} else {
		if c.at == len(tokens) || int(tokens[c.at].start) != e.Start || int(tokens[c.at].end) != e.End {
			panic(fmt.Sprintf("tape: no value stands from %d to %d", e.Start, e.End))
		}
		c.gone = int(tokens[c.at].next) - c.at
		err = p.value()
	}
	if err != nil || p.pos < len(p.src) {
		panic(fmt.Sprintf("tape: %q can't be put in: %v", e.With, err))
	}
	c.last = len(p.tokens)
	c.more = uint32(c.last - c.first - c.gone)
	g.grown += c.grown
	g.more += c.more
	g.cuts = append(g.cuts, c)
}

// members reads members of an object, with commas before, between or behind them.
func (p *parser) members() (n uint32, err error) {
	for p.pos < len(p.src) {
		if p.peek() == ',' {
			p.pos++
			continue
		}
		if p.peek() != '"' {
			return n, p.expected("a member name in double quotes")
		}
		if err := p.str(); err != nil {
			return n, err
		}
		if p.peek() != ':' {
			return n, p.expected(": behind a member name")
		}
		p.pos++
		if err := p.value(); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// moved is an old token, which becomes the new one of a number. Cuts before it move it; those within make it larger.
func (g *graft) moved(t token, number int) token {
	old := t
	for i := range g.cuts {
		c := &g.cuts[i]
		if c.start >= old.end {
			break
		}
		t.end, t.next = t.end+c.grown, t.next+c.more
		if c.start <= old.start {
			t.start += c.grown
		} else {
			c.object = number // the last one that is told so is the innermost
		}
	}
	return t
}

// plant appends what a cut puts in.
func (g *graft) plant(out []token, c *cut) []token {
	if c.members > 0 {
		if c.object < 0 || out[c.object].kind != Object {
			panic(fmt.Sprintf("tape: there is no object at %d", c.start))
		}
		out[c.object].size += c.members
	}
	base := uint32(len(out) - c.first)
	for _, t := range g.parser.tokens[c.first:c.last] {
		t.start, t.end, t.next = t.start+c.shift, t.end+c.shift, t.next+base
		out = append(out, t)
	}
	return out
}
