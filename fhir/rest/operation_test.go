package rest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"fhirhook/fhir"
	"fhirhook/fhir/validate"
)

// echoing is an operation that answers what it was asked.
func echoing(name string, level Level, types []fhir.Type, methods ...string) Operation {
	return Operation{
		Name: name, Level: level, Types: types, Methods: methods,
		Handle: func(_ context.Context, r OperationRequest) (OperationAnswer, error) {
			if len(r.Query) > 0 && r.Query[0].Name == "fail" {
				return OperationAnswer{}, fhir.Errorf(fhir.BusinessRule, "http.fail", "told to")
			}
			text := r.Method + " " + string(r.Type) + "/" + r.ID
			if r.Body.Doc != nil {
				text += " " + string(r.Body.Type)
			}
			return OperationAnswer{
				Status: http.StatusAccepted, ContentLocation: r.Base + "/elsewhere",
				Body: encode(map[string]string{"resourceType": "Basic", "text": text}),
			}, nil
		},
	}
}

func operationHarness(t *testing.T) *harness {
	return newHarness(t, func(o *Options) {
		o.Validator = validate.Structure
		o.Operations = []Operation{
			echoing("whole", OnSystem, nil, http.MethodGet),
			echoing("look", OnType, []fhir.Type{"Patient"}, http.MethodGet),
			echoing("look", OnInstance, nil, http.MethodGet, http.MethodDelete),
			echoing("do", OnInstance, []fhir.Type{"Patient"}, http.MethodPost),
		}
	})
}

func TestOperation_isRoutedByLevelTypeAndMethod(t *testing.T) {
	t.Parallel()
	h := operationHarness(t)
	const parameters = `{"resourceType":"Parameters"}`
	for _, c := range []struct {
		method, path, body string
		status             int
		text               string
	}{
		{"GET", "/$whole", "", 202, "GET /"},
		{"GET", "/$whole/", "", 202, "GET /"},
		{"GET", "/Patient/$look", "", 202, "GET Patient/"},
		{"GET", "/Patient/1/$look?_format=json", "", 202, "GET Patient/1"},
		{"DELETE", "/Group/1/$look", "", 202, "DELETE Group/1"},
		{"POST", "/Patient/1/$do", "", 202, "POST Patient/1"},
		{"POST", "/Patient/1/$do", parameters, 202, "POST Patient/1 Parameters"},
		{"POST", "/Patient/1/$do", `{"resourceType":"Parameters","parameter":[]}`, 202, "POST Patient/1 Parameters"},
		{"POST", "/Patient/1/$do", `{"resourceType":"Parameters","id":"","parameter":[]}`, 400, ""},
		{"POST", "/Patient/1/$do", `{"resourceType":"Patient","name":[]}`, 400, ""},
		{"POST", "/Patient/1/$do", `{"resourceType":`, 400, ""},
		{"POST", "/Patient/1/$do?fail=1", "", 422, ""},
		{"GET", "/Patient/1/$do", "", 405, ""},
		{"POST", "/$whole", parameters, 405, ""},
		{"GET", "/Group/$look", "", 404, ""},
		{"POST", "/Group/1/$do", parameters, 404, ""},
		{"GET", "/Nonsense/1/$look", "", 404, ""},
		{"GET", "/Patient/a_b/$look", "", 404, ""},
		{"GET", "/Patient/1/$unknown", "", 404, ""},
		{"GET", "/$unknown", "", 404, ""},
	} {
		r := h.do(c.method, c.path, c.body)
		if r.status != c.status {
			t.Errorf("%s %s: status %d, want %d: %s", c.method, c.path, r.status, c.status, r.body)
		}
		if c.status == http.StatusAccepted {
			if got := r.at("text"); got != c.text {
				t.Errorf("%s %s: %q, want %q", c.method, c.path, got, c.text)
			}
			if got, want := r.header.Get("Content-Location"), h.http.URL+Prefix+"/elsewhere"; got != want {
				t.Errorf("%s %s: Content-Location %q, want %q", c.method, c.path, got, want)
			}
		} else if got := r.at("resourceType"); got != "OperationOutcome" {
			t.Errorf("%s %s: answers a %s", c.method, c.path, got)
		}
	}
	r := h.must(http.StatusMethodNotAllowed, "PUT", "/Patient/1/$look", parameters)
	if got, want := r.header.Get("Allow"), "OPTIONS, GET, DELETE"; got != want {
		t.Errorf("Allow is %q, want %q", got, want)
	}
	if r := h.do("OPTIONS", "/Patient/1/$do", ""); r.status != http.StatusNoContent || r.header.Get("Allow") != "OPTIONS, POST" {
		t.Errorf("OPTIONS: %d, Allow %q", r.status, r.header.Get("Allow"))
	}
}

// TestOperation_takesNothingInChunksForNothing: a client that doesn't say how long its body is may still send none.
func TestOperation_takesNothingInChunksForNothing(t *testing.T) {
	t.Parallel()
	h := operationHarness(t)
	for body, want := range map[string]string{
		"": "POST Patient/1", `{"resourceType":"Parameters"}`: "POST Patient/1 Parameters",
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.http.URL+Prefix+"/Patient/1/$do", io.MultiReader(strings.NewReader(body)))
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = -1
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		if err = errors.Join(err, res.Body.Close()); err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != http.StatusAccepted || !strings.Contains(string(text), `"`+want+`"`) {
			t.Errorf("%q: %d %s, want %s", body, res.StatusCode, text, want)
		}
	}
}

func TestOperation_isInTheCapabilityStatement(t *testing.T) {
	t.Parallel()
	h := operationHarness(t)
	var statement struct {
		Rest []struct {
			Operation []struct{ Name, Definition string }
			Resource  []struct {
				Type      string
				Operation []struct{ Name, Definition string }
			}
		}
	}
	if err := json.Unmarshal(h.must(http.StatusOK, "GET", "/metadata", "").body, &statement); err != nil {
		t.Fatal(err)
	}
	if got := statement.Rest[0].Operation; len(got) != 3 || got[0].Name != "versions" || got[1].Name != "meta" || got[2].Name != "whole" || got[2].Definition == "" {
		t.Errorf("the system has %+v", got)
	}
	names := map[string][]string{}
	for _, r := range statement.Rest[0].Resource {
		for _, o := range r.Operation {
			names[r.Type] = append(names[r.Type], o.Name)
		}
	}
	own := []string{"meta", "meta-add", "meta-delete", "validate"}
	if got := names["Patient"]; !slices.Equal(got, slices.Concat([]string{"everything"}, own, []string{"look", "do"})) {
		t.Errorf("Patient has %q", got)
	}
	if got := names["Group"]; !slices.Equal(got, append(own, "look")) {
		t.Errorf("Group has %q", got)
	}
}

func TestNew_refusesOperationsThatCannotBeInvoked(t *testing.T) {
	t.Parallel()
	good := echoing("x", OnSystem, nil, http.MethodGet)
	for _, spoil := range []func(*Operation){
		func(o *Operation) { o.Name = "$x" },
		func(o *Operation) { o.Methods = nil },
		func(o *Operation) { o.Handle = nil },
		func(o *Operation) { o.Level = 9 },
	} {
		bad := good
		spoil(&bad)
		if checkOperations([]Operation{good, bad}) == nil {
			t.Errorf("%+v passed", bad.Name)
		}
	}
	if err := checkOperations([]Operation{good}); err != nil {
		t.Error(err)
	}
}
