package rest

import (
	"fmt"
	"strings"
	"testing"
)

// TestServer_refusesBadInput sends wrong requests; each must be answered with its status and issue code, say
// something, and leave the store as it was.
func TestServer_refusesBadInput(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(o *Options) { o.MaxBody, o.MaxBundle, o.MaxDepth, o.MaxEntries = 4000, 8000, 20, 10 })
	h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1","active":true}`)
	h.must(200, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1","active":false,"gender":"male"}`)
	h.must(201, "PUT", "/Patient/2", `{"resourceType":"Patient","id":"2","gender":"male"}`)
	h.must(201, "PUT", "/Patient/gone", `{"resourceType":"Patient","id":"gone"}`)
	h.must(204, "DELETE", "/Patient/gone", "")
	h.must(201, "PUT", "/Binary/b", "plain", "Content-Type: text/plain")
	before := h.rows()

	patient := `{"resourceType":"Patient"}`
	tx := func(entries ...string) string {
		return `{"resourceType":"Bundle","type":"transaction","entry":[` + strings.Join(entries, ",") + `]}`
	}
	good := `{"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}}`
	tests := []struct {
		name         string
		method, path string
		body         string
		header       []string
		status       int
		code         string
	}{
		// bodies
		{"empty body", "POST", "/Patient", " ", nil, 400, "structure"},
		{"no JSON", "POST", "/Patient", "hello", nil, 400, "structure"},
		{"truncated JSON", "POST", "/Patient", `{"resourceType":"Patient"`, nil, 400, "structure"},
		{"more behind the end", "POST", "/Patient", patient + "x", nil, 400, "structure"},
		{"trailing comma", "POST", "/Patient", `{"resourceType":"Patient",}`, nil, 400, "structure"},
		{"comment", "POST", "/Patient", `{/* */"resourceType":"Patient"}`, nil, 400, "structure"},
		{"duplicate key", "POST", "/Patient", `{"resourceType":"Patient","active":true,"active":false}`, nil, 400, "structure"},
		{"duplicate key by escape", "POST", "/Patient", `{"resourceType":"Patient","a":1,"\u0061":2}`, nil, 400, "structure"},
		{"duplicate key deep inside", "POST", "/Patient", `{"resourceType":"Patient","name":[{"text":"a","text":"b"}]}`, nil, 400, "structure"},
		{"invalid UTF-8", "POST", "/Patient", "{\"resourceType\":\"Patient\",\"x\":\"\xff\"}", nil, 400, "structure"},
		{"lone surrogate", "POST", "/Patient", `{"resourceType":"Patient","x":"\ud800"}`, nil, 400, "structure"},
		{"control character", "POST", "/Patient", "{\"resourceType\":\"Patient\",\"x\":\"\x01\"}", nil, 400, "structure"},
		{"leading zero", "POST", "/Patient", `{"resourceType":"Patient","x":01}`, nil, 400, "structure"},
		{"NaN", "POST", "/Patient", `{"resourceType":"Patient","x":NaN}`, nil, 400, "structure"},
		{"array", "POST", "/Patient", `[` + patient + `]`, nil, 400, "structure"},
		{"string", "POST", "/Patient", `"Patient"`, nil, 400, "structure"},
		{"null", "POST", "/Patient", `null`, nil, 400, "structure"},
		{"too deep", "POST", "/Patient", `{"resourceType":"Patient","x":` + strings.Repeat("[", 30) + strings.Repeat("]", 30) + `}`, nil, 400, "structure"},
		{"too large", "POST", "/Patient", `{"resourceType":"Patient","x":"` + strings.Repeat("x", 5000) + `"}`, nil, 413, "too-long"},
		{"Bundle too large", "POST", "", tx(`{"x":"` + strings.Repeat("x", 9000) + `"}`), nil, 413, "too-long"},
		{"form too large", "POST", "/Patient/_search", "name=" + strings.Repeat("x", 5000), []string{"Content-Type: application/x-www-form-urlencoded"}, 413, "too-long"},
		{"no resourceType", "POST", "/Patient", `{"active":true}`, nil, 400, "required"},
		{"resourceType is a number", "POST", "/Patient", `{"resourceType":1}`, nil, 400, "value"},
		{"resourceType of another standard", "POST", "/Patient", `{"resourceType":"Nonsense"}`, nil, 400, "value"},
		{"resourceType in lower case", "POST", "/Patient", `{"resourceType":"patient"}`, nil, 400, "value"},
		{"abstract resourceType", "POST", "/Patient", `{"resourceType":"DomainResource"}`, nil, 400, "value"},
		{"wrong type for the URL", "POST", "/Patient", `{"resourceType":"Observation"}`, nil, 400, "invalid"},
		{"meta is an array", "POST", "/Patient", `{"resourceType":"Patient","meta":[]}`, nil, 400, "value"},
		{"id is a number", "POST", "/Patient", `{"resourceType":"Patient","id":1}`, nil, 400, "value"},
		{"id with a slash", "POST", "/Patient", `{"resourceType":"Patient","id":"a/b"}`, nil, 400, "value"},
		// updates
		{"PUT without id", "PUT", "/Patient/1", patient, nil, 400, "required"},
		{"PUT with another id", "PUT", "/Patient/1", `{"resourceType":"Patient","id":"2"}`, nil, 400, "invalid"},
		{"PUT with an id in other case", "PUT", "/Patient/a", `{"resourceType":"Patient","id":"A"}`, nil, 400, "invalid"},
		{"PUT with another type", "PUT", "/Patient/1", `{"resourceType":"Observation","id":"1"}`, nil, 400, "invalid"},
		{"PUT to a malformed id", "PUT", "/Patient/a_b", `{"resourceType":"Patient","id":"a-b"}`, nil, 400, "value"},
		{"PUT to an overlong id", "PUT", "/Patient/" + strings.Repeat("a", 65), `{"resourceType":"Patient","id":"1"}`, nil, 400, "value"},
		{"PUT without id and search", "PUT", "/Patient", patient, nil, 400, "required"},
		{"stale If-Match", "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1"}`, []string{`If-Match: W/"1"`}, 412, "conflict"},
		{"If-Match of a version to come", "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1"}`, []string{`If-Match: W/"3"`}, 412, "conflict"},
		{"If-Match on what is not there", "PUT", "/Patient/new", `{"resourceType":"Patient","id":"new"}`, []string{`If-Match: W/"1"`}, 412, "conflict"},
		{"malformed If-Match", "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1"}`, []string{`If-Match: W/"2`}, 400, "value"},
		{"two tags in If-Match", "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1"}`, []string{`If-Match: W/"2", W/"3"`}, 400, "not-supported"},
		{"If-None-Match * on what is there", "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1"}`, []string{`If-None-Match: *`}, 412, "conflict"},
		{"If-None-Match with a tag on PUT", "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1"}`, []string{`If-None-Match: W/"1"`}, 400, "not-supported"},
		{"If-None-Exist on PUT", "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1"}`, []string{`If-None-Exist: _id=1`}, 400, "not-supported"},
		{"If-Match on POST", "POST", "/Patient", patient, []string{`If-Match: W/"1"`}, 400, "not-supported"},
		{"stale If-Match on DELETE", "DELETE", "/Patient/1", "", []string{`If-Match: W/"1"`}, 412, "conflict"},
		{"an extract would overwrite the whole", "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1","meta":{"tag":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}]}}`, nil, 422, "business-rule"},
		{"If-None-Exist on GET", "GET", "/Patient/1", "", []string{"If-None-Exist: _id=1"}, 400, "not-supported"},
		{"If-Match on a search", "GET", "/Patient", "", []string{`If-Match: W/"1"`}, 400, "not-supported"},
		{"DELETE of a malformed id", "DELETE", "/Patient/a_b", "", nil, 400, "value"},
		// conditions
		{"empty If-None-Exist", "POST", "/Patient", patient, []string{`If-None-Exist: _id=`}, 400, "required"},
		{"If-None-Exist with an unknown parameter", "POST", "/Patient", patient, []string{`If-None-Exist: nonsense=1`}, 400, "not-supported"},
		{"If-None-Exist with several matches", "POST", "/Patient", patient, []string{`If-None-Exist: gender=male`}, 412, "multiple-matches"},
		{"conditional update with several matches", "PUT", "/Patient?gender=male", patient, nil, 412, "multiple-matches"},
		{"conditional update with another id", "PUT", "/Patient?_id=1", `{"resourceType":"Patient","id":"9"}`, nil, 400, "invalid"},
		{"conditional update with an id that is taken", "PUT", "/Patient?_id=9", `{"resourceType":"Patient","id":"1"}`, nil, 409, "conflict"},
		{"conditional update by an unknown parameter", "PUT", "/Patient?nonsense=1", patient, nil, 400, "not-supported"},
		{"conditional delete of everything", "DELETE", "/Patient", "", nil, 400, "required"},
		{"conditional delete by an empty value", "DELETE", "/Patient?gender=", "", nil, 400, "required"},
		{"conditional delete by an unknown parameter", "DELETE", "/Patient?gender=male&nonsense=1", "", nil, 400, "not-supported"},
		{"conditional delete with several matches", "DELETE", "/Patient?gender=male", "", nil, 412, "multiple-matches"},
		// patches
		{"JSON Patch sent as FHIR", "PATCH", "/Patient/1", `[]`, nil, 400, "structure"},
		{"patch of another type", "PATCH", "/Patient/1", `[]`, []string{"Content-Type: text/plain"}, 415, "not-supported"},
		{"patch in XML", "PATCH", "/Patient/1", `<diff/>`, []string{"Content-Type: application/xml-patch+xml"}, 415, "not-supported"},
		{"patch without a type", "PATCH", "/Patient/1", `[]`, []string{"Content-Type: -"}, 415, "not-supported"},
		{"patch in Latin 1", "PATCH", "/Patient/1", `[]`, []string{"Content-Type: application/json-patch+json; charset=latin1"}, 415, "not-supported"},
		{"empty patch", "PATCH", "/Patient/1", ` `, []string{"Content-Type: application/json-patch+json"}, 400, "structure"},
		{"patch that is no JSON", "PATCH", "/Patient/1", `[`, []string{"Content-Type: application/json-patch+json"}, 400, "structure"},
		{"patch that is an object", "PATCH", "/Patient/1", `{}`, []string{"Content-Type: application/json-patch+json"}, 400, "structure"},
		{"merge patch that is an array", "PATCH", "/Patient/1", `[]`, []string{"Content-Type: application/merge-patch+json"}, 400, "structure"},
		{"patch with a key twice", "PATCH", "/Patient/1", `{"active":true,"active":false}`, []string{"Content-Type: application/merge-patch+json"}, 400, "structure"},
		{"patch with an unknown operation", "PATCH", "/Patient/1", `[{"op":"set","path":"/active","value":true}]`, []string{"Content-Type: application/json-patch+json"}, 400, "value"},
		{"patch without a path", "PATCH", "/Patient/1", `[{"op":"remove"}]`, []string{"Content-Type: application/json-patch+json"}, 400, "required"},
		{"patch with a malformed pointer", "PATCH", "/Patient/1", `[{"op":"remove","path":"active"}]`, []string{"Content-Type: application/json-patch+json"}, 400, "value"},
		{"patch of what is not there", "PATCH", "/Patient/1", `[{"op":"replace","path":"/birthDate","value":"2000"}]`, []string{"Content-Type: application/json-patch+json"}, 422, "business-rule"},
		{"patch behind the end", "PATCH", "/Patient/1", `[{"op":"add","path":"/name/3","value":{}}]`, []string{"Content-Type: application/json-patch+json"}, 422, "business-rule"},
		{"patch whose test fails", "PATCH", "/Patient/1", `[{"op":"replace","path":"/active","value":true},{"op":"test","path":"/gender","value":"female"}]`, []string{"Content-Type: application/json-patch+json"}, 422, "business-rule"},
		{"patch that changes the id", "PATCH", "/Patient/1", `[{"op":"replace","path":"/id","value":"9"}]`, []string{"Content-Type: application/json-patch+json"}, 422, "business-rule"},
		{"patch that removes the id", "PATCH", "/Patient/1", `{"id":null}`, []string{"Content-Type: application/merge-patch+json"}, 422, "business-rule"},
		{"patch that changes the type", "PATCH", "/Patient/1", `{"resourceType":"Group"}`, []string{"Content-Type: application/merge-patch+json"}, 422, "business-rule"},
		{"patch that leaves no resource", "PATCH", "/Patient/1", `[{"op":"replace","path":"","value":[]}]`, []string{"Content-Type: application/json-patch+json"}, 422, "business-rule"},
		{"patch that spoils meta", "PATCH", "/Patient/1", `{"meta":"x"}`, []string{"Content-Type: application/merge-patch+json"}, 422, "business-rule"},
		{"patch that makes an extract", "PATCH", "/Patient/1", `{"meta":{"tag":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}]}}`, []string{"Content-Type: application/merge-patch+json"}, 422, "business-rule"},
		{"patch that makes it too large", "PATCH", "/Patient/1", `[{"op":"add","path":"/a","value":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},{"op":"copy","from":"/a","path":"/b"},{"op":"copy","from":"/a","path":"/c"}]`, []string{"Content-Type: application/json-patch+json"}, 413, "too-long"},
		{"patch too large", "PATCH", "/Patient/1", `{"x":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}`, []string{"Content-Type: application/merge-patch+json"}, 413, "too-long"},
		{"patch that nests too deeply", "PATCH", "/Patient/1", `[{"op":"add","path":"/a","value":[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]},{"op":"copy","from":"/a","path":"/a/0/0/0/0/0/0"}]`, []string{"Content-Type: application/json-patch+json"}, 422, "business-rule"},
		{"patch of nobody", "PATCH", "/Patient/nobody", `{"active":true}`, []string{"Content-Type: application/merge-patch+json"}, 404, "not-found"},
		{"patch of a malformed id", "PATCH", "/Patient/a_b", `{"active":true}`, []string{"Content-Type: application/merge-patch+json"}, 400, "value"},
		{"patch of what is deleted", "PATCH", "/Patient/gone", `{"active":true}`, []string{"Content-Type: application/merge-patch+json"}, 410, "deleted"},
		{"patch of an unknown type", "PATCH", "/Nonsense/1", `{"active":true}`, []string{"Content-Type: application/merge-patch+json"}, 404, "not-found"},
		{"patch by a stale If-Match", "PATCH", "/Patient/1", `{"active":true}`, []string{"Content-Type: application/merge-patch+json", `If-Match: W/"1"`}, 412, "conflict"},
		{"patch with If-None-Match", "PATCH", "/Patient/1", `{"active":true}`, []string{"Content-Type: application/merge-patch+json", `If-None-Match: W/"1"`}, 400, "not-supported"},
		{"patch without id and search", "PATCH", "/Patient", `{"active":true}`, []string{"Content-Type: application/merge-patch+json"}, 400, "required"},
		{"conditional patch of nothing", "PATCH", "/Patient?_id=nobody", `{"active":true}`, []string{"Content-Type: application/merge-patch+json"}, 404, "not-found"},
		{"conditional patch of two", "PATCH", "/Patient?gender=male", `{"active":true}`, []string{"Content-Type: application/merge-patch+json"}, 412, "multiple-matches"},
		{"conditional patch by an unknown parameter", "PATCH", "/Patient?nonsense=1", `{"active":true}`, []string{"Content-Type: application/merge-patch+json"}, 400, "not-supported"},
		{"FHIRPath Patch that is another resource", "PATCH", "/Patient/1", `{"resourceType":"Patient"}`, nil, 400, "invalid"},
		{"FHIRPath Patch without operations", "PATCH", "/Patient/1", `{"resourceType":"Parameters"}`, nil, 400, "required"},
		{"FHIRPath Patch of an unknown element", "PATCH", "/Patient/1", `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"delete"},{"name":"path","valueString":"Patient.nonsense"}]}]}`, nil, 400, "value"},
		{"FHIRPath Patch with a bad path", "PATCH", "/Patient/1", `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"delete"},{"name":"path","valueString":"Patient."}]}]}`, nil, 400, "value"},
		{"FHIRPath Patch of an unknown type", "PATCH", "/Patient/1", `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"upsert"},{"name":"path","valueString":"Patient.active"}]}]}`, nil, 400, "value"},
		{"FHIRPath Patch with a value of another type", "PATCH", "/Patient/1", `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"replace"},{"name":"path","valueString":"Patient.active"},{"name":"value","valueString":"x"}]}]}`, nil, 400, "value"},
		{"FHIRPath Patch of the id", "PATCH", "/Patient/1", `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"replace"},{"name":"path","valueString":"Patient.id"},{"name":"value","valueId":"9"}]}]}`, nil, 422, "business-rule"},
		{"FHIRPath Patch of nothing", "PATCH", "/Patient/1", `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"replace"},{"name":"path","valueString":"Patient.birthDate"},{"name":"value","valueDate":"2000"}]}]}`, nil, 422, "business-rule"},
		{"FHIRPath Patch behind the end", "PATCH", "/Patient/1", `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"insert"},{"name":"path","valueString":"Patient.name"},{"name":"value","valueHumanName":{}},{"name":"index","valueInteger":2}]}]}`, nil, 422, "business-rule"},
		{"PATCH of [base]", "PATCH", "", `[]`, nil, 405, "not-supported"},
		{"PATCH of a version", "PATCH", "/Patient/1/_history/1", `[]`, nil, 405, "not-supported"},
		{"entry with a patch that is no patch", "POST", "", tx(good, `{"resource":{"resourceType":"Patient"},"request":{"method":"PATCH","url":"Patient/1"}}`), nil, 400, "invalid"},
		{"entry with a patch of an unknown type", "POST", "", tx(good, `{"resource":{"resourceType":"Binary","contentType":"text/plain","data":"W10="},"request":{"method":"PATCH","url":"Patient/1"}}`), nil, 415, "not-supported"},
		{"entry with a patch that is no base64", "POST", "", tx(good, `{"resource":{"resourceType":"Binary","contentType":"application/json-patch+json","data":"?"},"request":{"method":"PATCH","url":"Patient/1"}}`), nil, 400, "value"},
		{"entry with a patch of nobody", "POST", "", tx(good, `{"resource":{"resourceType":"Binary","contentType":"application/json-patch+json","data":"W10="},"request":{"method":"PATCH","url":"Patient/nobody"}}`), nil, 404, "not-found"},
		{"entry with a stale patch", "POST", "", tx(good, `{"resource":{"resourceType":"Binary","contentType":"application/json-patch+json","data":"W10="},"request":{"method":"PATCH","url":"Patient/1","ifMatch":"W/\"1\""}}`), nil, 412, "conflict"},
		{"patched and updated", "POST", "", tx(`{"resource":{"resourceType":"Patient","id":"1"},"request":{"method":"PUT","url":"Patient/1"}}`, `{"resource":{"resourceType":"Binary","contentType":"application/json-patch+json","data":"W10="},"request":{"method":"PATCH","url":"Patient?_id=1"}}`), nil, 400, "invalid"},
		// URLs and methods
		{"unknown type", "GET", "/Nonsense", "", nil, 404, "not-found"},
		{"type in lower case", "GET", "/patient/1", "", nil, 404, "not-found"},
		{"create of an unknown type", "POST", "/Nonsense", `{"resourceType":"Nonsense"}`, nil, 404, "not-found"},
		{"unknown type with a method that is not offered", "POST", "/Nonsense/1", "", nil, 404, "not-found"},
		{"unknown id", "GET", "/Patient/nobody", "", nil, 404, "not-found"},
		{"malformed id", "GET", "/Patient/a_b", "", nil, 404, "not-found"},
		{"deleted", "GET", "/Patient/gone", "", nil, 410, "deleted"},
		{"unknown version", "GET", "/Patient/1/_history/9", "", nil, 404, "not-found"},
		{"version that is no number", "GET", "/Patient/1/_history/x", "", nil, 404, "not-found"},
		{"version with a leading zero", "GET", "/Patient/1/_history/01", "", nil, 404, "not-found"},
		{"version that is the deletion", "GET", "/Patient/gone/_history/2", "", nil, 410, "deleted"},
		{"history of what never was", "GET", "/Patient/nobody/_history", "", nil, 404, "not-found"},
		{"POST to an instance", "POST", "/Patient/1", patient, nil, 405, "not-supported"},
		{"PUT to metadata", "PUT", "/metadata", `{}`, nil, 405, "not-supported"},
		{"PUT to a history", "PUT", "/Patient/_history", `{"resourceType":"Patient","id":"_history"}`, nil, 405, "not-supported"},
		{"DELETE of the system's history", "DELETE", "/_history", "", nil, 405, "not-supported"},
		{"PUT to [base]", "PUT", "", `{}`, nil, 405, "not-supported"},
		{"DELETE of a version", "DELETE", "/Patient/1/_history/1", "", nil, 405, "not-supported"},
		{"DELETE of a history", "DELETE", "/Patient/1/_history", "", nil, 405, "not-supported"},
		{"GET of _search", "GET", "/Patient/_search?name=x", "", nil, 405, "not-supported"},
		{"unknown operation", "POST", "/Patient/1/$nonsense", "", nil, 404, "not-found"},
		{"unknown operation of a type", "GET", "/Patient/$nonsense", "", nil, 404, "not-found"},
		{"compartment of a type that has none", "GET", "/Observation/1/Patient", "", nil, 404, "not-found"},
		{"compartment without such members", "GET", "/Patient/1/Medication", "", nil, 404, "not-found"},
		{"compartment with an unknown type", "GET", "/Patient/1/Nonsense", "", nil, 404, "not-found"},
		{"compartment of a malformed id", "GET", "/Patient/a_b/Observation", "", nil, 404, "not-found"},
		{"compartment with an unknown parameter, strict", "GET", "/Patient/1/Observation?nonsense=1", "", []string{"Prefer: handling=strict"}, 400, "not-supported"},
		{"compartment with a bad value", "GET", "/Patient/1/*?_lastUpdated=tomorrow", "", nil, 400, "value"},
		{"POST into a compartment", "POST", "/Patient/1/Observation", `{"resourceType":"Observation"}`, nil, 405, "not-supported"},
		{"compartment and more", "GET", "/Patient/1/Observation/1", "", nil, 404, "not-found"},
		{"Binary as a type that it is not", "GET", "/Binary/b", "", []string{"Accept: image/png"}, 406, "not-supported"},
		{"Binary in XML", "POST", "/Binary", "<Binary/>", []string{"Content-Type: application/fhir+xml"}, 415, "not-supported"},
		{"Binary too large", "POST", "/Binary", strings.Repeat("x", 3500), []string{"Content-Type: text/plain"}, 413, "too-long"},
		{"Binary to a malformed id", "PUT", "/Binary/a_b", "x", []string{"Content-Type: text/plain"}, 400, "value"},
		{"content of a Binary that is not there", "GET", "/Binary/nobody", "", []string{"Accept: text/plain"}, 404, "not-found"},
		{"XML asked of a search for Binary", "GET", "/Binary", "", []string{"Accept: text/plain"}, 406, "not-supported"},
		// shapes of a read
		{"_summary unknown", "GET", "/Patient/1?_summary=short", "", nil, 400, "value"},
		{"_summary=count of one", "GET", "/Patient/1?_summary=count", "", nil, 400, "invalid"},
		{"_elements unknown", "GET", "/Patient/1?_elements=nonsense", "", nil, 400, "value"},
		{"_elements and _summary", "GET", "/Patient/1?_elements=active&_summary=true", "", nil, 400, "invalid"},
		// operations
		{"$everything of nobody", "GET", "/Patient/nobody/$everything", "", nil, 404, "not-found"},
		{"$everything of what is deleted", "GET", "/Patient/gone/$everything", "", nil, 410, "deleted"},
		{"$everything of another type", "GET", "/Observation/1/$everything", "", nil, 404, "not-found"},
		{"$everything with an unknown parameter", "GET", "/Patient/1/$everything?nonsense=1", "", nil, 400, "not-supported"},
		{"$everything from a bad day", "GET", "/Patient/1/$everything?start=tomorrow", "", nil, 400, "value"},
		{"$everything since a bad instant", "GET", "/Patient/1/$everything?_since=2020", "", nil, 400, "value"},
		{"$everything of an unknown type", "GET", "/Patient/1/$everything?_type=Nonsense", "", nil, 400, "not-supported"},
		{"$everything by DELETE", "DELETE", "/Patient/1/$everything", "", nil, 405, "not-supported"},
		{"$everything of all, start of no day", "GET", "/Patient/$everything?start=2020-02-30", "", nil, 400, "value"},
		{"$everything of all, of a type that has none", "GET", "/Observation/$everything", "", nil, 404, "not-found"},
		{"$everything of all by PUT", "PUT", "/Patient/$everything", patient, nil, 405, "not-supported"},
		{"$everything of all, a page that was never there", "GET", "/Patient/$everything?-page=x", "", nil, 400, "value"},
		{"$meta of a type with a parameter", "GET", "/Patient/$meta?nonsense=1", "", nil, 400, "not-supported"},
		{"$meta of a type with parameters", "POST", "/Patient/$meta", `{"resourceType":"Parameters","parameter":[{"name":"x","valueString":"x"}]}`, nil, 400, "not-supported"},
		{"$meta of no type", "GET", "/Nonsense/$meta", "", nil, 404, "not-found"},
		{"$meta of all by DELETE", "DELETE", "/$meta", "", nil, 405, "not-supported"},
		{"$meta-add to a type", "POST", "/Patient/$meta-add", `{"resourceType":"Parameters"}`, nil, 404, "not-found"},
		{"$meta of a resource with a parameter", "GET", "/Patient/1/$meta?nonsense=1", "", nil, 400, "not-supported"},
		{"$versions with a parameter", "GET", "/$versions?nonsense=1", "", nil, 400, "not-supported"},
		{"create with a parameter", "POST", "/Patient?_id=1", patient, nil, 400, "not-supported"},
		{"update with id and condition", "PUT", "/Patient/1?gender=female", `{"resourceType":"Patient","id":"1"}`, nil, 400, "not-supported"},
		{"delete with id and condition", "DELETE", "/Patient/1?gender=female", "", nil, 400, "not-supported"},
		{"patch with id and condition", "PATCH", "/Patient/1?gender=female", "[]", []string{asJSONPatch}, 400, "not-supported"},
		{"entry with id and condition", "POST", "", tx(good, `{"request":{"method":"DELETE","url":"Patient/1?gender=female"}}`), nil, 400, "not-supported"},
		{"read with an unknown parameter, strict", "GET", "/Patient/1?nonsense=1", "", []string{"Prefer: handling=strict"}, 400, "not-supported"},
		{"_elements of no element in a history", "GET", "/Patient/1/_history?_elements=nonsense", "", nil, 400, "value"},
		{"_elements of no type's element in a history", "GET", "/_history?_elements=nonsense", "", nil, 400, "value"},
		{"_summary unknown in a history", "GET", "/Patient/_history?_summary=maybe", "", nil, 400, "value"},
		{"a count of a history", "GET", "/Patient/1/_history?_summary=count", "", nil, 400, "invalid"},
		{"a slash that is escaped", "GET", "/Patient%2F1", "", nil, 404, "not-found"},
		{"an id whose escape hides a slash", "GET", "/Patient/1%2f_history", "", nil, 404, "not-found"},
		{"a way back up", "GET", "/Observation/../Patient/1", "", nil, 404, "not-found"},
		{"$meta of nobody", "GET", "/Patient/nobody/$meta", "", nil, 404, "not-found"},
		{"$meta-add of nobody", "POST", "/Patient/nobody/$meta-add", `{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"tag":[{"code":"x"}]}}]}`, nil, 404, "not-found"},
		{"$meta-add of what is deleted", "POST", "/Patient/gone/$meta-add", `{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"tag":[{"code":"x"}]}}]}`, nil, 410, "deleted"},
		{"$meta-add without Parameters", "POST", "/Patient/1/$meta-add", patient, nil, 400, "required"},
		{"$meta-add without meta", "POST", "/Patient/1/$meta-add", `{"resourceType":"Parameters"}`, nil, 400, "required"},
		{"$meta-add by GET", "GET", "/Patient/1/$meta-add", "", nil, 405, "not-supported"},
		{"$validate of nothing", "POST", "/Patient/$validate", "", nil, 400, "required"},
		{"$validate of no JSON", "POST", "/Patient/$validate", "hello", nil, 400, "structure"},
		{"$validate by profile", "POST", "/Patient/$validate?profile=http://x.example/p", patient, nil, 400, "not-supported"},
		{"$validate by profile behind the resource", "POST", "/Patient/$validate", `{"resourceType":"Parameters","parameter":[{"name":"resource","resource":{"resourceType":"Patient"}},{"name":"profile","valueUri":"http://x.example/p"}]}`, nil, 400, "not-supported"},
		{"$validate of a deletion", "POST", "/Patient/$validate", `{"resourceType":"Parameters","parameter":[{"name":"mode","valueCode":"delete"},{"name":"resource","resource":{"resourceType":"Patient"}}]}`, nil, 400, "not-supported"},
		{"$validate in no mode of R4", "POST", "/Patient/$validate?mode=dry", patient, nil, 400, "value"},
		{"$validate without the parameter", "POST", "/Patient/$validate", `{"resourceType":"Parameters"}`, nil, 400, "required"},
		{"$versions by DELETE", "DELETE", "/$versions", "", nil, 405, "not-supported"},
		{"malformed escape", "GET", "/Patient?name=%zz", "", nil, 400, "value"},
		// negotiation
		{"XML asked for", "GET", "/Patient/1", "", []string{"Accept: application/fhir+xml"}, 406, "not-supported"},
		{"XML asked for by _format", "GET", "/Patient/1?_format=xml", "", nil, 406, "not-supported"},
		{"_format over Accept", "GET", "/Patient/1?_format=xml", "", []string{"Accept: application/json"}, 406, "not-supported"},
		{"HTML asked for", "GET", "/Patient/1", "", []string{"Accept: text/html"}, 406, "not-supported"},
		{"JSON refused by q=0", "GET", "/Patient/1", "", []string{"Accept: application/fhir+json;q=0"}, 406, "not-supported"},
		{"FHIR R5 asked for", "GET", "/Patient/1", "", []string{"Accept: application/fhir+json; fhirVersion=5.0"}, 406, "not-supported"},
		{"_format unknown", "GET", "/Patient/1?_format=yaml", "", nil, 406, "not-supported"},
		{"_pretty unknown", "GET", "/Patient/1?_pretty=maybe", "", nil, 400, "value"},
		{"XML sent", "POST", "/Patient", "<Patient/>", []string{"Content-Type: application/fhir+xml"}, 415, "not-supported"},
		{"form sent", "POST", "/Patient", patient, []string{"Content-Type: application/x-www-form-urlencoded"}, 415, "not-supported"},
		{"malformed Content-Type", "POST", "/Patient", patient, []string{"Content-Type: ;"}, 415, "not-supported"},
		{"charset", "POST", "/Patient", patient, []string{"Content-Type: application/fhir+json; charset=latin1"}, 415, "not-supported"},
		{"FHIR R5 sent", "POST", "/Patient", patient, []string{"Content-Type: application/fhir+json; fhirVersion=5.0"}, 415, "not-supported"},
		{"brotli", "POST", "/Patient", patient, []string{"Content-Encoding: br"}, 415, "not-supported"},
		{"compressed twice", "POST", "/Patient", patient, []string{"Content-Encoding: gzip, zstd"}, 415, "not-supported"},
		{"gzip that is none", "POST", "/Patient", patient, []string{"Content-Encoding: gzip"}, 400, "structure"},
		{"zstd that is none", "POST", "/Patient", patient, []string{"Content-Encoding: zstd"}, 400, "structure"},
		{"gzip cut short", "POST", "/Patient", squeezed(t, "gzip", patient)[:20], []string{"Content-Encoding: gzip"}, 400, "structure"},
		{"zstd cut short", "POST", "/Patient", squeezed(t, "zstd", patient)[:20], []string{"Content-Encoding: zstd"}, 400, "structure"},
		{"gzip bomb", "POST", "/Patient", squeezed(t, "gzip", `{"resourceType":"Patient","x":"`+strings.Repeat("x", 1<<20)+`"}`), []string{"Content-Encoding: gzip"}, 413, "too-long"},
		{"zstd bomb", "POST", "/Patient", squeezed(t, "zstd", `{"resourceType":"Patient","x":"`+strings.Repeat("x", 1<<20)+`"}`), []string{"Content-Encoding: zstd"}, 413, "too-long"},
		{"compressed XML", "POST", "/Patient", squeezed(t, "gzip", "<Patient/>"), []string{"Content-Encoding: gzip", "Content-Type: application/fhir+xml"}, 415, "not-supported"},
		{"empty gzip", "POST", "/Patient", squeezed(t, "gzip", ""), []string{"Content-Encoding: gzip"}, 400, "structure"},
		{"JSON as a search form", "POST", "/Patient/_search", "{}", nil, 415, "not-supported"},
		{"Prefer with an unknown return", "POST", "/Patient", patient, []string{"Prefer: return=everything"}, 400, "value"},
		{"Prefer with two returns", "POST", "/Patient", patient, []string{"Prefer: return=minimal, return=representation"}, 400, "invalid"},
		{"Prefer with an unknown handling", "GET", "/Patient", "", []string{"Prefer: handling=rude"}, 400, "value"},
		{"malformed If-None-Match", "GET", "/Patient/1", "", []string{`If-None-Match: W/"`}, 400, "value"},
		// searches
		{"unknown modifier", "GET", "/Patient?name:nonsense=x", "", nil, 400, "not-supported"},
		{"bad date", "GET", "/Patient?birthdate=tomorrow", "", nil, 400, "value"},
		{"unknown parameter, strict", "GET", "/Patient?nonsense=1", "", []string{"Prefer: handling=strict"}, 400, "not-supported"},
		{"unknown parameter in a form, strict", "POST", "/Patient/_search", "nonsense=1", []string{"Prefer: handling=strict", "Content-Type: application/x-www-form-urlencoded"}, 400, "not-supported"},
		// history
		{"_count in words", "GET", "/Patient/_history?_count=ten", "", nil, 400, "value"},
		{"_since without time", "GET", "/Patient/_history?_since=2020", "", nil, 400, "value"},
		{"_since twice", "GET", "/_history?_since=2020-01-01T00:00:00Z&_since=2020-01-01T00:00:00Z", "", nil, 400, "invalid"},
		{"_at in words", "GET", "/_history?_at=yesterday", "", nil, 400, "value"},
		{"_at of no day", "GET", "/Patient/_history?_at=2020-02-30", "", nil, 400, "value"},
		{"_at twice", "GET", "/Patient/1/_history?_at=2020&_at=2021", "", nil, 400, "invalid"},
		{"_list", "GET", "/_history?_list=1", "", nil, 400, "not-supported"},
		{"_count twice", "GET", "/Patient/_history?_count=1&_count=2", "", nil, 400, "invalid"},
		{"_count below zero", "GET", "/Patient/_history?_count=-1", "", nil, 400, "value"},
		{"an unknown parameter of history, strict", "GET", "/Patient/_history?nonsense=1", "", []string{"Prefer: handling=strict"}, 400, "not-supported"},
		{"a link that we never wrote", "GET", "/_history?-before=x", "", nil, 400, "value"},
		{"a total that we never wrote", "GET", "/_history?-before=7-x", "", nil, 400, "value"},
		// Bundles
		{"no Bundle", "POST", "", patient, nil, 400, "invalid"},
		{"Bundle without type", "POST", "", `{"resourceType":"Bundle"}`, nil, 400, "required"},
		{"Bundle of another type", "POST", "", `{"resourceType":"Bundle","type":"collection"}`, nil, 400, "value"},
		{"entry is an object", "POST", "", `{"resourceType":"Bundle","type":"batch","entry":{}}`, nil, 400, "structure"},
		{"too many entries", "POST", "", tx(strings.Split(strings.Repeat(good+"|", 10)+good, "|")...), nil, 413, "too-long"},
		{"entry is a number", "POST", "", tx(good, "1"), nil, 400, "structure"},
		{"entry without request", "POST", "", tx(good, `{"resource":{"resourceType":"Patient"}}`), nil, 400, "required"},
		{"entry without method", "POST", "", tx(good, `{"request":{"url":"Patient/1"}}`), nil, 400, "required"},
		{"entry without url", "POST", "", tx(good, `{"request":{"method":"GET"}}`), nil, 400, "required"},
		{"entry with a method in lower case", "POST", "", tx(good, `{"request":{"method":"get","url":"Patient/1"}}`), nil, 400, "value"},
		{"entry with a url that is a number", "POST", "", tx(good, `{"request":{"method":"GET","url":1}}`), nil, 400, "value"},
		{"entry without resource", "POST", "", tx(good, `{"request":{"method":"POST","url":"Patient"}}`), nil, 400, "required"},
		{"entry with the wrong type", "POST", "", tx(good, `{"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Observation"}}`), nil, 400, "invalid"},
		{"entry of an unknown type", "POST", "", tx(good, `{"request":{"method":"GET","url":"Nonsense/1"}}`), nil, 404, "not-found"},
		{"entry outside this server", "POST", "", tx(good, `{"request":{"method":"DELETE","url":"https://elsewhere.example/fhir/Patient/1"}}`), nil, 400, "value"},
		{"entry with an empty patch", "POST", "", tx(good, `{"resource":{"resourceType":"Parameters"},"request":{"method":"PATCH","url":"Patient/1"}}`), nil, 400, "required"},
		{"entry that is a Bundle to process", "POST", "", tx(good, `{"resource":{"resourceType":"Bundle","type":"batch"},"request":{"method":"POST","url":"/"}}`), nil, 400, "not-supported"},
		{"entry that reads what is not there", "POST", "", tx(good, `{"request":{"method":"GET","url":"Patient/nobody"}}`), nil, 404, "not-found"},
		{"entry that reads what is deleted", "POST", "", tx(good, `{"request":{"method":"GET","url":"Patient/gone"}}`), nil, 410, "deleted"},
		{"entry with a search that can't run", "POST", "", tx(good, `{"request":{"method":"GET","url":"Patient?birthdate=tomorrow"}}`), nil, 400, "value"},
		{"entry with a stale ifMatch", "POST", "", tx(good, `{"resource":{"resourceType":"Patient","id":"1"},"request":{"method":"PUT","url":"Patient/1","ifMatch":"W/\"1\""}}`), nil, 412, "conflict"},
		{"entry with a malformed ifMatch", "POST", "", tx(good, `{"resource":{"resourceType":"Patient","id":"1"},"request":{"method":"PUT","url":"Patient/1","ifMatch":"W/\""}}`), nil, 400, "value"},
		{"entry with ifModifiedSince on a write", "POST", "", tx(good, `{"request":{"method":"DELETE","url":"Patient/1","ifModifiedSince":"2020-01-01T00:00:00Z"}}`), nil, 400, "not-supported"},
		{"entry with a malformed ifModifiedSince", "POST", "", tx(good, `{"request":{"method":"GET","url":"Patient/1","ifModifiedSince":"2020"}}`), nil, 400, "value"},
		{"entry whose ifNoneExist selects two", "POST", "", tx(good, `{"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient","ifNoneExist":"gender=male"}}`), nil, 412, "multiple-matches"},
		{"ifNoneExist twice", "POST", "", tx(`{"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient","ifNoneExist":"_id=x"}}`, `{"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient","ifNoneExist":"_id=x"}}`), nil, 400, "invalid"},
		{"same resource twice", "POST", "", tx(`{"resource":{"resourceType":"Patient","id":"1"},"request":{"method":"PUT","url":"Patient/1"}}`, `{"request":{"method":"DELETE","url":"Patient/1"}}`), nil, 400, "invalid"},
		{"same resource twice by condition", "POST", "", tx(`{"resource":{"resourceType":"Patient","id":"1"},"request":{"method":"PUT","url":"Patient/1"}}`, `{"resource":{"resourceType":"Patient"},"request":{"method":"PUT","url":"Patient?_id=1"}}`), nil, 400, "invalid"},
		{"same fullUrl twice", "POST", "", tx(`{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}}`, `{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}}`), nil, 400, "invalid"},
		{"conditional reference to nothing", "POST", "", tx(good, `{"resource":{"resourceType":"Observation","subject":{"reference":"Patient?_id=nobody"}},"request":{"method":"POST","url":"Observation"}}`), nil, 412, "conflict"},
		{"conditional reference to two", "POST", "", tx(good, `{"resource":{"resourceType":"Observation","subject":{"reference":"Patient?gender=male"}},"request":{"method":"POST","url":"Observation"}}`), nil, 412, "multiple-matches"},
		{"conditional reference by an unknown parameter", "POST", "", tx(good, `{"resource":{"resourceType":"Observation","subject":{"reference":"Patient?nonsense=1"}},"request":{"method":"POST","url":"Observation"}}`), nil, 400, "not-supported"},
		{"entry larger than a resource may be", "POST", "", tx(`{"resource":{"resourceType":"Patient","x":"` + strings.Repeat("x", 4500) + `"},"request":{"method":"POST","url":"Patient"}}`), nil, 413, "too-long"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := &harness{t: t, http: h.http, db: h.db}
			r := h.do(tt.method, tt.path, tt.body, tt.header...)
			if r.status != tt.status || r.at("issue", 0, "code") != tt.code {
				t.Errorf("answer %d %s, want %d %s: %s", r.status, r.at("issue", 0, "code"), tt.status, tt.code, r.body)
			}
			if r.at("resourceType") != "OperationOutcome" || len(r.at("issue", 0, "diagnostics")) < 10 {
				t.Errorf("the answer is no OperationOutcome that explains: %s", r.body)
			}
			if got := r.header.Get("Content-Type"); !strings.HasPrefix(got, FHIRJSON) && !strings.HasPrefix(got, "application/json") {
				t.Errorf("Content-Type %q", got)
			}
			if tt.status == 405 && r.header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
			if after := h.rows(); after != before {
				t.Fatalf("the store changed:\n%s", strings.TrimPrefix(after, before))
			}
		})
	}
	if len(tests) < 150 {
		t.Error(fmt.Sprint("only ", len(tests), " rows"))
	}
}

