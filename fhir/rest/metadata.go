package rest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	models "github.com/samply/golang-fhir-models/fhir-models/fhir"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/search"
)

// basePlace stands for [base] in the CapabilityStatement that is kept; the rest is the same for every client.
const basePlace = "urn:fhirhook:base"

// capabilities answers what is offered (R4 http.html#capabilities).
func (s *Server) capabilities(ctx context.Context, c *call) (answer, error) {
	var defs *criteria.Definitions
	if s.Definitions != nil {
		var err error
		if defs, err = s.Definitions(ctx, c.tenant); err != nil {
			return answer{}, err
		}
	}
	body := bytes.ReplaceAll(s.statement.of(defs, s.security(ctx)), []byte(basePlace), bytes.Trim(encode(c.base), `"`))
	sum := sha256.Sum256(body)
	a := answer{status: http.StatusOK, etag: `W/"` + hex.EncodeToString(sum[:8]) + `"`, body: body}
	if slices.Contains(c.cond.ifNoneMatch, hex.EncodeToString(sum[:8])) {
		a.status, a.body = http.StatusNotModified, nil
	}
	return a, nil
}

// statement keeps the CapabilityStatements that it was asked for lately; making one
// takes some milliseconds.
type statement struct {
	make func(*criteria.Definitions, security) []byte

	mu     sync.Mutex // guards what follows
	bodies map[statementOf][]byte
}

// statementOf is what a statement depends on.
type statementOf struct {
	defs *criteria.Definitions
	security
}

// mostStatements is how many are kept: each tenant may have definitions of its own.
const mostStatements = 16

func (s *statement) of(defs *criteria.Definitions, how security) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := statementOf{defs, how}
	body, ok := s.bodies[key]
	if !ok {
		if len(s.bodies) >= mostStatements || s.bodies == nil {
			s.bodies = map[statementOf][]byte{}
		}
		body = s.make(defs, how)
		s.bodies[key] = body
	}
	return body
}

// newStatement makes the CapabilityStatement.
func newStatement(o Options, defs *criteria.Definitions, how security, now time.Time) []byte {
	software := models.CapabilityStatementSoftware{Name: "fhirhook"}
	if o.Version != "" {
		software.Version = &o.Version
	}
	base := basePlace
	rest := models.CapabilityStatementRest{
		Mode:        models.RestfulCapabilityModeServer,
		Interaction: systemInteractions(),
		Operation:   operationsOn("", o.Operations),
		Compartment: compartmentDefinitions(),
		Security:    how.statement(),
	}
	referring := inclusions(defs)
	for _, t := range fhir.Types() {
		capability := resourceCapability(t, defs)
		capability.SearchRevInclude = referring[t]
		if o.DeleteMultiple {
			capability.ConditionalDelete = ptr(models.ConditionalDeleteStatusMultiple)
		}
		capability.Operation = operationsOn(t, o.Operations)
		capability.Documentation = besides(t, o.Virtuals)
		rest.Resource = append(rest.Resource, capability)
	}
	return encode(firstType{models.CapabilityStatement{
		Status: models.PublicationStatusActive,
		Date:   fhir.Instant(now),
		Kind:   models.CapabilityStatementKindInstance,
		Implementation: &models.CapabilityStatementImplementation{
			Description: "FHIR R4 server with rest-hook Subscriptions", Url: &base,
		},
		Software:    &software,
		FhirVersion: models.FHIRVersion4_0_1,
		Format:      []string{FHIRJSON, "json"},
		PatchFormat: []string{jsonPatchType, mergePatchType, FHIRJSON},
		Rest:        []models.CapabilityStatementRest{rest},
	}})
}

func resourceCapability(t fhir.Type, defs *criteria.Definitions) models.CapabilityStatementRestResource {
	yes := true
	versioned := models.ResourceVersionPolicyVersionedUpdate
	fullRead, single := models.ConditionalReadStatusFullSupport, models.ConditionalDeleteStatusSingle
	r := models.CapabilityStatementRestResource{
		Type: resourceType(t), Interaction: typeInteractions(), Versioning: &versioned, ReadHistory: &yes, UpdateCreate: &yes,
		ConditionalCreate: &yes, ConditionalRead: &fullRead, ConditionalUpdate: &yes, ConditionalDelete: &single,
		ReferencePolicy: []models.ReferenceHandlingPolicy{models.ReferenceHandlingPolicyLiteral, models.ReferenceHandlingPolicyLocal},
	}
	if defs == nil {
		return r
	}
	for p := range defs.Params(t) {
		if kind, ok := paramKinds[p.Kind]; ok && evaluable(t, p, defs) {
			r.SearchParam = append(r.SearchParam, models.CapabilityStatementRestResourceSearchParam{Name: p.Code, Type: kind, Definition: definition(p)})
			if p.Kind == criteria.Reference {
				r.SearchInclude = append(r.SearchInclude, inclusion(t, p))
			}
		}
	}
	return r
}

// inclusions are, by type, what _revinclude takes: an empty list would say that there is no such thing.
func inclusions(defs *criteria.Definitions) map[fhir.Type][]string {
	of := map[fhir.Type][]string{}
	if defs == nil {
		return of
	}
	for _, source := range fhir.Types() {
		for p := range defs.Params(source) {
			if p.Kind != criteria.Reference || !evaluable(source, p, defs) {
				continue
			}
			targets := p.Targets
			if len(targets) == 0 {
				targets = fhir.Types()
			}
			for _, t := range targets {
				of[t] = append(of[t], inclusion(source, p))
			}
		}
	}
	return of
}

