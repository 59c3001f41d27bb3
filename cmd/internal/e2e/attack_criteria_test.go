package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Bounds of TestAttack_criteria. They tell what ends from what doesn't, on any machine: what is attacked has no bound at
// all if it isn't defended.
const (
	patience   = 2 * time.Minute  // of a single attack
	othersWait = 30 * time.Second // of whoever reads and writes meanwhile
	mostMemory = 700 << 20        // of the server, in bytes
)

// neighbour reads and writes as an ordinary client does while others attack, and remembers its longest wait.
type neighbour struct {
	mu      sync.Mutex // guards what follows
	longest time.Duration
	during  string
	attack  string
}

// run goes on until ctx ends.
func (n *neighbour) run(ctx context.Context, p *process) {
	client := &http.Client{Timeout: time.Minute}
	for i := 0; ctx.Err() == nil; i++ {
		body := fmt.Sprintf(`{"resourceType":"Basic","id":"neighbour","code":{"text":"%d"}}`, i)
		for _, q := range []struct{ method, path, body string }{{http.MethodPut, "/Basic/neighbour", body}, {http.MethodGet, "/Patient/p1", ""}, {http.MethodGet, "/Patient?_id=p1", ""}} {
			request, err := http.NewRequestWithContext(ctx, q.method, p.base+q.path, strings.NewReader(q.body))
			if err != nil {
				return
			}
			request.Header.Set("Content-Type", "application/fhir+json")
			began := time.Now()
			a, err := readAnswer(client.Do(request))
			took := time.Since(began)
			n.mu.Lock()
			if ctx.Err() == nil && (err != nil || a.status >= 300) {
				n.during += fmt.Sprintf(" %s %s during %q: %d %v", q.method, q.path, n.attack, a.status, err)
			}
			if took > n.longest {
				n.longest = took
			}
			if took > othersWait {
				n.during += fmt.Sprintf(" %s waited %s during %q", q.method, took, n.attack)
			}
			n.mu.Unlock()
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond): // what an ordinary client leaves to others
		}
	}
}

func (n *neighbour) says(attack string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.attack = attack
}

// attack is a request that costs more than it looks.
type attack struct {
	name, method, path, body string
	statuses                 []int  // that are right; none: any below 500
	contentType              string // "": FHIR JSON
}

// criteriaOf is a search that a Subscription can have, too.
func criteriaOf(name, criteria string) []attack {
	typ, query, _ := strings.Cut(criteria, "?")
	body := fmt.Sprintf(`{"resourceType":"Subscription","status":"active","reason":"attack","criteria":%q,"channel":{"type":"rest-hook","endpoint":"http://127.0.0.1:1/"}}`, criteria)
	all := []attack{
		{name: name + ", searched by POST", method: "POST", path: "/" + typ + "/_search", body: strings.ReplaceAll(query, " ", "%20"), contentType: "application/x-www-form-urlencoded"},
		{name: name + ", as criteria", method: "POST", path: "/Subscription", body: body},
		{name: name + ", as a condition", method: "DELETE", path: "/" + typ + "?_id=nobody&" + strings.ReplaceAll(query, " ", "%20")},
	}
	if len(query) > 30_000 {
		return all[:2] // as a URL it is too long
	}
	return append(all, attack{name: name + ", searched", method: "GET", path: "/" + typ + "?" + strings.ReplaceAll(query, " ", "%20")})
}

