package resthook

import (
	"cmp"
	"strings"
)

// PingEvent is the event name of a test message in every dialect.
const PingEvent = "ping"

// Naming makes the name of an event that no catalogue entry fits. The zero value is the generic one:
// practitioner-role.created.
type Naming struct {
	Case    string `yaml:",omitempty"` // of the noun: kebab or "", snake (practitioner_role), type (PractitionerRole)
	Plural  bool   `yaml:",omitempty"` // practitioner-roles
	Created string `yaml:",omitempty"` // the word for a creation; "": created
	Updated string `yaml:",omitempty"` // the word for an update; "": updated
	Deleted string `yaml:",omitempty"` // the word for a deletion; "": deleted
}

// cases are the codes of Naming.Case with what they make of a noun in kebab-case.
var cases = map[string]func(noun string) string{
	"":      func(noun string) string { return noun },
	"kebab": func(noun string) string { return noun },
	"snake": func(noun string) string { return strings.ReplaceAll(noun, "-", "_") },
	"type":  unkebab,
}

// Name returns the name for a type and an interaction (create, update or delete).
func (n Naming) Name(typ, interaction string) string {
	noun := Kebab(typ)
	if n.Plural {
		noun = plural(noun)
	}
	if write := cases[n.Case]; write != nil {
		noun = write(noun)
	}
	return noun + "." + n.word(interaction)
}

// word is what the dialect says that an interaction did.
func (n Naming) word(interaction string) string {
	own := ""
	switch interaction {
	case "create":
		own = n.Created
	case "update":
		own = n.Updated
	case "delete":
		own = n.Deleted
	}
	return cmp.Or(own, past(interaction))
}

// Event returns the name that a change goes by in the dialect: that of its catalogue Entry, else the generic one.
func (d Dialect) Event(typ, interaction string, fits func(Event) bool) string {
	if i := d.Entry(typ, interaction, fits); i >= 0 {
		return d.Events[i].Name
	}
	return d.Names.Name(typ, interaction)
}

// Kebab writes a type's name in kebab-case: practitioner-role.
func Kebab(typ string) string {
	var b strings.Builder
	for i, r := range typ {
		if r >= 'A' && r <= 'Z' {
			if i > 0 {
				b.WriteByte('-')
			}
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// unkebab is the inverse of Kebab.
func unkebab(noun string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(noun, "-") {
		if word != "" {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}

// past is the word for what an interaction did.
func past(interaction string) string {
	switch interaction {
	case "create":
		return "created"
	case "update":
		return "updated"
	case "delete":
		return "deleted"
	default:
		return interaction
	}
}

// plural covers the nouns that R4's types end in.
func plural(noun string) string {
	switch {
	case noun == "media", strings.HasSuffix(noun, "-media"), strings.HasSuffix(noun, "parameters"), strings.HasSuffix(noun, "capabilities"):
		return noun
	case strings.HasSuffix(noun, "sis"):
		return strings.TrimSuffix(noun, "is") + "es"
	case strings.HasSuffix(noun, "y") && !strings.HasSuffix(noun, "ey") && !strings.HasSuffix(noun, "ay"):
		return strings.TrimSuffix(noun, "y") + "ies"
	case strings.HasSuffix(noun, "s"), strings.HasSuffix(noun, "x"), strings.HasSuffix(noun, "ch"):
		return noun + "es"
	default:
		return noun + "s"
	}
}
