package rest

import (
	"context"
	"net/http"
	"strings"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
)

// everything is Patient/{id}/$everything and Patient/$everything (R4 patient-operation-everything.html): the patient,
// then the compartment, or those of all, in pages that show one state of the store; each with what its resources refer
// to outside of the compartment.
func (s *Server) everything(ctx context.Context, r OperationRequest) (OperationAnswer, error) {
	c := &call{code: "$everything", who: r.Who, tenant: r.Tenant, base: r.Base, target: target{typ: r.Type, id: r.ID}, origin: r.Origin}
	around, err := readEverything(c, r)
	if err != nil {
		return OperationAnswer{}, err
	}
	if r.ID == "" {
		a, err := s.searchAround(ctx, c, "", around, "/"+string(r.Type)+"/$everything")
		return OperationAnswer{Status: a.status, Body: a.body}, err
	}
	err = s.DB.View(ctx, func(tx store.Reader) error {
		_, err := s.readIn(ctx, tx, &call{code: read, who: r.Who, tenant: r.Tenant, target: c.target})
		return err
	})
	if err != nil {
		return OperationAnswer{}, err
	}
	a, err := s.searchAround(ctx, c, "", around, "/"+r.Key().String()+"/$everything")
	return OperationAnswer{Status: a.status, Body: a.body}, err
}

// everythingLinked brings along what the compartment refers to, once per page.
var everythingLinked = Pair{Name: "_include", Value: "*"}

// readEverything turns the operation's parameters into those of a search. Links to further pages carry the
// search's, so both are understood.
func readEverything(c *call, r OperationRequest) (search.Compartment, error) {
	around := search.Compartment{Type: r.Type, ID: r.ID, Any: r.ID == "", Whole: true}
	pairs := r.Query
	if r.Body.Doc != nil {
		sent, err := simpleParameters(r.Body)
		if err != nil {
			return around, err
		}
		pairs = append(pairs, sent...)
	}
	var query []Pair
	if !has(pairs, "_type") && !has(pairs, everythingLinked.Name) {
		query = append(query, everythingLinked) // whoever names types wants no others
	}
	for _, p := range pairs {
		switch p.Name {
		case "start", "end":
			if _, _, err := criteria.ParseParams("Observation", []Pair{{Name: "date", Value: p.Value}}, criteria.R4(), false); err != nil || p.Value == "" || p.Value[0] > '9' {
				return around, fhir.Errorf(fhir.Value, "http."+p.Name, "%s=%s: write a date, as in 2026-01-31", p.Name, clip(p.Value))
			}
			if p.Name == "start" {
				around.Start = p.Value
			} else {
				around.End = p.Value
			}
			c.extra = append(c.extra, p)
		case "_since":
			if _, err := fhir.ParseInstant(strings.ReplaceAll(p.Value, " ", "+")); err != nil {
				return around, fhir.Errorf(fhir.Value, "http._since", "_since=%s: write an instant, as in 2026-01-31T09:30:00Z", clip(p.Value))
			}
			query = append(query, Pair{Name: "_lastUpdated", Value: "ge" + p.Value})
		case "_type", "_count", "-page", "_lastUpdated":
			query = append(query, p)
		case everythingLinked.Name:
			if p != everythingLinked {
				return around, fhir.Errorf(fhir.NotSupported, "http._include", "$everything decides itself what to include")
			}
			query = append(query, p)
		default:
			return around, fhir.Errorf(fhir.NotSupported, "http."+p.Name, "$everything has no parameter %s: it knows start, end, _since, _type and _count", clip(p.Name))
		}
	}
	c.target.query = query
	return around, nil
}

// simpleParameters reads Parameters whose values are primitives as a query.
func simpleParameters(in fhir.Incoming) ([]Pair, error) {
	if in.Type != fhir.Parameters {
		return nil, fhir.Errorf(fhir.Invalid, "Resource.resourceType", "an operation takes Parameters, and this is a %s", in.Type)
	}
	var pairs []Pair
	for p := range in.Doc.Root().Get("parameter").Elements() {
		pair := Pair{Name: p.Get("name").Text()}
		for name, v := range p.Members() {
			if strings.HasPrefix(name, "value") {
				pair.Value = v.Text()
			}
		}
		pairs = append(pairs, pair)
	}
	return pairs, nil
}

// ownOperations are the operations that the endpoint carries out itself.
func (s *Server) ownOperations() []Operation {
	get, post := []string{http.MethodGet, http.MethodPost}, []string{http.MethodPost}
	return []Operation{
		{Name: "versions", Level: OnSystem, Methods: get, Handle: s.versions},
		{Name: "everything", Level: OnType, Types: []fhir.Type{"Patient"}, Methods: get, Handle: s.everything},
		{Name: "everything", Level: OnInstance, Types: []fhir.Type{"Patient"}, Methods: get, Handle: s.everything},
		{Name: "meta", Level: OnSystem, Methods: get, Handle: s.metaInUse},
		{Name: "meta", Level: OnType, Methods: get, Handle: s.metaInUse},
		{Name: "meta", Level: OnInstance, Methods: get, Handle: s.meta},
		{Name: "meta-add", Level: OnInstance, Methods: post, Handle: s.metaAdd},
		{Name: "meta-delete", Level: OnInstance, Methods: post, Handle: s.metaDelete},
		{Name: "validate", Level: OnType, Methods: post, Handle: s.validate, unjudged: true},
		{Name: "validate", Level: OnInstance, Methods: post, Handle: s.validate, unjudged: true},
	}
}

// definedByHL7 are the operations whose definitions R4 has.
var definedByHL7 = map[string]string{
	"versions": "CapabilityStatement-versions", "everything": "Patient-everything", "meta": "Resource-meta",
	"meta-add": "Resource-meta-add", "meta-delete": "Resource-meta-delete", "validate": "Resource-validate",
}

// versions tells which FHIR versions are spoken (R4 capabilitystatement-operation-versions.html).
func (s *Server) versions(_ context.Context, r OperationRequest) (OperationAnswer, error) {
	if err := r.noParameters("$versions"); err != nil {
		return OperationAnswer{}, err
	}
	return OperationAnswer{Status: http.StatusOK, Body: []byte(`{"resourceType":"Parameters","parameter":[{"name":"version","valueCode":"` +
		fhirVersion + `"},{"name":"default","valueCode":"` + fhirVersion + `"}]}`)}, nil
}
