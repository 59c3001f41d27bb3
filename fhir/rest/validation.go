package rest

import (
	"context"
	"net/http"

	"fhirhook/fhir"
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
		if p.Name == "profile" || p.Name == "mode" && p.Value == "delete" {
			return fhir.Incoming{}, fhir.Errorf(fhir.NotSupported, "http."+p.Name, "$validate by %s=%s is not offered: it checks against R4's own definitions", p.Name, clip(p.Value))
		}
	}
	if r.Body.Doc == nil {
		return fhir.Incoming{}, fhir.Errorf(fhir.Required, "", "send the resource to validate, or Parameters with it as the parameter resource")
	}
	if r.Body.Type != fhir.Parameters || r.Type == fhir.Parameters {
		return r.Body, nil
	}
	for p := range r.Body.Doc.Root().Get("parameter").Elements() {
		switch name := p.Get("name").Text(); name {
		case "resource":
			return fhir.Read(p.Get("resource").Raw(), storedDepth)
		case "profile":
			return fhir.Incoming{}, fhir.Errorf(fhir.NotSupported, "Parameters.parameter", "$validate by profile is not offered: it checks against R4's own definitions")
		}
	}
	return fhir.Incoming{}, fhir.Errorf(fhir.Required, "Parameters.parameter", "there is no parameter named resource")
}
