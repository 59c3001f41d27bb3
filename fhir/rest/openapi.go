package rest

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"fhirhook/fhir"
)

// OpenAPI answers the description of the endpoint for tools that know OpenAPI and not FHIR. It is made from the
// table of routes and the operations, and is served outside of Prefix.
func (s *Server) OpenAPI(w http.ResponseWriter, r *http.Request) {
	base := s.base
	if base == "" {
		base = Prefix // relative to where the document is
	}
	document := s.openAPI(base)
	s.security(r.Context()).join(document)
	body := encode(document)
	header := w.Header()
	header.Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
	header.Set(echo.HeaderContentLength, strconv.Itoa(len(body)))
	header.Set(echo.HeaderXContentTypeOptions, "nosniff")
	header.Set("Cache-Control", "no-cache")
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // whoever hung up needs no answer
	}
}

// Fragment is a part of an OpenAPI document: paths of the server itself, outside of Prefix, and the components
// that they refer to, by section and name. A parameter id in a path is the one that is there already.
type Fragment struct {
	Paths      map[string]map[string]any
	Components map[string]map[string]any
}

// node is an object of the document; encode writes its members sorted, so that it is always the same.
type node = map[string]any

// summaries say what the interactions do.
var summaries = map[interaction]string{
	read: "Read a resource", vread: "Read a version of a resource", update: "Update a resource, or create it under an id",
	patchOne: "Change parts of a resource", remove: "Delete a resource", create: "Create a resource",
	historyInstance: "History of a resource", historyType: "History of a type", historySystem: "History of everything",
	searchType: "Search a type", searchSystem: "Search all types", capability: "What this server offers",
	process: "Process a batch or transaction",
}

func (s *Server) openAPI(base string) node {
	paths := node{}
	add := func(method, path string, description node) {
		if path == "" {
			path = "/"
		}
		item, ok := paths[path].(node)
		if !ok {
			item = node{}
			paths[path] = item
		}
		item[strings.ToLower(method)] = description
	}
	for _, r := range s.routes {
		path := braced(r.path)
		add(r.method, path, describe(summaries[r.code], r.method+" "+path, path, bodyOf(r)))
	}
	for _, o := range s.Operations {
		path := braced(o.Level.path(o.Name))
		for _, method := range o.Methods {
			body := node{}
			if method == http.MethodPost {
				body = content("resource", FHIRJSON)
			}
			d := describe("Operation $"+o.Name, method+" "+path, path, body)
			if len(o.Types) > 0 {
				d["description"] = fmt.Sprintf("Offered on: %v", o.Types)
			}
			add(method, path, d)
		}
	}
	types := make([]string, 0, len(fhir.Types()))
	for _, t := range fhir.Types() {
		types = append(types, string(t))
	}
	components := node{
		"parameters": node{
			"type":  node{"name": "type", "in": "path", "required": true, "schema": node{"type": "string", "enum": types}},
			"id":    node{"name": "id", "in": "path", "required": true, "schema": node{"type": "string", "pattern": `^[A-Za-z0-9.-]{1,64}$`}},
			"vid":   node{"name": "vid", "in": "path", "required": true, "schema": node{"type": "string"}},
			"inner": node{"name": "inner", "in": "path", "required": true, "description": "a resource type, or * for all", "schema": node{"type": "string"}},
		},
		"responses": node{
			"resource": node{"description": "What was asked for", "content": media("resource", FHIRJSON)},
			"outcome":  node{"description": "An OperationOutcome says what is wrong", "content": media("resource", FHIRJSON)},
		},
		"schemas": node{"resource": node{"type": "object", "required": []string{"resourceType"}, "properties": node{"resourceType": node{"type": "string"}}}},
	}
	for _, f := range s.Beside {
		f.join(paths, components, base)
	}
	return node{
		"openapi":    "3.1.0",
		"info":       node{"title": "fhirhook", "version": s.Version, "description": "FHIR R4 over HTTP. GET metadata is the CapabilityStatement, which says more."},
		"servers":    []node{{"url": base}},
		"paths":      paths,
		"components": components,
	}
}

// join puts the fragment into a document whose paths lie below base. Those of the fragment don't, so each says where
// it lies.
func (f Fragment) join(paths, components node, base string) {
	root, ok := strings.CutSuffix(base, Prefix)
	if root == "" || !ok { // somebody maps the endpoint to another path: what is beside it is beside the document
		root = "/"
	}
	for path, item := range f.Paths {
		placed := node{"servers": []node{{"url": root}}}
		maps.Copy(placed, item)
		paths[path] = placed
	}
	for section, named := range f.Components {
		into, ok := components[section].(node)
		if !ok {
			into = node{}
			components[section] = into
		}
		maps.Copy(into, named)
	}
}

func describe(summary, id, path string, body node) node {
	d := node{
		"summary":     summary,
		"operationId": strings.Trim(notInID.ReplaceAllString(id, "-"), "-"),
		"responses":   node{"2XX": node{"$ref": "#/components/responses/resource"}, "default": node{"$ref": "#/components/responses/outcome"}},
	}
	var parameters []node
	for _, m := range bracedName.FindAllStringSubmatch(path, -1) {
		parameters = append(parameters, node{"$ref": "#/components/parameters/" + m[1]})
	}
	if parameters != nil {
		d["parameters"] = parameters
	}
	if len(body) > 0 {
		d["requestBody"] = body
	}
	return d
}

var (
	notInID    = regexp.MustCompile(`[^A-Za-z0-9_]+`)
	echoName   = regexp.MustCompile(`:([a-z]+)`)
	bracedName = regexp.MustCompile(`\{([a-z]+)\}`)
)

// braced is a path of Echo in OpenAPI's notation.
func braced(path string) string { return echoName.ReplaceAllString(path, "{$1}") }

// bodyOf is what a route reads from its requests, by its method and what is known of searches.
func bodyOf(r route) node {
	switch {
	case r.code == patchOne:
		return content("", jsonPatchType, mergePatchType, FHIRJSON)
	case r.method == http.MethodPost && slices.Contains([]interaction{searchType, searchSystem}, r.code):
		return content("", echo.MIMEApplicationForm)
	case r.method == http.MethodPost || r.method == http.MethodPut:
		return content("resource", FHIRJSON)
	default:
		return nil
	}
}

func content(schema string, types ...string) node { return node{"content": media(schema, types...)} }

func media(schema string, types ...string) node {
	out := node{}
	for _, t := range types {
		out[t] = node{}
		if schema != "" {
			out[t] = node{"schema": node{"$ref": "#/components/schemas/" + schema}}
		}
	}
	return out
}
