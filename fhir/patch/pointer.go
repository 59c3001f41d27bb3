package patch

import (
	"errors"
	"strconv"
	"strings"

	"fhirhook/fhir/tape"
)

// pointer is a JSON Pointer (RFC 6901), its steps decoded.
type pointer []string

var (
	errNoSlash = errors.New(`a JSON Pointer is empty or begins with /, as in /name/0/family`)
	errTilde   = errors.New("in a JSON Pointer, ~ is written ~0, and / in a name is written ~1")
)

func parsePointer(s string) (pointer, error) {
	if s == "" {
		return nil, nil
	}
	if s[0] != '/' {
		return nil, errNoSlash
	}
	steps := strings.Split(s[1:], "/")
	for i, step := range steps {
		for j := 0; j < len(step); j++ {
			if step[j] == '~' && (j+1 == len(step) || step[j+1] != '0' && step[j+1] != '1') {
				return nil, errTilde
			}
		}
		steps[i] = strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~")
	}
	return steps, nil
}

func (p pointer) String() string {
	var b strings.Builder
	for _, step := range p {
		b.WriteString("/" + strings.ReplaceAll(strings.ReplaceAll(step, "~", "~0"), "/", "~1"))
	}
	return clip(b.String())
}

// prefixes tells whether q lies inside what p names.
func (p pointer) prefixes(q pointer) bool {
	if len(p) >= len(q) {
		return false
	}
	for i := range p {
		if p[i] != q[i] {
			return false
		}
	}
	return true
}

// index reads an array index as RFC 6901 section 4 writes it; -1 for anything else.
func index(step string) int {
	if step == "" || len(step) > 9 || len(step) > 1 && step[0] == '0' {
		return -1
	}
	for i := range len(step) {
		if step[i] < '0' || step[i] > '9' {
			return -1
		}
	}
	n, err := strconv.Atoi(step)
	if err != nil {
		return -1
	}
	return n
}

// follow walks one step down, nil if there is nothing.
func (n *node) follow(step string) *node {
	switch n.open(); n.opened {
	case tape.Object:
		return n.get(step)
	case tape.Array:
		if i := index(step); i >= 0 && i < len(n.elements) {
			return n.elements[i]
		}
	}
	return nil
}

// find walks to the value that a pointer names, nil if there is none.
func (t *tree) find(p pointer) *node {
	n := t.root
	for _, step := range p {
		if n = n.follow(step); n == nil {
			return nil
		}
	}
	return n
}
