package validate

import (
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"fhirhook/fhir"
)

// unknown says that an object of the shape has no member of that name, and what could have been meant.
func (r *run) unknown(s *shape, name string) {
	r.under(identifier(name)).fail(fhir.Structure, "%s has no element %s%s", s.name, quoted(name), s.meant(name))
	r.leave()
}

func quoted(name string) string { return `"` + clip(name) + `"` }

// meant is what the sentence about an unknown element ends with.
func (s *shape) meant(name string) string {
	switch plain, ok := s.members[strings.TrimPrefix(name, "_")]; {
	case name == "resourceType":
		return ": only resources have a resourceType"
	case ok && plain.what != primitive:
		return ": extensions of " + plain.name + " stand inside its value, only those of a primitive have a member of their own"
	case ok:
		return ": " + plain.name + " can't have extensions"
	}
	for _, e := range s.elements {
		if !e.Choice {
			continue
		}
		rest, ok := strings.CutPrefix(name, e.Name)
		first, _ := utf8.DecodeRuneInString(rest)
		if !ok || rest != "" && !unicode.IsUpper(first) {
			continue
		}
		all := make([]string, len(e.Types))
		for i, t := range e.Types {
			all[i] = e.Member(t)
		}
		if near := nearest(name, all); near != "" && rest != "" {
			return `: did you mean "` + near + `"?`
		}
		return ": " + e.Name + "[x] has its type in its name: one of " + list(all)
	}
	return suggestion(name, s.names())
}

// list names at most ten.
func list(all []string) string {
	const most = 10
	if len(all) > most {
		return strings.Join(all[:most], ", ") + " …"
	}
	return strings.Join(all, ", ")
}

// suggestion is the end of a sentence: the name that was probably meant, nothing if none is near.
func suggestion(name string, known []string) string {
	if near := nearest(name, known); near != "" {
		return `: did you mean "` + near + `"?`
	}
	return ""
}

// nearest finds the known name that differs least, if it differs in at most a third of its letters.
func nearest(name string, known []string) string {
	const longest = 64 // a longer name is no typo
	if len(name) > longest {
		return ""
	}
	best, least := "", len(name)/3+1
	for _, k := range known {
		if strings.HasPrefix(k, "_") != strings.HasPrefix(name, "_") {
			continue
		}
		if strings.EqualFold(k, name) {
			return k
		}
		if d := distance(name, k, least); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and swaps of neighbours that make a into b, without
// caring for case; it gives up at most.
func distance(a, b string, most int) int {
	if len(a)-len(b) >= most || len(b)-len(a) >= most {
		return most
	}
	a, b = strings.ToLower(a), strings.ToLower(b)
	before, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next[j+1] = min(row[j+1]+1, next[j]+1, row[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}

var resourceNames = sync.OnceValue(func() []string {
	var names []string
	for _, t := range fhir.Types() {
		names = append(names, string(t))
	}
	return slices.Clip(names)
})
