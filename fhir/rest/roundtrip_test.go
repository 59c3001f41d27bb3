package rest

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// randomJSON writes JSON text with everything that a decode and encode would lose: odd numbers, escapes,
// order, white space, empty values.
func randomJSON(t *rapid.T, depth int) string {
	kinds := []string{"number", "string", "literal"}
	if depth > 0 {
		kinds = append(kinds, "array", "object")
	}
	switch rapid.SampledFrom(kinds).Draw(t, "kind") {
	case "number":
		return rapid.SampledFrom([]string{"0", "-0", "1.0", "1.00", "2.50", "1E-22", "1e+3", "1000000000000000000", "1.00065022141624642", "-1.000000000000000000E+245", "0.1"}).Draw(t, "number")
	case "string":
		return randomString(t)
	case "literal":
		return rapid.SampledFrom([]string{"true", "false", "null"}).Draw(t, "literal")
	case "array":
		var parts []string
		for range rapid.IntRange(0, 3).Draw(t, "elements") {
			parts = append(parts, randomSpace(t)+randomJSON(t, depth-1)+randomSpace(t))
		}
		return "[" + strings.Join(parts, ",") + "]"
	default:
		return "{" + strings.Join(randomMembers(t, depth-1), ",") + "}"
	}
}

func randomMembers(t *rapid.T, depth int) []string {
	var parts []string
	for i := range rapid.IntRange(0, 4).Draw(t, "members") {
		name := fmt.Sprintf("%s%d", rapid.SampledFrom([]string{"a", "_birthDate", "contained", "ü", "idx", "<&>"}).Draw(t, "name"), i)
		parts = append(parts, randomSpace(t)+`"`+name+`"`+randomSpace(t)+":"+randomSpace(t)+randomJSON(t, depth)+randomSpace(t))
	}
	return parts
}

func randomString(t *rapid.T) string {
	pieces := rapid.SliceOfN(rapid.SampledFrom([]string{"a", " ", `\"`, `\\`, `\/`, "/", `\u003c`, "<", "&", `\n`, `\ud83d\ude00`, "😀", "é", `\u00e9`, "\u2028", "'"}), 0, 6)
	return `"` + strings.Join(pieces.Draw(t, "string"), "") + `"`
}

func randomSpace(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "", " ", "\n", "\t", "\r\n  "}).Draw(t, "space")
}

// randomMeta is a meta as clients send it, with and without what the server sets.
func randomMeta(t *rapid.T) string {
	return rapid.SampledFrom([]string{
		"", `"meta":{}`, `"meta":{"versionId":"77"}`, `"meta" : {"tag":[{"code":"x"}],"lastUpdated":"2001-01-01T00:00:00+02:00","source":"urn:x"}`,
		`"meta":{"profile":["http://p.example"],"extension":[{"url":"u","valueDecimal":1.0}]}`,
	}).Draw(t, "meta")
}

// TestRoundTrip_tokenForToken is invariant 1 over HTTP: what is read is what was sent, but for id,
// meta.versionId and meta.lastUpdated, by every way in and out.
func TestRoundTrip_tokenForToken(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	rapid.Check(t, func(rt *rapid.T) {
		typ := rapid.SampledFrom([]fhir.Type{"Basic", "Observation", "Patient", "Parameters"}).Draw(rt, "type")
		id := rapid.StringMatching(`[a-z]{1,8}`).Draw(rt, "id")
		members := append(randomMembers(rt, 3), `"resourceType":"`+string(typ)+`"`, `"id":"`+id+`"`)
		if meta := randomMeta(rt); meta != "" {
			members = append(members, meta)
		}
		body := randomSpace(rt) + "{" + strings.Join(rapid.Permutation(members).Draw(rt, "order"), ",") + "}" + randomSpace(rt)
		sent, err := tape.Parse([]byte(body), 0)
		if err != nil {
			rt.Fatal(err)
		}
		path := "/" + string(typ) + "/" + id
		h.do("DELETE", path, "")
		for _, r := range []reply{
			h.must(201, "POST", "/"+string(typ), body),
			h.must(201, "PUT", path, body),
			h.must(200, "GET", path, ""),
			h.must(200, "GET", path+"?_pretty=true", ""),
			{body: []byte(h.must(200, "GET", "/"+string(typ)+"?_id="+id, "").at("entry", 0, "resource"))},
			{body: []byte(h.must(200, "GET", path+"/_history?_count=1", "").at("entry", 0, "resource"))},
			{body: []byte(h.must(200, "POST", "", bundleOf("batch", post("urn:uuid:1", `{"resourceType":"`+string(typ)+`"}`), ask("GET", path[1:]))).at("entry", 1, "resource"))},
		} {
			got, err := tape.Parse(r.body, 0)
			if err != nil {
				rt.Fatal(err)
			}
			if !fhir.SameContent(sent, got) {
				rt.Fatalf("sent %s\ngot  %s", sent.Bytes(), got.Bytes())
			}
			if v := got.Root().Path("meta", "versionId"); v.Kind() != tape.String || got.Root().Get("id").Kind() != tape.String {
				rt.Fatalf("not stamped: %s", got.Bytes())
			}
		}
		h.equal(h.stored(typ, id), string(h.must(200, "GET", path, "").body))
	})
}

// TestServer_servesEveryType creates, reads, finds and deletes one of each.
func TestServer_servesEveryType(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, typ := range fhir.Types() {
		body := fmt.Sprintf(`{"resourceType":%q,"id":"x"}`, typ)
		path := "/" + string(typ)
		h.must(201, "POST", path, body)
		h.must(201, "PUT", path+"/x", body)
		h.must(200, "GET", path+"/x", "")
		h.equal("2", h.must(200, "GET", path, "").at("total"))
		h.equal("2", h.must(200, "GET", path+"/_history", "").at("total"))
		h.must(204, "DELETE", path+"/x", "")
		h.must(410, "GET", path+"/x", "")
	}
}
