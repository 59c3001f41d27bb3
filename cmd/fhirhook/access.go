package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"fhirhook/fhir/auth"
)

// accessKey is the section of the configuration file that says who may call.
const accessKey = "auth"

// unknownField matches what the decoder says of a key that it does not know, in Go's words.
var unknownField = regexp.MustCompile(`^(line \d+): field (.*) not found in type .*$`)

// parseAccess reads the section auth of a configuration; other keys are others' business. The error names every key that
// isn't known and every value of a wrong kind, with its line; what could be read is returned beside it.
func parseAccess(text []byte) (auth.Config, error) {
	var file struct {
		Auth   auth.Config
		Others map[string]any `yaml:",inline"`
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	err := d.Decode(&file)
	if errors.Is(err, io.EOF) {
		return file.Auth, nil // nothing but comments
	}
	if wrong, ok := errors.AsType[*yaml.TypeError](err); ok {
		problems := make([]error, len(wrong.Errors))
		for i, problem := range wrong.Errors {
			if m := unknownField.FindStringSubmatch(problem); m != nil {
				problem = fmt.Sprintf("%s: no key %s is known here", m[1], m[2])
			}
			problems[i] = errors.New(strings.ReplaceAll(problem, "\n", " "))
		}
		err = errors.Join(problems...)
	}
	return file.Auth, err
}