// TestServer_saysWhere checks the places that errors name.
func TestServer_saysWhere(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tests := []struct {
		name, method, path, body string
		header                   string
		expression, contains     string
	}{
		{"syntax", "POST", "/Patient", "{\n \"resourceType\": \"Patient\",\n \"x\": tru\n}", "", "", "line 3, column 7"},
		{"id", "PUT", "/Patient/1", `{"resourceType":"Patient"}`, "", "Patient.id", `put "id": "1"`},
		{"header", "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1"}`, `If-Match: W/"7"`, "http.If-Match", "does not exist"},
		{"entry", "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"Patient/1"}},{"resource":{"resourceType":"Patient","id":"2"},"request":{"method":"PUT","url":"Patient/3"}}]}`, "", "Bundle.entry[1].resource.id", "entry 1: "},
		{"entry's condition", "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Patient","id":"3"},"request":{"method":"PUT","url":"Patient/3","ifMatch":"W/\"3\""}}]}`, "", "Bundle.entry[0].request.ifMatch", "does not exist"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := &harness{t: t, http: h.http, db: h.db}
			var headers []string
			if tt.header != "" {
				headers = append(headers, tt.header)
			}
			r := h.do(tt.method, tt.path, tt.body, headers...)
			if got := r.at("issue", 0, "expression", 0); got != tt.expression {
				t.Errorf("expression %q, want %q: %s", got, tt.expression, r.body)
			}
			if got := r.at("issue", 0, "diagnostics"); !strings.Contains(got, tt.contains) {
				t.Errorf("diagnostics %q lack %q", got, tt.contains)
			}
		})
	}
}
