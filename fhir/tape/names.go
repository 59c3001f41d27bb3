package tape

// wideObject is where comparing a new member name with earlier ones gives way to a set; otherwise an
// attacker's object of a million members would cost a million times a million comparisons.
const wideObject = 32

// repeated tells whether the member name in token key already stands among the size members of the object
// at token at. Objects in FHIR are small, and seen, a bit for each of the object's names so far, tells
// nearly always that a name is new.
func (p *parser) repeated(at, key int, size uint32, seen *uint64) bool {
	k := &p.tokens[key]
	if k.plain {
		bit := p.nameBit(k)
		fresh := *seen&bit == 0
		*seen |= bit
		if fresh && size < wideObject {
			return false
		}
	} else {
		*seen = ^uint64(0) // its own bit would be that of another spelling
	}
	if size == 0 {
		return false
	}
	p.flush()
	d := &Doc{bytes: p.out, tokens: p.tokens}
	name := Node{d, uint32(key)}.Text()
	if size >= wideObject {
		return p.repeatedWide(d, at, size, name)
	}
	i := uint32(at) + 1
	for range size {
		if (Node{d, i}).is(name) {
			return true
		}
		i = p.tokens[i+1].next
	}
	return false
}

// nameBit spreads names over 64 bits by what mostly tells FHIR's names apart.
func (p *parser) nameBit(k *token) uint64 {
	// The name was just read: its closing quote is the byte before pos.
	end := p.pos - 1
	length := int(k.end-k.start) - 2
	if length == 0 {
		return 1
	}
	return 1 << ((uint(length)*11 + uint(p.src[end-length])*5 + uint(p.src[end-1])*3) % 64)
}

// repeatedWide keeps the object's names in a set until the object is closed.
func (p *parser) repeatedWide(d *Doc, at int, size uint32, name string) bool {
	if p.wide == nil {
		p.wide = map[int]map[string]struct{}{}
	}
	names, ok := p.wide[at]
	if !ok {
		names = make(map[string]struct{}, 2*size)
		i := uint32(at) + 1
		for range size {
			names[Node{d, i}.Text()] = struct{}{}
			i = p.tokens[i+1].next
		}
		p.wide[at] = names
	}
	if _, ok := names[name]; ok {
		return true
	}
	names[name] = struct{}{}
	return false
}
