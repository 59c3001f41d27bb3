package auth

import (
	"strings"
)

// Permissions is a set of what may be done (SMART App Launch 2, scopes for requesting FHIR resources).
type Permissions uint8

// The permissions, in the order in which scopes spell them.
const (
	Create Permissions = 1 << iota // c: create, also by an update of what isn't there, and the revival of what was deleted
	Read                           // r: read a resource, a version or a resource's history
	Update                         // u: update or patch
	Delete                         // d: delete
	Search                         // s: search, and the history of a type or of everything

	Everything = Create | Read | Update | Delete | Search
)

const letters = "cruds"

// String spells the set as scopes do: a subset of cruds in that order.
func (p Permissions) String() string {
	var b strings.Builder
	for i := range len(letters) {
		if p&(1<<i) != 0 {
			b.WriteByte(letters[i])
		}
	}
	return b.String()
}

// parsePermissions reads the letters behind a scope's dot, or the words of SMART's first version.
func parsePermissions(s string) (p Permissions, problem string) {
	switch s {
	case "":
		return 0, "behind the dot stands nothing: write a part of cruds, as in .rs"
	case "*":
		return Everything, ""
	case "read":
		return Read | Search, ""
	case "write":
		return Create | Update | Delete, ""
	}
	ordered := true
	for i := range len(s) {
		at := strings.IndexByte(letters, s[i])
		if at < 0 {
			return 0, "behind the dot stands something else than letters of cruds (create, read, update, delete, search)"
		}
		one := Permissions(1) << at
		if p&one != 0 {
			return 0, "a letter stands twice behind the dot"
		}
		ordered = ordered && p < one
		p |= one
	}
	if !ordered {
		return 0, "the letters have to stand in the order of cruds: ." + p.String()
	}
	return p, ""
}
