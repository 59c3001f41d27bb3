// Package settings reads sections of the configuration file. Each section belongs to the package whose settings it holds; how
// strictly it is read, and in what words a mistake is told, is the same for all of them and stands here. Flags are none of it.
package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Decode reads a YAML text into a struct that has a field for its section, and a map with the option inline for the other keys,
// which are others' business. The error names every key that isn't known and every value of a wrong kind, each with its line, in
// the words of the file's author; what could be read is there nevertheless, so that the rest can be checked too. A text that
// holds nothing changes nothing.
func Decode(text []byte, into any) error {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	err := decoder.Decode(into)
	if errors.Is(err, io.EOF) {
		return nil // nothing but comments
	}
	if e, ok := errors.AsType[*time.ParseError](err); ok {
		return fmt.Errorf("%.40q must be %s", e.Value, date)
	}
	wrong, ok := errors.AsType[*yaml.TypeError](err)
	if !ok {
		return err
	}
	problems := make([]error, len(wrong.Errors))
	for i, text := range wrong.Errors {
		problems[i] = errors.New(strings.ReplaceAll(plain(text), "\n", " "))
	}
	return errors.Join(problems...)
}

const date = "a date, as in 2027-01-31, or a date and time with its zone"

// unknownKey and wrongKind match the decoder's sentences, which speak of Go's types.
var (
	unknownKey = regexp.MustCompile(`^(line \d+): field (.*) not found in type .*$`)
	wrongKind  = regexp.MustCompile(`(?s)^(line \d+): cannot unmarshal (?:!!\w+ ?)?(.*) into (.+)$`)
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
	case kind == "time.Time":
		want = date
	case kind == "string":
		want = "a text"
	case strings.HasPrefix(kind, "int"), strings.HasPrefix(kind, "uint"):
		want = "a whole number"
	case strings.HasPrefix(kind, "float"):
		want = "a number"
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
