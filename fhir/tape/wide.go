package tape

// wideObject is where comparing a new member name with each earlier one stops being the fast way; behind
// it an attacker's object of a million members would cost a million times a million comparisons.
const wideObject = 32

// repeatedWide is repeated for wide objects: it keeps the object's names in a set until the
// object is closed.
func (p *parser) repeatedWide(at, key int, size uint32) bool {
	d := Doc{bytes: p.out, tokens: p.tokens}
	if p.wide == nil {
		p.wide = map[int]map[string]struct{}{}
	}
	names, ok := p.wide[at]
	if !ok {
		names = make(map[string]struct{}, 2*size)
		i := uint32(at) + 1
		for range size {
			names[Node{&d, i}.Text()] = struct{}{}
			i = p.tokens[i+1].next
		}
		p.wide[at] = names
	}
	name := Node{&d, uint32(key)}.Text()
	if _, ok := names[name]; ok {
		return true
	}
	names[name] = struct{}{}
	return false
}
