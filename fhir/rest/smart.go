package rest

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"
	models "github.com/samply/golang-fhir-models/fhir-models/fhir"

	"fhirhook/fhir"
	"fhirhook/fhir/auth"
)

// smartPath is where an app finds out, before it has a token, where to get one (SMART App Launch 2, conformance).
const smartPath = Prefix + "/.well-known/smart-configuration"

// addSmart puts that into the router.
func (s *Server) addSmart(e *echo.Echo) {
	allow := http.MethodOptions + ", " + http.MethodGet + ", " + http.MethodHead
	e.GET(smartPath, s.smart)
	e.HEAD(smartPath, s.smart)
	e.OPTIONS(smartPath, func(c echo.Context) error {
		c.Response().Header().Set(echo.HeaderAllow, allow)
		return c.NoContent(http.StatusNoContent)
	})
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		e.Add(method, smartPath, func(c echo.Context) error {
			c.Response().Header().Set(echo.HeaderAllow, allow)
			return fhir.Errorf(fhir.MethodNotAllowed, "", "the SMART configuration can only be read: the Allow header lists how")
		})
	}
}

// smart answers the SMART configuration. It is no FHIR resource, and everybody may read it.
func (s *Server) smart(c echo.Context) error {
	known, err := s.authority(c.Request().Context(), true)
	switch {
	case errors.Is(err, auth.ErrNoIssuer):
		return fhir.Errorf(fhir.NotFound, "", "there is no SMART configuration: no OpenID Connect issuer is configured here, so apps can't get tokens by themselves")
	case err != nil && c.Request().Context().Err() != nil:
		return err
	case err != nil:
		return &fhir.Error{Kind: fhir.Unavailable, Diagnostic: "the issuer of tokens does not tell at the moment how it is to be asked: repeat the request", Err: err}
	}
	body := encode(known)
	header := c.Response().Header()
	header.Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
	header.Set(echo.HeaderContentLength, strconv.Itoa(len(body)))
	header.Set(echo.HeaderXContentTypeOptions, "nosniff")
	header.Set("Cache-Control", "public, max-age=300")
	c.Response().WriteHeader(http.StatusOK)
	if c.Request().Method == http.MethodHead {
		return nil
	}
	_, err = c.Response().Write(body)
	return err
}

// authority is who gives tokens that are good here.
func (s *Server) authority(ctx context.Context, wait bool) (*auth.Smart, error) {
	if s.Smart == nil {
		return nil, auth.ErrNoIssuer
	}
	return s.Smart(ctx, wait)
}

// security is what a CapabilityStatement says of how to get in.
type security struct {
	tokens bool        // callers have to have one
	issued bool        // by an issuer
	smart  *auth.Smart // what that publishes; nil: not known yet
}

func (s *Server) security(ctx context.Context) security {
	known, err := s.authority(ctx, false)
	return security{tokens: s.authenticates(), issued: !errors.Is(err, auth.ErrNoIssuer), smart: known}
}

func (sec security) statement() *models.CapabilityStatementRestSecurity {
	out := &models.CapabilityStatementRestSecurity{}
	switch {
	case !sec.tokens:
		out.Description = ptr("Nobody is authenticated: whoever can connect may do everything. The server is reachable from its own machine only, or stands behind a proxy that authenticates.")
		return out
	case !sec.issued:
		out.Description = ptr("Send Authorization: Bearer TOKEN with a token that the operator of this server has made. Its scopes are those of SMART on FHIR 2.")
	default:
		out.Description = ptr("Send Authorization: Bearer TOKEN with a JWT of the issuer, or with a token that the operator of this server has made. Scopes are those of SMART on FHIR 2; GET .well-known/smart-configuration says where apps get tokens.")
		out.Service = append(out.Service, service("SMART-on-FHIR", "SMART on FHIR"))
	}
	out.Service = append(out.Service, service("OAuth", "OAuth 2 bearer tokens (RFC 6750)"))
	if sec.smart == nil {
		return out
	}
	uris := models.Extension{Url: "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"}
	for _, one := range []struct{ name, url string }{
		{"authorize", sec.smart.Authorization},
		{"token", sec.smart.Token},
		{"register", sec.smart.Registration},
		{"manage", sec.smart.Management},
		{"introspect", sec.smart.Introspection},
		{"revoke", sec.smart.Revocation},
	} {
		if one.url != "" {
			uris.Extension = append(uris.Extension, models.Extension{Url: one.name, ValueUri: &one.url})
		}
	}
	out.Extension = []models.Extension{uris}
	return out
}

func service(code, text string) models.CodeableConcept {
	return models.CodeableConcept{
		Coding: []models.Coding{{System: ptr("http://terminology.hl7.org/CodeSystem/restful-security-service"), Code: &code}}, Text: &text,
	}
}

// join says it in an OpenAPI document: each of the schemes is enough, and the CapabilityStatement takes none.
func (sec security) join(document node) {
	if !sec.tokens {
		return
	}
	schemes := node{"bearer": node{"type": "http", "scheme": "bearer", "description": "A token that the operator of the server made, or a JWT of its issuer"}}
	enough := []node{{"bearer": []string{}}}
	if sec.smart != nil {
		schemes["issuer"] = node{"type": "openIdConnect", "openIdConnectUrl": sec.smart.Discovery()}
		enough = append(enough, node{"issuer": []string{}})
	}
	document["security"] = enough
	document["components"].(node)["securitySchemes"] = schemes
	document["paths"].(node)["/metadata"].(node)["get"].(node)["security"] = append(enough[:len(enough):len(enough)], node{})
}
