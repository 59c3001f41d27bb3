package webhook

import (
	"net/http"
	"strconv"
	"strings"

	"fhirhook/fhir/rest"
)

type node = map[string]any

// OpenAPI describes what a Handler serves. It is made from the tables that serve it.
func OpenAPI() rest.Fragment {
	paths := map[string]map[string]any{}
	for _, r := range table() {
		if paths[r.path] == nil {
			paths[r.path] = node{}
		}
		paths[r.path][strings.ToLower(r.method)] = r.describe()
	}
	return rest.Fragment{Paths: paths, Components: map[string]map[string]any{
		"schemas":   schemas(),
		"responses": {"problem": node{"description": "What is wrong, and where (RFC 9457)", "content": content("application/problem+json", "problem")}},
	}}
}

func (r row) describe() node {
	success := node{"description": http.StatusText(r.status)}
	if r.gives != "" {
		success["content"] = content("application/json", r.gives)
	}
	d := node{
		"summary":     r.summary,
		"operationId": strings.Trim(strings.NewReplacer("/", "-", "{", "", "}", "").Replace(r.method+r.path), "-"),
		"tags":        []string{"webhooks"},
		"responses":   node{strconv.Itoa(r.status): success, "default": reference("responses", "problem")},
	}
	if r.path == "/webhook-events" {
		d["responses"].(node)["200"] = node{"description": "The test event was sent", "content": content("application/json", "webhook-ping")}
	}
	var parameters []node
	if strings.Contains(r.path, "{id}") {
		parameters = append(parameters, reference("parameters", "id"))
	}
	for _, name := range r.query {
		schema := text
		if name == "_count" {
			schema = node{"type": "integer", "minimum": 1, "maximum": mostCount, "default": usualCount}
		}
		parameters = append(parameters, node{"name": name, "in": "query", "schema": schema})
	}
	if r.method == http.MethodPut || r.method == http.MethodPatch || r.method == http.MethodDelete {
		parameters = append(parameters, node{"name": "If-Match", "in": "header", "schema": text, "description": "the ETag of the version that is changed"})
	}
	if parameters != nil {
		d["parameters"] = parameters
	}
	if r.takes != "" {
		kind := "application/json"
		if r.method == http.MethodPatch {
			kind = "application/merge-patch+json"
		}
		d["requestBody"] = node{"required": r.takes != "webhook-rotation", "content": content(kind, r.takes)}
	}
	return d
}

func reference(section, name string) node {
	return node{"$ref": "#/components/" + section + "/" + name}
}

func content(media, schema string) node {
	return node{media: node{"schema": reference("schemas", schema)}}
}

// schemas are those of the bodies.
func schemas() node {
	written, changed, seen := node{}, node{}, node{}
	for _, f := range fields {
		one := node{"description": f.about}
		for name, v := range f.schema {
			one[name] = v
		}
		written[f.name], seen[f.name] = one, one
		changed[f.name] = node{"oneOf": []any{one, node{"type": "null"}}}
	}
	for _, name := range shown {
		seen[name] = node{"type": "string", "readOnly": true}
	}
	seen["warnings"] = list(text, true)
	seen["events"] = list(text, false)
	needed := []string{"url", "events"}
	integer, instant := node{"type": "integer"}, node{"type": "string", "format": "date-time"}
	seen["updated"] = node{"type": "string", "format": "date-time", "readOnly": true}
	tried := node{
		"try": integer, "time": instant, "status": node{"type": "integer", "description": "of HTTP"}, "duration_ms": integer, "state": text,
		"error_class": text, "reply": text, "hint": text, "next_try": instant,
	}
	ping := node{"id": text, "webhook": text, "event": text, "headers": node{"type": "object", "additionalProperties": text}}
	for name, v := range tried {
		ping[name] = v
	}
	attempts := list(object(tried), false)
	return node{
		"webhook":       node{"type": "object", "properties": seen, "required": needed},
		"webhook-patch": object(changed),
		"webhook-event": node{"oneOf": []any{
			node{"type": "object", "properties": written, "required": needed, "additionalProperties": false},
			node{
				"type": "object", "required": []string{"webhook", "event"}, "additionalProperties": false,
				"properties": node{"webhook": text, "event": node{"type": "string", "enum": []string{"ping"}}},
			},
		}},
		"webhooks":         object(node{"webhooks": list(reference("schemas", "webhook"), false), "next": text}),
		"webhook-ping":     object(ping),
		"webhook-rotation": object(node{"secret": text, "overlap": node{"type": "string", "default": "24h"}}),
		"webhook-rotated":  object(node{"id": text, "secret": text, "previous_until": instant}),
		"webhook-delivery": object(node{
			"id": text, "event": text, "sequence": integer, "resource": text, "interaction": text, "state": text, "next_try": instant,
			"attempts": attempts, "notes": attempts,
		}),
		"webhook-deliveries": object(node{
			"deliveries": list(reference("schemas", "webhook-delivery"), false), "total": integer, "next": text,
		}),
		"problem": object(node{
			"type": text, "title": text, "status": integer, "detail": text,
			"errors": list(object(node{"pointer": text, "parameter": text, "header": text, "expression": text, "code": text, "detail": text}), false),
		}),
	}
}

func object(properties node) node { return node{"type": "object", "properties": properties} }

func list(of node, readOnly bool) node {
	n := node{"type": "array", "items": of}
	if readOnly {
		n["readOnly"] = true
	}
	return n
}
