package search

import (
	"cmp"
	"slices"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// posting says that a row of the log has a value. field and value are numbers that stand for what they are
// of: two things with one number cost a candidate too many and nothing else, for each is verified.
type posting struct {
	field uint64 // tenant, type, parameter and class of mark
	value uint64 // a text's number, or an order
	seq   store.Seq
}

func (p posting) compare(q posting) int {
	switch {
	case p.field != q.field:
		return cmp.Compare(p.field, q.field)
	case p.value != q.value:
		return cmp.Compare(p.value, q.value)
	default:
		return cmp.Compare(p.seq, q.seq)
	}
}

// FNV-1a, and the finisher of MurmurHash3 behind it.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

func number(parts ...string) uint64 {
	h := uint64(fnvOffset)
	for _, s := range parts {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * fnvPrime
		}
		h = (h ^ 0xff) * fnvPrime // no part holds this byte, for none of it is valid UTF-8
	}
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// fieldOf is the field of a parameter's marks of a class. That of all rows of a type has no parameter.
func fieldOf(tenant string, t fhir.Type, param string, class criteria.MarkClass) uint64 {
	return number(tenant, string(t), param, string(rune('0'+class)))
}

// scope is a type of a tenant.
type scope struct {
	tenant string
	typ    fhir.Type
}

// fields are what is marked of the resources of a scope.
type fields struct {
	all      uint64
	params   []markedParam
	byMember map[string][]int // those that select nothing without the member
	always   []int            // the others
	stamp    []uint64         // of each parameter: the row that it was last looked at for
}

type markedParam struct {
	param   *criteria.Param
	classes [criteria.MarkHigh + 1]uint64
}

// indexed tells whether a parameter has postings. _id and _lastUpdated need none: the store finds a
// resource by its id, and the log is in order of time.
func indexed(p *criteria.Param) bool {
	return p.Marked() && p.Code != "_id" && p.Code != "_lastUpdated"
}

func newFields(s scope, params []*criteria.Param) *fields {
	f := &fields{all: fieldOf(s.tenant, s.typ, "", 0), byMember: map[string][]int{}}
	for _, p := range params {
		if !indexed(p) {
			continue
		}
		m := markedParam{param: p}
		for c := criteria.MarkText; c <= criteria.MarkHigh; c++ {
			m.classes[c] = fieldOf(s.tenant, s.typ, p.Code, c)
		}
		members, ok := p.Members()
		if !ok {
			f.always = append(f.always, len(f.params))
		}
		for _, name := range members {
			f.byMember[name] = append(f.byMember[name], len(f.params))
		}
		f.params = append(f.params, m)
	}
	f.stamp = make([]uint64, len(f.params))
	return f
}

// marker makes the postings of rows. It belongs to one goroutine.
type marker struct {
	params func(scope) []*criteria.Param
	sparse bool // types without parameters have no postings at all
	scopes map[scope]*fields
	marker criteria.Marker
	marks  []criteria.Mark
	turn   uint64 // rises with each row
}

func newMarker(defs *criteria.Definitions) *marker {
	params := func(s scope) []*criteria.Param { return slices.Collect(defs.Params(s.typ)) }
	return &marker{params: params, scopes: map[scope]*fields{}}
}

// newSparseMarker is for a few parameters.
func newSparseMarker(params func(scope) []*criteria.Param) *marker {
	return &marker{params: params, sparse: true, scopes: map[scope]*fields{}}
}

// renew takes the same parameters from elsewhere.
func (m *marker) renew(params func(scope) []*criteria.Param) {
	m.params = params
	clear(m.scopes)
}

// maxScopes bounds what a marker remembers of tenants.
const maxScopes = 10_000

// append adds the postings of a version, of which a tombstone has none; there may be repetitions.
func (m *marker) append(out []posting, seq store.Seq, r *fhir.Resource) []posting {
	if r.Deleted {
		return out
	}
	s := scope{r.Key.Tenant, r.Key.Type}
	f := m.scopes[s]
	if f == nil {
		if len(m.scopes) == maxScopes {
			clear(m.scopes)
		}
		f = newFields(s, m.params(s))
		m.scopes[s] = f
	}
	if m.sparse && len(f.params) == 0 {
		return out
	}
	out = append(out, posting{field: f.all, seq: seq})
	subject := m.marker.Subject(r)
	m.turn++
	for _, i := range f.always {
		out = m.appendParam(out, seq, subject, &f.params[i])
	}
	for name := range subject.Root().Members() { // most parameters select by members that are not there
		for _, i := range f.byMember[name] {
			if f.stamp[i] != m.turn {
				f.stamp[i] = m.turn
				out = m.appendParam(out, seq, subject, &f.params[i])
			}
		}
	}
	return out
}

func (m *marker) appendParam(out []posting, seq store.Seq, subject *criteria.Subject, p *markedParam) []posting {
	m.marks = m.marker.AppendMarks(m.marks[:0], subject, p.param)
	for _, mark := range m.marks {
		value := mark.Order
		if mark.Class == criteria.MarkText {
			value = number(mark.Text)
		}
		out = append(out, posting{p.classes[mark.Class], value, seq})
	}
	return out
}