func attacksByCriteria() (all []attack) {
	many := func(n int, of func(i int) string) string {
		parts := make([]string, n)
		for i := range parts {
			parts[i] = of(i)
		}
		return strings.Join(parts, ",")
	}
	repeat := strings.Repeat
	for name, criteria := range map[string]string{
		"a long value":                  "Patient?name=" + repeat("a", 200_000),
		"a long name":                   "Patient?" + repeat("a", 200_000) + "=1",
		"many alternatives":             "Patient?identifier=" + many(20_000, strconv.Itoa),
		"many ids":                      "Patient?_id=" + many(5_000, func(i int) string { return fmt.Sprint("x", i) }),
		"many terms":                    "Patient?" + strings.TrimSuffix(repeat("name=a&", 5_000), "&"),
		"a deep chain":                  "Organization?" + repeat("partof.", 300) + "name=a",
		"a chain that fans out":         "Patient?" + repeat("link.", 12) + "name=a",
		"chains in alternatives":        "Observation?subject:Patient.organization.partof.partof.name=" + many(1_000, strconv.Itoa),
		"nested _has":                   "Patient?" + repeat("_has:Patient:link:", 200) + "name=a",
		"_has in chains":                "Observation?subject:Patient._has:Observation:subject:subject:Patient._has:Observation:subject:code=x",
		"many far terms":                "Observation?" + strings.TrimSuffix(repeat("subject:Patient.organization.name=a&", 500), "&"),
		"nested _filter":                "Patient?_filter=" + repeat("(", 20_000) + "name eq a" + repeat(")", 20_000),
		"negated _filter":               "Patient?_filter=" + repeat("not (", 5_000) + "name eq a" + repeat(")", 5_000),
		"a wide _filter":                "Patient?_filter=" + repeat("name eq a or ", 10_000) + "name eq b",
		"a _filter that never ends":     "Patient?_filter=name eq \"" + repeat(`\"`, 20_000),
		"a number with a huge exponent": "Observation?value-quantity=1e999999999",
		"a number below it":             "Observation?value-quantity=lt1e-999999999",
		"about a huge number":           "Observation?value-quantity=ap9e999999",
		"a number with many digits":     "Observation?value-quantity=" + repeat("9", 100_000),
		"a huge near":                   "Location?near=89.999999|179.99|1e300|km",
		"a near that is none":           "Location?near=NaN|Infinity|1|km",
		"a date out of time":            "Patient?birthdate=99999999999999999999-01-01",
		"a date with a fraction":        "Patient?_lastUpdated=2026-01-01T00:00:00." + repeat("9", 50_000) + "Z",
		"a word of the index":           "Patient?_content=" + strings.TrimSuffix(repeat("a ", 20_000), " "),
		"text with operators":           "Patient?_text=" + repeat("(a OR b) AND ", 2_000) + "c",
		"escapes":                       "Patient?name=" + repeat(`\,`, 50_000),
		"separators":                    "Patient?name=" + repeat(",", 50_000) + "a",
		"composites":                    "Observation?code-value-quantity=" + repeat("a$", 20_000) + "1",
		"modifiers":                     "Patient?name" + repeat(":contains", 10_000) + "=a",
		"everything below":              "Organization?partof:below=o0",
		"everything above":              "Organization?partof:above=o0",
		"a value set that holds itself": "Observation?code:in=http://example.org/loop",
		"a value set that isn't small":  "Observation?code:in=http://example.org/large",
		"a list that is long":           "Patient?_list=long",
		"percent signs":                 "Patient?name=" + repeat("%25", 30_000),
		"ids of another form":           "Patient?_id=" + repeat("a", 100_000),
		"an unknown parameter, many":    "Patient?" + many(3_000, func(i int) string { return fmt.Sprintf("x%d=1&y", i) }) + "=1",
	} {
		all = append(all, criteriaOf(name, criteria)...)
	}
	for name, expression := range map[string]string{
		"descendants of descendants": "%current" + repeat(".descendants()", 12) + ".exists()",
		"children for each":          "%current" + repeat(".descendants().where(%current", 10) + repeat(")", 10) + ".exists()",
		"repeat for ever":            "%current.repeat($this).exists()",
		"repeat that grows":          "%current.repeat($this | 'a').exists()",
		"text that doubles":          "('a'" + repeat(".select($this & $this)", 60) + ").length() > 1",
		"replacing that doubles":     "'aa'" + repeat(".replace('a','aa')", 60) + ".length() > 1",
		"an evil regular expression": "'" + repeat("a", 2_000) + "!'.matches('^(a+)+$')",
		"a large repetition":         "'a'.matches('((a{0,1000}){0,1000}){0,1000}')",
		"deep parentheses":           repeat("(", 5_000) + "true" + repeat(")", 5_000),
		"many operators":             "true" + repeat(" and true", 20_000),
		"many unions":                "(1" + repeat(" | 1", 5_000) + ").exists()",
		"a huge power":               "9.power(999999999) > 1",
		"a huge number":              "1" + repeat("0", 50_000) + " > 1",
		"division":                   "(1/3" + repeat("/3", 3_000) + ") > 1",
		"combine that doubles":       "%current.children()" + repeat(".select($this.combine($this))", 40) + ".exists()",
		"pairs of all":               "%current.descendants().select(%current.descendants().select(%current.descendants().select(%current.descendants()))).count() > 1",
		"joining":                    "%current.descendants()" + repeat(".select(%current.descendants().ofType(string).join(','))", 8) + ".exists()",
		"ranges of time":             "(" + repeat("@2026-01-01 + 1 year + ", 2_000) + "1 year).exists()",
		"iif in iif":                 repeat("iif(true,", 1_000) + "true" + repeat(",false)", 1_000),
	} {
		all = append(all, attack{name: "FHIRPath: " + name, method: "POST", path: "/Subscription", body: fmt.Sprintf(
			`{"resourceType":"Subscription","status":"active","reason":"attack","criteria":"Patient","extension":[{"url":"https://medplum.com/fhir/StructureDefinition/fhir-path-criteria-expression","valueString":%q}],"channel":{"type":"rest-hook","endpoint":"http://127.0.0.1:1/"}}`, expression)},
			attack{name: "FHIRPath Patch: " + name, method: "PATCH", path: "/Patient/p1", body: fmt.Sprintf(`{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"replace"},{"name":"path","valueString":%q},{"name":"value","valueString":"x"}]}]}`,
				"Patient.where("+strings.ReplaceAll(expression, "%current", "%resource")+").name[0].family")})
	}
	for i, expression := range []string{
		"Patient" + repeat(".descendants()", 12), "Patient.name.where(family.matches('^(a+)+$')).family", repeat("(", 3_000) + "Patient.name" + repeat(")", 3_000), "Patient.name" + repeat(" | Patient.name", 5_000),
		"Patient.repeat($this)", "Patient.name.family" + repeat(".select($this & $this)", 60), "Patient." + repeat("a", 100_000), "Patient.name.where(" + repeat("exists() and ", 5_000) + "true)",
	} {
		all = append(all, attack{name: fmt.Sprintf("SearchParameter %d", i), method: "PUT", path: fmt.Sprintf("/SearchParameter/evil%d", i), body: fmt.Sprintf(
			`{"resourceType":"SearchParameter","id":"evil%d","url":"http://example.org/evil%d","name":"Evil","status":"active","description":"d","code":"evil%d","base":["Patient"],"type":"string","expression":%q}`, i, i, i, expression)})
	}
	get := func(name, path string, statuses ...int) {
		all = append(all, attack{name: name, method: "GET", path: path, statuses: statuses})
	}
	get("many sort keys", "/Patient?_sort="+many(3_000, func(int) string { return "name" }))
	get("sorting by what there is much of", "/Patient?_sort=-_lastUpdated,name,birthdate,_id&_total=accurate", 200)
	get("includes in a circle", "/Organization?_include:iterate=Organization:partof&_revinclude:iterate=Organization:partof", 200, 422)
	get("includes of everything", "/Patient?_include:iterate=*&_revinclude:iterate=*&_count=1000", 200, 422)
	get("many includes", "/Observation?_count=1000"+repeat("&_include:iterate=Observation:subject&_revinclude=Observation:subject", 300))
	for _, count := range []string{"0", "-1", "1e9", "99999999999999999999999999", "1000000000", "0x10", "+5", " 5"} {
		get("_count="+count, "/Patient?_count="+url.QueryEscape(count))
		get("history by _count="+count, "/_history?_count="+url.QueryEscape(count))
	}
	get("a page of nowhere", "/Patient?-page="+repeat("A", 30_000), 400)
	get("a history of nowhere", "/_history?-before=18446744073709551615", 200, 400)
	get("many elements", "/Patient?_elements="+many(5_000, func(int) string { return "name" }))
	get("many types", "?_type="+many(3_000, func(int) string { return "Patient" }))
	get("deliveries without end", "/Subscription/$deliveries?_count=99999999999&sequence=1-9999999999999999999")
	get("a URL that is long", "/Patient?name="+repeat("a", 60_000))
	get("a URL that is too long", "/Patient?name="+repeat("a", 2_000_000), 400, 414, 431)
	get("a path that is deep", repeat("/Patient", 5_000), 404, 414)
	form := func(name, body string) {
		all = append(all, attack{name: "a large form of " + name, method: "POST", path: "/Patient/_search", body: body, contentType: "application/x-www-form-urlencoded"})
	}
	form("terms", repeat("name=a&", 1_000_000)+"name=a")
	form("other terms", many(300_000, func(i int) string { return fmt.Sprintf("name=a%d&birthdate=gt", i) })+"1980-01-01")
	form("unknown parameters", many(400_000, func(i int) string { return fmt.Sprintf("nam%d=1&", i) })+"=1")
	form("separators", "name="+repeat(",", 7_000_000))
	form("ids", "_id="+repeat("x,", 3_000_000)+"x")
	form("includes", repeat("_include=Patient:link&", 300_000)+"a=b")
	form("elements", "_elements="+repeat("name,", 1_000_000)+"name")
	form("types", "_type="+repeat("Patient,", 800_000)+"Patient")
	form("sort keys", "_sort="+repeat("name,", 1_000_000)+"name")
	form("nothing", repeat("&", 8_000_000))
	form("filters", repeat("_filter=name%20eq%20a&", 300_000)+"a=b")
	var conditions, doubling strings.Builder
	for i := range 3_000 {
		fmt.Fprintf(&conditions, `,{"request":{"method":"POST","url":"Observation"},"resource":{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient?family:contains=F399&name:contains=a&_lastUpdated=lt3000-01-01T00:%02d:%02dZ"}}}`, i/60, i%60)
	}
	all = append(all, attack{name: "conditions in a transaction", method: "POST", body: `{"resourceType":"Bundle","type":"transaction","entry":[` + conditions.String()[1:] + `]}`, statuses: []int{200, 422}}) // as fast as the machine is
	all = append(all, attack{name: "searches in a batch", method: "POST", body: `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"metadata"}}` +
		repeat(`,{"request":{"method":"GET","url":"Patient?_content=x&_sort=name&_summary=count"}}`, 200) + `]}`})
	doubling.WriteString(`[{"op":"add","path":"/name/0/given","value":["` + repeat("a", 1_000) + `"]}`)
	for range 40 {
		doubling.WriteString(`,{"op":"copy","from":"/name","path":"/name/0/extension/-"},{"op":"copy","from":"/name/0","path":"/name/-"}`)
	}
	all = append(all, attack{name: "copies of copies", method: "PATCH", path: "/Patient/p1", body: doubling.String() + "]", contentType: "application/json-patch+json"})
	return all
}

