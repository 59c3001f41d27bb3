package criteria

import (
	"html"
	"strings"
	"unicode"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// Text search is by whole words, without regard to case and accents. Words beside each other must all occur;
// OR, NOT and parentheses combine them, AND may be written, and "words in quotes" must stand together
// (R4 search.html#content leaves the form to the server and shows this one). AND binds closer than OR.

// spokenValue is a value of _text, which looks at the narrative, or of _content, which looks at all texts of
// the resource: the narrative and every string but the base64 data of attachments.
type spokenValue struct {
	text    string
	content bool
	sought  wording
}

func parseSpoken(p *Param, s string) (Value, *fhir.Error) {
	w, err := parseWording(unescape(s))
	return &spokenValue{unescape(s), p.Code == parameterContent, w}, err
}

func (v *spokenValue) String() string { return escape(v.text) }

func (v *spokenValue) matches(s *Subject, _ *values) bool { return v.sought.in(s.speech(v.content)) }

// wordedValue is a string parameter's :text: text search in each of its values.
type wordedValue struct {
	text   string
	sought wording
}

func parseWorded(s string) (Value, *fhir.Error) {
	w, err := parseWording(unescape(s))
	return &wordedValue{unescape(s), w}, err
}

func (v *wordedValue) String() string { return escape(v.text) }

func (v *wordedValue) matches(_ *Subject, x *values) bool {
	for i := range x.phrases {
		if v.sought.in(wordsOf(x.phrases[i].raw)) {
			return true
		}
	}
	return false
}

// speech is a text as its folded words, each with a space before and behind. Texts that don't belong together
// have a bar between them, so that no quoted words go across.
type speech string

func wordsOf(s string) speech {
	words := strings.FieldsFunc(fold(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) })
	if len(words) == 0 {
		return ""
	}
	return speech(" " + strings.Join(words, " ") + " ")
}

// speech is the subject's narrative, or all its text, made when first asked for.
func (s *Subject) speech(content bool) speech {
	i := 0
	if content {
		i = 1
	}
	if s.spoken[i] == nil {
		var b strings.Builder
		if content {
			collect(&b, "", s.root)
		} else {
			narrate(&b, s.root.Path("text", "div"))
		}
		all := speech(b.String())
		s.spoken[i] = &all
	}
	return *s.spoken[i]
}

func collect(b *strings.Builder, name string, n tape.Node) {
	switch n.Kind() {
	case tape.Object:
		for member, v := range n.Members() {
			collect(b, member, v)
		}
	case tape.Array:
		for v := range n.Elements() {
			collect(b, name, v)
		}
	case tape.String:
		switch name {
		case "data", "resourceType":
		case "div":
			narrate(b, n)
		default:
			b.WriteString("|" + string(wordsOf(n.Text())))
		}
	}
}

// narrate adds the text of XHTML: what stands between tags, which part words, with its entities replaced.
func narrate(b *strings.Builder, n tape.Node) {
	var plain strings.Builder
	rest := text(n)
	for {
		before, behind, found := strings.Cut(rest, "<")
		plain.WriteString(before)
		if !found {
			break
		}
		if comment, ok := strings.CutPrefix(behind, "!--"); ok {
			_, rest, _ = strings.Cut(comment, "-->")
		} else {
			_, rest, _ = strings.Cut(behind, ">")
		}
		plain.WriteByte(' ')
	}
	b.WriteString("|" + string(wordsOf(html.UnescapeString(plain.String()))))
}

// wording is a compiled text search: any of the alternatives; each is words that must, or must not, occur.
type wording struct {
	op    wordingOp
	words speech // of a leaf
	parts []wording
}

type wordingOp uint8

const (
	spoken wordingOp = iota
	allSpoken
	anySpoken
	notSpoken
)

func (w *wording) in(s speech) bool {
	switch w.op {
	case allSpoken:
		for i := range w.parts {
			if !w.parts[i].in(s) {
				return false
			}
		}
		return true
	case anySpoken:
		for i := range w.parts {
			if w.parts[i].in(s) {
				return true
			}
		}
		return false
	case notSpoken:
		return !w.parts[0].in(s)
	default:
		return strings.Contains(string(s), string(w.words))
	}
}

// wordingReader reads a text search.
type wordingReader struct {
	tokens []string
	depth  int
	err    *fhir.Error
}

func parseWording(s string) (wording, *fhir.Error) {
	r := &wordingReader{tokens: wordingTokens(s)}
	w := r.either()
	switch {
	case r.err != nil:
	case len(r.tokens) > 0:
		r.fail("%q has a ) too many", s)
	case w.op == spoken && w.words == "":
		r.fail("%q has no word to look for", s)
	}
	return w, r.err
}

// wordingTokens cuts at white space, parentheses and quotes; a quoted token keeps its first quote.
func wordingTokens(s string) []string {
	var tokens []string
	for s != "" {
		switch end := strings.IndexFunc(s, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(`()"`, r) }); {
		case end < 0:
			return append(tokens, s)
		case end > 0:
			tokens, s = append(tokens, s[:end]), s[end:]
		case s[0] == '"':
			quoted, rest, _ := strings.Cut(s[1:], `"`)
			tokens, s = append(tokens, `"`+quoted), rest
		case s[0] == '(' || s[0] == ')':
			tokens, s = append(tokens, s[:1]), s[1:]
		default:
			s = strings.TrimLeftFunc(s, unicode.IsSpace)
		}
	}
	return tokens
}

func (r *wordingReader) fail(format string, s string) {
	if r.err == nil {
		r.err = fhir.Errorf(fhir.Value, "", format+`: write words, "words together", OR, NOT and ( )`, clip(s))
	}
}

func (r *wordingReader) next(keyword string) bool {
	if len(r.tokens) == 0 || !strings.EqualFold(r.tokens[0], keyword) {
		return false
	}
	r.tokens = r.tokens[1:]
	return true
}

func (r *wordingReader) either() wording {
	w := wording{op: anySpoken, parts: []wording{r.all()}}
	for r.err == nil && r.next("or") {
		w.parts = append(w.parts, r.all())
	}
	if len(w.parts) == 1 {
		return w.parts[0]
	}
	return w
}

func (r *wordingReader) all() wording {
	w := wording{op: allSpoken}
	for r.err == nil && len(r.tokens) > 0 && r.tokens[0] != ")" && !strings.EqualFold(r.tokens[0], "or") {
		if r.next("and") && len(w.parts) > 0 {
			w.parts = append(w.parts, r.single())
			continue
		}
		if part := r.single(); part.op != spoken || part.words != "" {
			w.parts = append(w.parts, part)
		}
	}
	switch len(w.parts) {
	case 0:
		r.fail("%q looks for nothing", strings.Join(r.tokens, " "))
		return w
	case 1:
		return w.parts[0]
	default:
		return w
	}
}

func (r *wordingReader) single() wording {
	const deepest = 50
	if r.depth++; r.depth > deepest {
		r.fail("%q is too deep", strings.Join(r.tokens, " "))
		return wording{}
	}
	defer func() { r.depth-- }()
	switch {
	case len(r.tokens) == 0:
		r.fail("%q ends too early", "")
		return wording{}
	case r.next("not"):
		return wording{op: notSpoken, parts: []wording{r.single()}}
	case r.next("("):
		w := r.either()
		if !r.next(")") {
			r.fail("%q lacks a )", strings.Join(r.tokens, " "))
		}
		return w
	default:
		w := wording{words: wordsOf(r.tokens[0])}
		r.tokens = r.tokens[1:]
		return w
	}
}
