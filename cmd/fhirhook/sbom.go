package main

import (
	"encoding/json"
	"io"
	"runtime/debug"
	"strings"
)

// The parts of CycloneDX 1.6 that are used.
type (
	sbom struct {
		Format       string          `json:"bomFormat"`
		SpecVersion  string          `json:"specVersion"`
		Version      int             `json:"version"`
		Metadata     sbomMetadata    `json:"metadata"`
		Components   []sbomComponent `json:"components"`
		Dependencies []sbomDepends   `json:"dependencies"`
	}
	sbomMetadata struct {
		Component  sbomComponent  `json:"component"`
		Properties []sbomProperty `json:"properties,omitempty"`
	}
	sbomComponent struct {
		Ref        string         `json:"bom-ref"`
		Type       string         `json:"type"`
		Name       string         `json:"name"`
		Version    string         `json:"version"`
		PURL       string         `json:"purl"`
		Scope      string         `json:"scope,omitempty"`
		Properties []sbomProperty `json:"properties,omitempty"`
	}
	sbomProperty struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	sbomDepends struct {
		Ref       string   `json:"ref"`
		DependsOn []string `json:"dependsOn"`
	}
)

// newSBOM lists what is linked into a binary, as its own build information has it: modules, and Go's standard library,
// which has vulnerabilities of its own. It holds no time and no random number, so that the same binary has the same list.
func newSBOM(info *debug.BuildInfo, version string) sbom {
	b := sbom{Format: "CycloneDX", SpecVersion: "1.6", Version: 1}
	b.Metadata.Component = component("application", info.Main.Path, version)
	for _, s := range info.Settings {
		switch s.Key {
		case "GOOS", "GOARCH", "CGO_ENABLED", "vcs.revision", "vcs.modified":
			b.Metadata.Properties = append(b.Metadata.Properties, sbomProperty{"go:" + s.Key, s.Value})
		}
	}
	b.Components = []sbomComponent{component("library", "std", strings.TrimPrefix(info.GoVersion, "go"))}
	for _, m := range info.Deps {
		c := component("library", m.Path, m.Version)
		if r := m.Replace; r != nil {
			c = component("library", r.Path, r.Version)
			c.Properties = append(c.Properties, sbomProperty{"go:replaces", m.Path + "@" + m.Version})
			m = r
		}
		if m.Sum != "" {
			c.Properties = append(c.Properties, sbomProperty{"go:sum", m.Sum})
		}
		b.Components = append(b.Components, c)
	}
	linked := sbomDepends{Ref: b.Metadata.Component.Ref}
	for i := range b.Components {
		b.Components[i].Scope = "required"
		linked.DependsOn = append(linked.DependsOn, b.Components[i].Ref)
	}
	b.Dependencies = []sbomDepends{linked}
	return b
}

// component names a module by its package URL (purl-spec, type golang).
func component(kind, path, version string) sbomComponent {
	purl := "pkg:golang/" + strings.ToLower(path) + "@" + strings.ReplaceAll(version, "+", "%2B")
	return sbomComponent{Ref: purl, Type: kind, Name: path, Version: version, PURL: purl}
}

func (b sbom) write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(b)
}
