package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	structureURL = "http://hl7.org/fhir/StructureDefinition/"
	parameterURL = "http://hl7.org/fhir/SearchParameter/"
	valueSetURL  = "http://hl7.org/fhir/ValueSet/"
)

type structureDefinition struct {
	Name           string
	Kind           string
	Abstract       bool
	BaseDefinition string
	Derivation     string
	Snapshot       struct{ Element []elementDefinition }
}

type elementDefinition struct {
	Path             string
	Min              int
	Max              string
	IsSummary        bool
	Base             struct{ Path string }
	ContentReference string
	Type             []struct {
		Code      string
		Extension []struct{ URL, ValueURL string }
	}
	Binding struct{ Strength, ValueSet string }
}

type valueSet struct {
	URL     string
	Compose struct {
		Include []struct {
			System   string
			ValueSet []string
			Concept  []concept
			Filter   []struct{ Op string }
		}
		Exclude []struct{ System string }
	}
}

type searchParameter struct {
	ID         string
	URL        string
	Code       string
	Base       []string
	Type       string
	Expression string
	XPathUsage string
	Target     []string
	Extension  []struct{ URL string }
	Component  []struct{ Definition, Expression string }
}

// readAll decodes the package's resources of one type, in order of file name.
func readAll[T any](folder, resourceType string) ([]T, error) {
	names, err := filepath.Glob(filepath.Join(folder, resourceType+"-*.json"))
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s holds no %s", folder, resourceType)
	}
	all := make([]T, 0, len(names))
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var v T
		if err := json.Unmarshal(b, &v); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(name), err)
		}
		all = append(all, v)
	}
	return all, nil
}

// short cuts the prefix that all of HL7's addresses of one kind share.
func short(url, prefix string) string { return strings.TrimPrefix(url, prefix) }
