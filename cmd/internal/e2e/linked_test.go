package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
)

// linkedCase is a row of criteria/testdata/linked.tsv.
type linkedCase struct {
	criteria string
	want     []string // references, sorted
	refused  string   // a part of the reason
}

func linkedCases(t *testing.T) (cases []linkedCase) {
	t.Helper()
	for _, line := range lines(t, "linked.tsv") {
		text, want, _ := strings.Cut(line, "\t")
		c := linkedCase{criteria: text}
		if reason, refused := strings.CutPrefix(want, "!"); refused {
			c.refused = reason
		} else {
			c.want = strings.Fields(want)
		}
		cases = append(cases, c)
	}
	return cases
}

func lines(t *testing.T, name string) (all []string) {
	t.Helper()
	content, err := os.ReadFile("../../../criteria/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSuffix(line, "\n"); line != "" && !strings.HasPrefix(line, "#") {
			all = append(all, line)
		}
	}
	return all
}

// path is the search with a case's criteria.
func (c linkedCase) path() string {
	head, query, _ := strings.Cut(c.criteria, "?")
	var parts []string
	for part := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(part, "=")
		parts = append(parts, url.QueryEscape(name)+"="+url.QueryEscape(value))
	}
	if types, several := strings.CutPrefix(head, "["); several {
		head = ""
		parts = append(parts, "_type="+url.QueryEscape(strings.TrimSuffix(types, "]")))
	}
	return "/" + head + "?" + strings.Join(parts, "&") + "&_count=200"
}

func (c linkedCase) aboutTerminology() bool {
	return strings.HasPrefix(c.criteria, "ValueSet?") || strings.HasPrefix(c.criteria, "CodeSystem?")
}

// TestMeaning_linkedCriteriaNotifyOfWhatTheyFind writes a world of resources in one transaction. What criteria
// that look at several resources find in it afterwards is what they notify of, and what can't be evaluated is
// refused in both modes, all as the table says.
func TestMeaning_linkedCriteriaNotifyOfWhatTheyFind(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir())
	r := newReceiver(t, nil)
	own := strings.NewReplacer("https://clinic.example/fhir/R4", p.base, "https://CLINIC.example/fhir/R4", p.base)
	var entries []map[string]any
	for _, line := range lines(t, "world.ndjson") {
		body := own.Replace(line)
		var head struct{ ResourceType, ID string }
		if err := json.Unmarshal([]byte(body), &head); err != nil {
			t.Fatal(err)
		}
		at := head.ResourceType + "/" + head.ID
		if head.ResourceType == "ValueSet" || head.ResourceType == "CodeSystem" {
			p.must(http.StatusCreated, http.MethodPut, "/"+at, body)
			continue
		}
		entries = append(entries, map[string]any{
			"fullUrl": p.base + "/" + at, "resource": json.RawMessage(body), "request": map[string]string{"method": "PUT", "url": at},
		})
	}
	want, total := map[string]linkedCase{}, 1
	for _, c := range linkedCases(t) {
		c.criteria = own.Replace(c.criteria)
		body := extended(t, r.URL, c.criteria)
		if c.refused != "" {
			a := p.must(http.StatusUnprocessableEntity, http.MethodPost, "/Subscription", body)
			if !strings.Contains(string(a.body), "Subscription.criteria") || !strings.Contains(string(a.body), c.refused) {
				t.Errorf("%s: %s", c.criteria, a.body)
			}
			if a := p.must(http.StatusBadRequest, http.MethodGet, c.path(), ""); !strings.Contains(string(a.body), c.refused) {
				t.Errorf("%s: %s", c.criteria, a.body)
			}
			continue
		}
		if !c.aboutTerminology() {
			total += len(c.want)
		}
		want[p.create("Subscription", body)] = c
	}
	sentinel := p.create("Subscription", extended(t, r.URL, "Basic"))
	bundle, err := json.Marshal(map[string]any{"resourceType": "Bundle", "type": "transaction", "entry": entries})
	if err != nil {
		t.Fatal(err)
	}
	p.must(http.StatusOK, http.MethodPost, "/", string(bundle))
	p.create("Basic", `{"resourceType":"Basic","code":{"text":"the end"}}`)

	for _, c := range want {
		if found := p.found(c.path()); !slices.Equal(found, c.want) {
			t.Errorf("%s finds %v, want %v", c.criteria, found, c.want)
		}
	}
	got := r.await(t, "all notifications", func(got []notification) bool {
		return len(got) >= total && slices.ContainsFunc(got, func(n notification) bool { return n.subscription == sentinel })
	})
	notified := map[string][]string{}
	for _, n := range got {
		reference, _, _ := strings.Cut(n.resource, "/_history/")
		notified[n.subscription] = append(notified[n.subscription], reference)
	}
	for id, c := range want {
		of := notified[id]
		slices.Sort(of)
		if !c.aboutTerminology() && !slices.Equal(slices.Compact(of), c.want) {
			t.Errorf("%s notifies of %v, want %v", c.criteria, of, c.want)
		}
	}
}

// found searches, and returns the references of the matches, sorted.
func (p *process) found(path string) (all []string) {
	p.t.Helper()
	var bundle struct {
		Entry []struct {
			Resource struct{ ResourceType, ID string }
			Search   struct{ Mode string }
		}
	}
	if err := json.Unmarshal(p.must(http.StatusOK, http.MethodGet, path, "").body, &bundle); err != nil {
		p.t.Fatal(err)
	}
	for _, e := range bundle.Entry {
		if e.Search.Mode == "match" {
			all = append(all, fmt.Sprintf("%s/%s", e.Resource.ResourceType, e.Resource.ID))
		}
	}
	slices.Sort(all)
	return all
}
