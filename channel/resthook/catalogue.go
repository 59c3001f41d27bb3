package resthook

import (
	"slices"
	"strings"
	"unicode"
)

// Fold writes an event name as names are compared: in lower case, without hyphens and underscores.
func Fold(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '_' {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}

// Entry finds what a change is called in the catalogue: the first entry of its type and interaction that fits, as
// its place in Events; -1 if none does, so that the generic name is left. fits judges an entry that has Criteria;
// nil: none fits.
func (d Dialect) Entry(typ, interaction string, fits func(Event) bool) int {
	return slices.IndexFunc(d.Events, func(e Event) bool {
		return e.About(typ, interaction) && (e.Criteria == "" || fits != nil && fits(e))
	})
}

// About tells whether the entry is for changes of a type by an interaction, whatever its Criteria say.
func (e Event) About(typ, interaction string) bool {
	return e.Type == typ && slices.Contains(e.Interactions, interaction)
}

// Generic returns the names, folded, that changes of a type by an interaction have without a catalogue: the type
// and what happened in the words of R4, and in the dialect's own where those differ.
func (n Naming) Generic(typ, interaction string) []string {
	nouns, words := []string{Fold(typ)}, []string{past(interaction)}
	if service := n.Service(typ); service != "" && service != nouns[0] {
		nouns = append(nouns, service)
	}
	if own := Fold(n.word(interaction)); own != words[0] {
		words = append(words, own)
	}
	var names []string
	for _, noun := range nouns {
		for _, word := range words {
			names = append(names, noun+"."+word)
		}
	}
	return names
}

// Service returns the plural of a type, folded, which alone stands for all its events in a dialect that speaks of
// services; "" in the others.
func (n Naming) Service(typ string) string {
	if !n.Plural {
		return ""
	}
	return Fold(plural(Kebab(typ)))
}
