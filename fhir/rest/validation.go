package rest

import (
	"context"
	"net/http"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// validate judges a resource as a create or update of it would be judged, and stores nothing (R4
// resource-operation-validate.html). What is wrong is the answer, and no error of the request.
func (s *Server) validate(_ context.Context, r OperationRequest) (OperationAnswer, error) {
	in, err := validated(r)
	if err != nil {
		return OperationAnswer{}, err
	}
	var problems []*fhir.Error
	if in.Type != r.Type {
		problems = append(problems, fhir.Errorf(fhir.Invalid, "Resource.resourceType", "the resource is a %s, and the URL is about a %s", in.Type, r.Type))
	}
	if r.ID != "" && in.ID != r.ID {
		problems = append(problems, fhir.Errorf(fhir.Invalid, string(in.Type)+".id", "the resource has id %q, and the URL names %s", in.ID, r.Key()))
	}
	problems = append(problems, s.Validator.Validate(in)...)
	issues := make([]issue, 0, max(1, len(problems)))
	for _, p := range problems {
		issues = append(issues, newIssue("error", outcomeOf(p.Kind).Code, p.Diagnostic, p.Expression))
		for _, more := range p.More {
			issues = append(issues, newIssue("error", outcomeOf(more.Kind).Code, more.Diagnostic, more.Expression))
		}
	}
	if len(issues) == 0 {
		issues = append(issues, newIssue("information", "informational", "nothing is wrong with it, as far as this server checks", ""))
	}
	return OperationAnswer{Status: http.StatusOK, Body: operationOutcome(issues...)}, nil
}

// validated finds the resource: the body itself, or the parameter resource of one that is Parameters.
func validated(r OperationRequest) (fhir.Incoming, error) {
	for _, p := range r.Query {
		if err := checkValidation("http."+p.Name, p.Name, p.Value); err != nil {
			return fhir.Incoming{}, err
		}
	}
	if r.Body.Doc == nil {
		return fhir.Incoming{}, fhir.Errorf(fhir.Required, "", "send the resource to validate, or Parameters with it as the parameter resource")
	}
	if r.Body.Type != fhir.Parameters || r.Type == fhir.Parameters {
		return r.Body, nil
	}
	var resource tape.Node
	found := false
	for p := range r.Body.Doc.Root().Get("parameter").Elements() {
		name := p.Get("name").Text()
		if name == "resource" {
			resource, found = p.Get("resource"), true
			continue
		}
		value := p.Get("valueCode").Text()
		if name == "profile" {
			value = p.Get("valueUri").Text()
		}
		if err := checkValidation("Parameters.parameter", name, value); err != nil {
			return fhir.Incoming{}, err
		}
	}
	if !found {
		return fhir.Incoming{}, fhir.Errorf(fhir.Required, "Parameters.parameter", "there is no parameter named resource")
	}
	return fhir.Read(resource.Raw(), storedDepth)
}

// checkValidation refuses what would make the answer one to another question: a profile, a deletion, a mode that R4 doesn't have.
func checkValidation(where, name, value string) error {
	switch {
	case name == "profile", name == "mode" && value == "delete":
		return fhir.Errorf(fhir.NotSupported, where, "$validate by %s=%s is not offered: it checks against R4's own definitions", name, clip(value))
	case name == "mode" && value != "create" && value != "update":
		return fhir.Errorf(fhir.Value, where, "mode=%s is none of $validate: write create or update", clip(value))
	}
	return nil
}
