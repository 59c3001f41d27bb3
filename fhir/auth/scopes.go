package auth

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
)

// mostScopes bounds what one token may have.
const mostScopes = 500

// Scopes are the scopes of a token. A request is allowed if one of them allows it.
type Scopes []Scope

// ParseScopes reads scopes that a person wrote; each text may hold several, separated by white space. The error
// tells every one that is wrong, and every one that would have no effect.
func ParseScopes(texts ...string) (Scopes, error) {
	var scopes Scopes
	var wrong []error
	for _, text := range texts {
		for one := range strings.FieldsSeq(text) {
			s, err := ParseScope(one)
			switch {
			case err != nil:
				wrong = append(wrong, err)
			case s.Context == None:
				wrong = append(wrong, &scopeError{one, "it has no effect here: scopes begin with system/, user/ or patient/"})
			default:
				scopes = append(scopes, s)
			}
		}
	}
	return scopes, errors.Join(wrong...)
}

// readScopes reads the scopes that an issuer put in a token. One that is wrong or meant for others gives nothing;
// it is kept, so that it can be shown.
func readScopes(texts []string) Scopes {
	var scopes Scopes
	for _, text := range texts {
		for one := range strings.FieldsSeq(text) {
			s, err := ParseScope(one)
			if err != nil {
				s = Scope{other: one}
			}
			scopes = append(scopes, s)
		}
	}
	return scopes
}

// has tells whether a scope without effect on resources is there.
func (s Scopes) has(other string) bool {
	return slices.ContainsFunc(s, func(one Scope) bool { return one.Context == None && one.other == other })
}

// String is the scopes in their order, separated by spaces.
func (s Scopes) String() string { return strings.Join(s.texts(), " ") }

func (s Scopes) texts() []string {
	texts := make([]string, len(s))
	for i, one := range s {
		texts[i] = one.String()
	}
	return texts
}

// effective is what has an effect, sorted and without repetitions: the form in which sets of scopes are compared.
func (s Scopes) effective() Scopes {
	s = slices.DeleteFunc(slices.Clone(s), func(one Scope) bool { return one.Context == None })
	slices.SortFunc(s, func(a, b Scope) int { return strings.Compare(a.String(), b.String()) })
	return slices.CompactFunc(s, func(a, b Scope) bool { return a == b })
}

// MarshalJSON writes a list of texts.
func (s Scopes) MarshalJSON() ([]byte, error) { return json.Marshal(s.texts()) }

// UnmarshalJSON reads what MarshalJSON wrote. What can't be read as a scope gives nothing.
func (s *Scopes) UnmarshalJSON(text []byte) error {
	var texts []string
	if err := json.Unmarshal(text, &texts); err != nil {
		return err
	}
	*s = readScopes(texts)
	return nil
}
