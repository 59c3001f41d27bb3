package resthook

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ParseDialects reads the dialects of a YAML text: the list under its key dialects, in the form of dialects.yaml.
// Other keys of the text are others' business. The error names every key that isn't known and every value of a
// wrong kind, each with its line; what could be read is returned beside it, so that the rest can be checked too.
// Whether the dialects can be used is for Dialect.Check to say.
func ParseDialects(text []byte) ([]Dialect, error) {
	var file struct {
		Dialects []Dialect
		Others   map[string]any `yaml:",inline"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	err := decoder.Decode(&file)
	if errors.Is(err, io.EOF) {
		return nil, nil // nothing but comments
	}
	if wrong, ok := errors.AsType[*yaml.TypeError](err); ok {
		problems := make([]error, len(wrong.Errors))
		for i, text := range wrong.Errors {
			problems[i] = errors.New(plain(text))
		}
		err = errors.Join(problems...)
	}
	for i := range file.Dialects {
		file.Dialects[i].Events = expand(file.Dialects[i].Events)
	}
	return file.Dialects, err
}

// expand writes a catalogue entry whose name holds ${action} as one entry for each of its interactions.
func expand(events []Event) []Event {
	const action = "${action}"
	var all []Event
	for _, e := range events {
		if !strings.Contains(e.Name, action) {
			all = append(all, e)
			continue
		}
		for _, interaction := range e.Interactions {
			one := e
			one.Name, one.Interactions = strings.ReplaceAll(e.Name, action, past(interaction)), []string{interaction}
			all = append(all, one)
		}
	}
	return all
}

// unknownKey and wrongKind match the decoder's sentences, which speak of Go's types.
var (
	unknownKey = regexp.MustCompile(`^(line \d+): field (.*) not found in type .*$`)
	wrongKind  = regexp.MustCompile(`(?s)^(line \d+): cannot unmarshal (?:!!\w+ ?)?(.*) into (\S+)$`)
)

// plain says a decoder's sentence in the words of the file's author.
func plain(text string) string {
	if m := unknownKey.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("%s: no key %s is known here", m[1], m[2])
	}
	m := wrongKind.FindStringSubmatch(text)
	if m == nil {
		return text
	}
	want := "a mapping of keys to values"
	switch kind := m[3]; {
	case kind == "time.Duration":
		want = "a time with its unit, as in 30s"
	case kind == "string":
		want = "a text"
	case kind == "int":
		want = "a whole number"
	case kind == "bool":
		want = "true or false"
	case strings.HasPrefix(kind, "[]"):
		want = "a list"
	}
	if m[2] == "" {
		return fmt.Sprintf("%s: this must be %s", m[1], want)
	}
	return fmt.Sprintf("%s: %s must be %s", m[1], m[2], want)
}

// addresses are the words for the address styles.
var addresses = map[string]Address{"endpoint": AtEndpoint, "resource": AtResource}

// UnmarshalYAML implements yaml.Unmarshaler.
func (a *Address) UnmarshalYAML(n *yaml.Node) error {
	style, ok := addresses[n.Value]
	if n.Kind != yaml.ScalarNode || !ok {
		return misread(n, "%q is no address style: endpoint or resource", n.Value)
	}
	*a = style
	return nil
}

// MarshalYAML implements yaml.Marshaler.
func (a Address) MarshalYAML() (any, error) {
	if a == AtResource {
		return "resource", nil
	}
	return "endpoint", nil
}

// UnmarshalYAML implements yaml.Unmarshaler: a set as ParseCodes reads it.
func (c *Codes) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode {
		return misread(n, "a set of status codes is a text such as 200-299,410")
	}
	codes, err := ParseCodes(n.Value)
	if err != nil {
		return misread(n, "%v", err)
	}
	*c = codes
	return nil
}

// MarshalYAML implements yaml.Marshaler.
func (c Codes) MarshalYAML() (any, error) { return c.String(), nil }

// misread is of the type that the decoder collects: any other ends its work.
func misread(n *yaml.Node, format string, args ...any) error {
	return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: "+format, append([]any{n.Line}, args...)...)}}
}
