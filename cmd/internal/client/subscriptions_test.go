package client

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// subscriptionServer has three Subscriptions on two pages. Its links name the server as others see it.
func subscriptionServer() *server {
	s := &server{}
	s.HandleFunc("GET /fhir/R4/Subscription", func(w http.ResponseWriter, r *http.Request) {
		one := `{"resource":{"resourceType":"Subscription","id":%q,"meta":{"lastUpdated":"2026-01-30T10:00:00.000Z"},"status":"active","criteria":"Observation?code=%s","channel":{"endpoint":"https://ann:pw@hook.example/%s?key=secret"}}}`
		if r.URL.Query().Get("page") == "2" {
			fmt.Fprintf(w, `{"entry":[`+one+`]}`, "c", "3", "c")
			return
		}
		fmt.Fprintf(w, `{"link":[{"relation":"next","url":"https://proxied.example/x/Subscription?page=2"}],"entry":[`+one+`,`+one+`,`+
			`{"resource":{"resourceType":"OperationOutcome","id":"o"}}]}`, "a", "1", "a", "b", "2", "b")
	})
	s.HandleFunc("GET /fhir/R4/Subscription/$status", func(w http.ResponseWriter, r *http.Request) {
		all := map[string]string{
			"a": `{"name":"status","valueCode":"active"},{"name":"owed","valueInteger":0},{"name":"events-since-subscription-start","valueString":"7"},{"name":"dialect","valueCode":"kit"}`,
			"b": `{"name":"status","valueCode":"error"},{"name":"error","valueCodeableConcept":{"text":"refused: nothing there"}},{"name":"owed","valueDecimal":31},` +
				`{"name":"events-since-subscription-start","valueString":"40"},{"name":"failures","valueInteger":14},{"name":"failing-since","valueInstant":"2026-01-31T10:30:00.000Z"},` +
				`{"name":"next-probe","valueInstant":"2026-01-31T12:00:05.000Z"},{"name":"next-try","valueInstant":"2026-01-31T11:00:00.000Z"},{"name":"dialect","valueCode":"fhir"}`,
			"c": `{"name":"status","valueCode":"off"},{"name":"owed","valueInteger":1},{"name":"events-since-subscription-start","valueString":"1"},{"name":"failures","valueInteger":1},` +
				`{"name":"failing-since","valueInstant":"2026-01-29T10:30:00.000Z"},{"name":"next-try","valueInstant":"2026-01-31T11:00:00.000Z"}`,
		}
		var entries []string
		for _, id := range r.URL.Query()["id"] {
			entries = append(entries, `{"resource":{"parameter":[{"name":"subscription","valueReference":{"reference":"Subscription/`+id+`"}},`+all[id]+`]}}`)
		}
		fmt.Fprintf(w, `{"entry":[%s]}`, strings.Join(entries, ","))
	})
	return s
}

func TestSubscriptions_listsAllPagesWithTheirBacklogs(t *testing.T) {
	t.Parallel()
	s := subscriptionServer()
	c, out, _ := open(t, s, nil)
	if err := c.Subscriptions(t.Context(), SubscriptionsOptions{}); err != nil {
		t.Fatal(err)
	}
	want := `ID  STATUS  OWED  CRITERIA            ENDPOINT                DIALECT  TROUBLE
a   active     0  Observation?code=1  https://hook.example/a  kit
b   error     31  Observation?code=2  https://hook.example/b  fhir     refused: nothing there; next try 13:00:05
c   off        1  Observation?code=3  https://hook.example/c           1 failure since 2026-01-29 11:30

3 Subscriptions, 2 in trouble; 32 notifications owed
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	wantAsked := []string{
		"GET /fhir/R4/Subscription?_count=100&_sort=_id", "GET /fhir/R4/Subscription/$status?_count=100&id=a&id=b",
		"GET /fhir/R4/Subscription?page=2", "GET /fhir/R4/Subscription/$status?_count=100&id=c",
	}
	if diff := cmp.Diff(wantAsked, s.take()); diff != "" {
		t.Error(diff)
	}
}

func TestSubscriptions_forScripts(t *testing.T) {
	t.Parallel()
	s := subscriptionServer()
	c, out, _ := open(t, s, func(c *Client) { c.JSON = true })
	if err := c.Subscriptions(t.Context(), SubscriptionsOptions{Status: []string{"active", "error"}}); err != nil {
		t.Fatal(err)
	}
	want := `{"id":"a","status":"active","criteria":"Observation?code=1","endpoint":"https://hook.example/a","dialect":"kit","owed":0,"events":"7","lastUpdated":"2026-01-30T10:00:00.000Z"}
{"id":"b","status":"error","criteria":"Observation?code=2","endpoint":"https://hook.example/b","dialect":"fhir","owed":31,"events":"40","failures":14,"failingSince":"2026-01-31T10:30:00.000Z","nextProbe":"2026-01-31T12:00:05.000Z","nextTry":"2026-01-31T11:00:00.000Z","error":"refused: nothing there","lastUpdated":"2026-01-30T10:00:00.000Z"}
{"id":"c","status":"off","criteria":"Observation?code=3","endpoint":"https://hook.example/c","owed":1,"events":"1","failures":1,"failingSince":"2026-01-29T10:30:00.000Z","nextTry":"2026-01-31T11:00:00.000Z","lastUpdated":"2026-01-30T10:00:00.000Z"}
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	if asked := s.take(); asked[0] != "GET /fhir/R4/Subscription?_count=100&_sort=_id&status=active%2Cerror" {
		t.Errorf("asked %q", asked[0])
	}
	wantUsage(t, c.Subscriptions(t.Context(), SubscriptionsOptions{Status: []string{"sleepy"}}), "--status sleepy", "active, error, off")
}

func TestSubscriptions_none(t *testing.T) {
	t.Parallel()
	s := &server{}
	s.answer("/fhir/R4/Subscription", `{"resourceType":"Bundle","total":0}`)
	c, out, _ := open(t, s, nil)
	if err := c.Subscriptions(t.Context(), SubscriptionsOptions{}); err != nil || out.String() != "0 Subscriptions; 0 notifications owed\n" {
		t.Errorf("%v, %q", err, out.String())
	}
}
