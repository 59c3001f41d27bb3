package search

import (
	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// mostDefinitions bounds what writing a resource costs.
const mostDefinitions = 1000

// Admit judges a SearchParameter that a client writes beside those that the transaction sees. One that isn't
// active is stored as it is. prev is the version that it replaces, or nil.
func (c *Catalogue) Admit(tx store.Reader, tenant string, in fhir.Incoming, prev *fhir.Resource) error {
	root := in.Doc.Root()
	if in.Type != fhir.SearchParameter || !criteria.InForce(root) {
		return nil
	}
	def, problems := criteria.ReadDefinition(root)
	if len(problems) > 0 {
		return fhir.Join(problems)
	}
	all, err := active(tx, tenant, tx.Last())
	if err != nil {
		return err
	}
	var defs []criteria.Definition
	for _, res := range all {
		if prev != nil && res.Key == prev.Key {
			continue
		}
		if other, problems := criteria.ReadDefinition(res.Doc().Root()); len(problems) == 0 {
			defs = append(defs, other)
		}
	}
	if len(defs) >= mostDefinitions {
		return fhir.Errorf(fhir.TooCostly, "", "there are %d active SearchParameters already, and every write is searched for the values of all: retire some of them", len(defs))
	}
	defs = append(defs, def)
	_, rejected := c.base.Extend(defs, nil)
	for _, r := range rejected {
		if r.Index == len(defs)-1 {
			return r.Err()
		}
	}
	return nil
}
