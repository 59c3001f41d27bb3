package criteria

import (
	"iter"
	"slices"
	"strconv"
	"strings"

	"fhirhook/fhir"
)

// Link is a resource of this server that a reference points to.
type Link struct {
	Type    fhir.Type
	ID      string
	Version uint64 // 0 unless the reference names one
}

// Targets yields the resources of this server that the subject refers to by a reference parameter, in the
// order of its values. Those under foreign base URLs, and what can't be told from the reference alone
// (canonicals, identifiers), are not among them.
func (s *Subject) Targets(p *Param) iter.Seq[Link] {
	return func(yield func(Link) bool) {
		for _, t := range s.values(p).targets {
			if !t.rest || !s.own(t.base) {
				continue
			}
			link := Link{Type: t.kind, ID: t.id}
			if t.history != "" {
				version, err := strconv.ParseUint(t.history, 10, 64)
				if err != nil || version == 0 {
					continue // no version of ours is named so
				}
				link.Version = version
			}
			if !yield(link) {
				return
			}
		}
	}
}

// Named returns the resources that the subject names by canonical URL in a reference parameter, as they are where the
// Env's Lookup looks; without a version the newest. As the answer to a query, it means nothing if Err tells of something.
func (s *Subject) Named(p *Param) []*fhir.Resource {
	s.begin()
	var all []*fhir.Resource
	for _, t := range s.values(p).targets {
		if !t.canonical || t.rest && s.own(t.base) || strings.Contains(t.url, "#") {
			continue
		}
		types := p.Targets
		if len(types) == 0 {
			types = anyTargets()
		}
		for _, kind := range types {
			if other := s.look().canonical(s.env, kind, t.url, t.version); other != nil && !slices.Contains(all, other.resource) {
				all = append(all, other.resource)
			}
		}
	}
	return all
}
