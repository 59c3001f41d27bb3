package criteria

import (
	"strings"

	"fhirhook/fhir"
)

// labelValue is a token parameter's :text: the beginning of a text that goes with the code.
type labelValue struct {
	text  string
	plain plain
}

func parseLabel(s string) (Value, *fhir.Error) {
	t := unescape(s)
	return &labelValue{t, plainOf(t)}, nil
}

func (v *labelValue) String() string { return escape(v.text) }

func (v *labelValue) matches(_ *Subject, x *values) bool {
	for _, t := range x.labels() {
		if v.plain.compareIn(t, strings.HasPrefix) {
			return true
		}
	}
	return false
}

// labels are the texts of CodeableConcept.text, Coding.display and Identifier.type, made when first asked
// for, since few queries ask.
func (x *values) labels() []plain {
	if x.labelled {
		return x.labelTexts
	}
	x.labelled = true
	add := func(s string) {
		if s != "" {
			x.labelTexts = append(x.labelTexts, plainOf(s))
		}
	}
	for _, l := range x.leaves {
		concept := l.Node
		switch l.Type {
		case "Coding":
			add(text(l.Node.Get("display")))
			continue
		case "Identifier":
			concept = l.Node.Get("type")
		case "CodeableConcept":
		default:
			continue
		}
		add(text(concept.Get("text")))
		for coding := range concept.Get("coding").Elements() {
			add(text(coding.Get("display")))
		}
	}
	return x.labelTexts
}

// ofTypeValue is :of-type on identifiers: system and code of the identifier's type, and its value.
type ofTypeValue struct{ system, code, value string }

func parseOfType(s string) (Value, *fhir.Error) {
	parts := split(s, '|')
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return nil, fhir.Errorf(fhir.Value, "", "%q is not what :of-type takes: write type-system|type-code|value, all three", clip(s))
	}
	return &ofTypeValue{unescape(parts[0]), unescape(parts[1]), unescape(parts[2])}, nil
}

func (v *ofTypeValue) String() string {
	return escape(v.system) + "|" + escape(v.code) + "|" + escape(v.value)
}

func (v *ofTypeValue) matches(_ *Subject, x *values) bool {
	for _, l := range x.leaves {
		if l.Type != "Identifier" || !l.Node.Get("value").Is(v.value) {
			continue
		}
		for coding := range l.Node.Path("type", "coding").Elements() {
			if coding.Get("system").Is(v.system) && coding.Get("code").Is(v.code) {
				return true
			}
		}
	}
	return false
}

// mediaTypes is the code system of MIME types.
const mediaTypes = "urn:ietf:bcp:13"

// mediaValue is :below and :above on MIME types: text/xml lies above text/xml; charset=UTF-8
// (R4 search.html#mimetype).
type mediaValue struct {
	token *tokenValue
	below bool
}

func parseMedia(s, modifier string) (Value, *fhir.Error) {
	token, err := parseToken(s)
	switch {
	case err != nil:
		return nil, err
	case token.bar && token.system != "" && token.system != mediaTypes:
		return nil, fhir.Errorf(fhir.Value, "", "the system of MIME types is %s, not %q", mediaTypes, clip(token.system))
	case !strings.Contains(token.code, "/"):
		return nil, fhir.Errorf(fhir.Value, "", "%q is not a MIME type: write one such as text/xml", clip(token.code))
	}
	return &mediaValue{token, modifier == modifierBelow}, nil
}

func (v *mediaValue) String() string { return v.token.String() }

func (v *mediaValue) matches(_ *Subject, x *values) bool {
	for i := range x.codes {
		upper, lower := v.token.code, x.codes[i].code
		if !v.below {
			upper, lower = lower, upper
		}
		if mediaAbove(upper, lower) {
			return true
		}
	}
	return false
}

// mediaAbove tells whether upper is lower, or lower without some of its parameters.
func mediaAbove(upper, lower string) bool {
	base, wanted, _ := strings.Cut(strings.ToLower(upper), ";")
	lowerBase, given, _ := strings.Cut(strings.ToLower(lower), ";")
	if strings.TrimSpace(base) != strings.TrimSpace(lowerBase) {
		return false
	}
	for want := range strings.SplitSeq(wanted, ";") {
		found := strings.TrimSpace(want) == ""
		for have := range strings.SplitSeq(given, ";") {
			found = found || strings.TrimSpace(have) == strings.TrimSpace(want)
		}
		if !found {
			return false
		}
	}
	return true
}
