package rest

import (
	"context"
	"errors"
	"net/http"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/fhir/tape"
)

// The modes of $validate (R4 valueset-resource-validation-mode), but for those that are refused.
const (
	modeCreate = "create"
	modeUpdate = "update"
)

// validate judges a resource as a create or update of it would be judged, and stores nothing (R4
// resource-operation-validate.html). What is wrong is the answer, and no error of the request. Where no mode says which
// of the two, it is what the URL could take: an update of an instance, else a create.
func (s *Server) validate(ctx context.Context, r OperationRequest) (OperationAnswer, error) {
	in, mode, err := validated(r)
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
	if in.Type == r.Type {
		refused, err := s.rehearse(ctx, r, in, mode)
		if err != nil {
			return OperationAnswer{}, err
		}
		problems = unseen(problems, refused)
	}
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

// rehearse asks whoever admits writes what it would say of this one, and returns what it would refuse.
func (s *Server) rehearse(ctx context.Context, r OperationRequest, in fhir.Incoming, mode string) (refused []*fhir.Error, err error) {
	key := r.Key()
	if mode == modeUpdate && key.ID == "" {
		key.ID = in.ID
	}
	update := mode == modeUpdate || mode == "" && r.ID != ""
	if update && subsetted(in) {
		refused = append(refused, extract(in))
	}
	err = s.DB.View(ctx, func(tx store.Reader) error {
		admit := s.Gate.Admission(tx, r.Tenant, r.Who)
		if admit == nil {
			return nil
		}
		var prev *fhir.Resource
		if update && fhir.ValidID(key.ID) {
			if prev, err = current(tx, key); err != nil {
				return err
			}
			if prev != nil && !r.Who.Access().Sees(prev, s.Env) {
				prev = nil // what it holds is told to nobody else
			}
		}
		_, err := admit(in, prev, time.Now())
		return err
	})
	if told, ok := errors.AsType[*fhir.Error](err); ok && told.Kind != fhir.Internal && told.Kind != fhir.Unavailable {
		return append(refused, told), nil
	}
	return refused, err
}

// unseen adds refusals to problems, but for those about an element of which something is said already: a value that isn't
// of its type is refused by all who read it.
func unseen(problems, refused []*fhir.Error) []*fhir.Error {
	said := map[string]bool{}
	for _, p := range problems {
		said[p.Expression] = true
	}
	for _, first := range refused {
		for _, e := range append([]*fhir.Error{first}, first.More...) {
			if !said[e.Expression] || e.Expression == "" {
				one := *e
				one.More = nil
				problems = append(problems, &one)
			}
		}
	}
	return problems
}

// validated finds the resource, which is the body itself or the parameter resource of one that is Parameters, and the mode.
func validated(r OperationRequest) (in fhir.Incoming, mode string, err error) {
	for _, p := range r.Query {
		if err := checkValidation("http."+p.Name, p.Name, p.Value); err != nil {
			return in, "", err
		}
		if p.Name == "mode" {
			mode = p.Value
		}
	}
	if r.Body.Doc == nil {
		return in, "", fhir.Errorf(fhir.Required, "", "send the resource to validate, or Parameters with it as the parameter resource")
	}
	if r.Body.Type != fhir.Parameters || r.Type == fhir.Parameters {
		return r.Body, mode, nil
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
			return in, "", err
		}
		if name == "mode" {
			mode = value
		}
	}
	if !found {
		return in, "", fhir.Errorf(fhir.Required, "Parameters.parameter", "there is no parameter named resource")
	}
	in, err = fhir.Read(resource.Raw(), storedDepth)
	return in, mode, err
}

// checkValidation refuses what would make the answer one to another question: a profile, a deletion, a mode that R4 doesn't have.
func checkValidation(where, name, value string) error {
	switch {
	case name == "profile", name == "mode" && value == "delete":
		return fhir.Errorf(fhir.NotSupported, where, "$validate by %s=%s is not offered: it checks against R4's own definitions", name, clip(value))
	case name == "mode" && value != modeCreate && value != modeUpdate:
		return fhir.Errorf(fhir.Value, where, "mode=%s is none of $validate: write create or update", clip(value))
	}
	return nil
}