// inclusion is a reference parameter as _include and _revinclude take it.
func inclusion(source fhir.Type, p *criteria.Param) string { return string(source) + ":" + p.Code }

// besides says what is shown among a type's resources; nil: nothing.
func besides(t fhir.Type, virtuals []search.Virtual) *string {
	var notes []string
	for _, v := range virtuals {
		if v.Type() == t {
			notes = append(notes, "Reads and searches of this type also show what nobody wrote as such: each is "+v.ReadOnly()+". It has one version, can't be written, stands in no history of the type and notifies nobody.")
		}
	}
	if notes == nil {
		return nil
	}
	return ptr(strings.Join(notes, "\n\n"))
}

// compartmentDefinitions are the canonical URLs of the compartments that can be searched.
func compartmentDefinitions() []string {
	var out []string
	for _, t := range criteria.Compartments() {
		out = append(out, "http://hl7.org/fhir/CompartmentDefinition/"+strings.ToLower(string(t[:1]))+string(t[1:]))
	}
	return out
}

func definition(p *criteria.Param) *string {
	if p.URL == "" {
		return nil
	}
	return &p.URL
}

// evaluable asks the engine itself, so that no list has to be kept in step with it.
func evaluable(t fhir.Type, p *criteria.Param, defs *criteria.Definitions) bool {
	_, _, err := criteria.ParseParams(t, []criteria.Pair{{Name: p.Code, Value: sample(p)}}, defs, false)
	return err == nil
}

// sample is a value that a parameter of the kind takes.
func sample(p *criteria.Param) string {
	switch p.Kind {
	case criteria.Number, criteria.Quantity:
		return "1"
	case criteria.Date:
		return "2020-01-01"
	case criteria.Reference:
		return "1"
	case criteria.Composite:
		var parts []string
		for _, c := range p.Components {
			parts = append(parts, sample(c.Param))
		}
		return strings.Join(parts, "$")
	default:
		return "x"
	}
}

var paramKinds = map[criteria.Kind]models.SearchParamType{
	criteria.Number:    models.SearchParamTypeNumber,
	criteria.Date:      models.SearchParamTypeDate,
	criteria.String:    models.SearchParamTypeString,
	criteria.Token:     models.SearchParamTypeToken,
	criteria.Reference: models.SearchParamTypeReference,
	criteria.Composite: models.SearchParamTypeComposite,
	criteria.Quantity:  models.SearchParamTypeQuantity,
	criteria.URI:       models.SearchParamTypeUri,
	criteria.Special:   models.SearchParamTypeSpecial,
}

func resourceType(t fhir.Type) models.ResourceType {
	var r models.ResourceType
	if err := r.UnmarshalJSON([]byte(`"` + string(t) + `"`)); err != nil {
		panic("the models do not know " + string(t)) // a constant table: TestMetadata_listsEveryType
	}
	return r
}

// typeInteractions are the codes of the routes that concern a type.
func typeInteractions() []models.CapabilityStatementRestResourceInteraction {
	var out []models.CapabilityStatementRestResourceInteraction
	for _, code := range codes(func(r route) bool { return r.typed() }) {
		var c models.TypeRestfulInteraction
		if err := c.UnmarshalJSON([]byte(`"` + string(code) + `"`)); err != nil {
			panic("no interaction of a type: " + string(code))
		}
		out = append(out, models.CapabilityStatementRestResourceInteraction{Code: c})
	}
	return out
}

// systemInteractions are those of the whole system.
func systemInteractions() []models.CapabilityStatementRestInteraction {
	var out []models.CapabilityStatementRestInteraction
	add := func(c models.SystemRestfulInteraction) {
		out = append(out, models.CapabilityStatementRestInteraction{Code: c})
	}
	for _, code := range codes(func(r route) bool { return !r.typed() }) {
		switch code {
		case process:
			add(models.SystemRestfulInteractionTransaction)
			add(models.SystemRestfulInteractionBatch)
		case searchSystem:
			add(models.SystemRestfulInteractionSearchSystem)
		case historySystem:
			add(models.SystemRestfulInteractionHistorySystem)
		}
	}
	return out
}

// codes lists the interactions of the chosen routes, each once, in the table's order.
func codes(choose func(route) bool) []interaction {
	var out []interaction
	for _, r := range routes() {
		if choose(r) && !slices.Contains(out, r.code) {
			out = append(out, r.code)
		}
	}
	return out
}

// firstType writes a model with resourceType in front, where people look for it; the models put it last.
type firstType struct{ models.CapabilityStatement }

// MarshalJSON implements json.Marshaler.
func (f firstType) MarshalJSON() ([]byte, error) {
	const last = `,"resourceType":"CapabilityStatement"}`
	b, err := f.CapabilityStatement.MarshalJSON()
	if rest, ok := bytes.CutSuffix(b, []byte(last)); ok {
		b = slices.Concat([]byte(`{"resourceType":"CapabilityStatement",`), rest[1:], []byte("}"))
	}
	return b, err
}

func ptr[T any](v T) *T { return &v }
