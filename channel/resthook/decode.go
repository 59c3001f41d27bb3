package resthook

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"fhirhook/channel/settings"
)

// ParseDialects reads the dialects of a YAML text: the list under its key dialects, in the form of dialects.yaml.
// It is read as settings.Decode says, and what could be read is returned beside the error. Whether the dialects can be
// used is for Dialect.Check to say.
func ParseDialects(text []byte) ([]Dialect, error) {
	var file struct {
		Dialects []Dialect
		Others   map[string]any `yaml:",inline"`
	}
	err := settings.Decode(text, &file)
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