// TestAttack_criteria asks for more than anybody should get: in searches, criteria, conditions, expressions and pages. Each ends soon, with
// an answer; memory stays bounded; and others hardly notice.
func TestAttack_criteria(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir())
	var entries []string
	add := func(typ, id, rest string) {
		entries = append(entries, fmt.Sprintf(`{"request":{"method":"PUT","url":"%s/%s"},"resource":{"resourceType":"%s","id":"%s",%s}}`, typ, id, typ, id, rest))
	}
	for i := range 400 {
		add("Patient", fmt.Sprint("p", i), fmt.Sprintf(`"name":[{"family":"F%d","given":["aaaaaaaaaaaaaaaaaaaaaaaaaaaa!"]}],"birthDate":"1980-01-01","managingOrganization":{"reference":"Organization/o%d"},"link":[{"other":{"reference":"Patient/p%d"},"type":"seealso"},{"other":{"reference":"Patient/p%d"},"type":"seealso"}]`, i, i%40, (i*7+1)%400, (i*3+2)%400))
		add("Observation", fmt.Sprint("b", i), fmt.Sprintf(`"status":"final","code":{"coding":[{"system":"urn:s","code":"c%d"}]},"subject":{"reference":"Patient/p%d"},"valueQuantity":{"value":%s,"unit":"g"}`, i%9, i, []string{"1", "1e99", "0.00000000000001", "9999999999999999"}[i%4]))
	}
	for i := range 40 {
		add("Organization", fmt.Sprint("o", i), fmt.Sprintf(`"name":"O%d","partOf":{"reference":"Organization/o%d"}`, i, (i+1)%40))
	}
	var items, codes []string
	for i := range 5_000 {
		items, codes = append(items, fmt.Sprintf(`{"item":{"reference":"Patient/p%d"}}`, i)), append(codes, fmt.Sprintf(`{"code":"d%d"}`, i))
	}
	add("List", "long", `"status":"current","mode":"working","entry":[`+strings.Join(items, ",")+`]`)
	add("ValueSet", "loop", `"url":"http://example.org/loop","status":"active","compose":{"include":[{"valueSet":["http://example.org/loop2"]}]}`)
	add("ValueSet", "loop2", `"url":"http://example.org/loop2","status":"active","compose":{"include":[{"valueSet":["http://example.org/loop"]}]}`)
	add("ValueSet", "large", `"url":"http://example.org/large","status":"active","compose":{"include":[{"system":"urn:s","concept":[`+strings.Join(codes, ",")+`]}]}`)
	p.must(200, "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[`+strings.Join(entries, ",")+`]}`)

	ctx, cancel := context.WithCancel(t.Context())
	var neighbours sync.WaitGroup
	n := &neighbour{}
	neighbours.Go(func() { n.run(ctx, p) }) // stops with ctx
	client := &http.Client{Timeout: 3 * patience}
	send := func(a attack) {
		n.says(a.name)
		q, err := http.NewRequestWithContext(t.Context(), a.method, p.base+a.path, strings.NewReader(a.body))
		if err != nil {
			t.Fatalf("%s: %v", a.name, err)
		}
		if a.contentType == "" {
			a.contentType = "application/fhir+json"
		}
		if a.body != "" {
			q.Header.Set("Content-Type", a.contentType)
		}
		began := time.Now()
		r, err := readAnswer(client.Do(q))
		took := time.Since(began)
		switch {
		case err != nil && len(a.path)+len(a.body) > 1<<20: // it may be given up before it has been sent
		case err != nil:
			t.Errorf("%s: %v", a.name, err)
		case r.status >= 500, len(a.statuses) > 0 && !slices.Contains(a.statuses, r.status):
			t.Errorf("%s: %d %.300s", a.name, r.status, r.body)
		case len(r.body) > 16<<20:
			t.Errorf("%s: an answer of %d bytes", a.name, len(r.body))
		}
		if took > patience {
			t.Errorf("%s took %s", a.name, took)
		}
		if testing.Verbose() && took > 300*time.Millisecond {
			t.Logf("%s: %d in %s", a.name, r.status, took)
		}
	}
	for _, a := range attacksByCriteria() {
		send(a)
	}

	// What was taken as criteria is evaluated now, for every write.
	n.says("evaluating what was taken")
	for i := range 20 {
		p.must(200, "PUT", fmt.Sprintf("/Patient/p%d", i), fmt.Sprintf(`{"resourceType":"Patient","id":"p%d","name":[{"family":"G"}],"managingOrganization":{"reference":"Organization/o1"},"link":[{"other":{"reference":"Patient/p1"},"type":"seealso"}]}`, i))
	}
	n.says("many far criteria")
	for i := range 150 {
		p.must(201, "POST", "/Subscription", fmt.Sprintf(`{"resourceType":"Subscription","status":"active","reason":"attack","criteria":"Observation?subject:Patient.organization.partof.name=O%d&code=urn:s|c%d","channel":{"type":"rest-hook","endpoint":"http://127.0.0.1:1/"}}`, i, i%9))
	}
	for i := range 20 {
		p.must(200, "PUT", fmt.Sprintf("/Observation/b%d", i), fmt.Sprintf(`{"resourceType":"Observation","id":"b%d","status":"final","code":{"coding":[{"system":"urn:s","code":"c1"}]},"subject":{"reference":"Patient/p%d"}}`, i, i))
	}
	eventually(t, "the matcher's end", func() bool {
		a := p.beside(200, "GET", "/readyz", "")
		return strings.Contains(string(a.body), " 0 changes behind") || strings.Contains(string(a.body), " 1 changes behind") || strings.Contains(string(a.body), " 2 changes behind")
	})
	cancel()
	neighbours.Wait()
	if n.during != "" {
		t.Errorf("others noticed:%s", n.during)
	}
	m := regexp.MustCompile(`(?m)^process_resident_memory_bytes (\S+)$`).FindSubmatch(p.beside(200, "GET", "/metrics", "").body)
	if m == nil {
		t.Fatal("the server doesn't tell its memory")
	}
	if memory, err := strconv.ParseFloat(string(m[1]), 64); err != nil || memory > mostMemory {
		t.Errorf("the server holds %.0f bytes, %v", memory, err)
	}
	t.Logf("the longest wait of a neighbour was %s, memory %s", n.longest, m[1])
}
