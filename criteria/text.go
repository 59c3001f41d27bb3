package criteria

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// plain is a text without what string search ignores (R4 search.html#string): case, combining marks, extra
// white space and punctuation. Punctuation can be ignored in two ways, and people mean both: "O'Brien" is
// sought as "obrien", and "Smith-Jones" as "jones". So there are two forms; without punctuation they are one.
type plain struct {
	folded string // punctuation still in it
	joined string // punctuation left out
	spaced string // punctuation turned into white space
}

func plainOf(s string) plain {
	folded := fold(s)
	if strings.IndexFunc(folded, unicode.IsPunct) < 0 {
		return plain{folded, folded, folded}
	}
	return plain{folded, collapse(strings.Map(without, folded)), collapse(strings.Map(blank, folded))}
}

func without(r rune) rune {
	if unicode.IsPunct(r) {
		return -1
	}
	return r
}

func blank(r rune) rune {
	if unicode.IsPunct(r) {
		return ' '
	}
	return r
}

// fold decomposes, drops nonspacing marks, folds case without regard to a locale, and collapses white space.
// Folding can bring forth marks again, hence the second pass; and cases.Fold turns Cherokee letters into the
// other case, whichever they have, hence the lower case behind it.
func fold(s string) string {
	if ascii(s) {
		return collapse(strings.ToLower(s))
	}
	s = dropMarks(norm.NFD.String(s))
	s = dropMarks(norm.NFD.String(strings.ToLower(cases.Fold().String(s))))
	return collapse(s)
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func dropMarks(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, s)
}

func collapse(s string) string { return strings.Join(strings.Fields(s), " ") }

// compareIn calls f with each form of t beside the same form of the sought text p. A sought text that is
// nothing but punctuation is compared with it, for otherwise it would find everything.
func (p plain) compareIn(t plain, f func(text, sought string) bool) bool {
	if p.joined == "" {
		return f(t.folded, p.folded)
	}
	return f(t.joined, p.joined) || f(t.spaced, p.spaced)
}

// beginsWord tells whether sought begins a word of text.
func beginsWord(text, sought string) bool {
	for {
		if strings.HasPrefix(text, sought) {
			return true
		}
		i := strings.IndexByte(text, ' ')
		if i < 0 {
			return false
		}
		text = text[i+1:]
	}
}
