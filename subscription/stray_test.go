package subscription_test

import (
	"strings"
	"testing"

	"fhirhook/fhir"
	"fhirhook/subscription"
)

// TestStray_refusesSecretsWhereNobodyKeepsThem, and says neither what they are nor anything about resources without any.
func TestStray_refusesSecretsWhereNobodyKeepsThem(t *testing.T) {
	t.Parallel()
	const (
		key    = `{"url":"https://www.medplum.com/fhir/StructureDefinition/subscription-secret","valueString":"hunter2"}`
		inner  = `{"resourceType":"Subscription","channel":{"type":"rest-hook","header":["X-Key: hunter2"]}}`
		masked = `{"resourceType":"Subscription","extension":[{"url":"https://www.medplum.com/fhir/StructureDefinition/subscription-secret","valueString":"********"}],"channel":{"header":["X-Key: ********"]}}`
	)
	for body, want := range map[string]string{
		`{"resourceType":"Bundle","type":"collection","entry":[{"resource":` + inner + `}]}`:                                                  "Bundle.entry[0].resource.channel.header[0]",
		`{"resourceType":"Basic","contained":[` + inner + `]}`:                                                                                "Basic.contained[0].channel.header[0]",
		`{"resourceType":"Basic","extension":[` + key + `]}`:                                                                                  "Basic.extension[0].valueString",
		`{"resourceType":"Parameters","parameter":[{"name":"a","resource":{"resourceType":"Bundle","entry":[{"resource":` + inner + `}]}}]}`:  "Parameters.parameter[0].resource.entry[0].resource.channel.header[0]",
		`{"resourceType":"Bundle","type":"collection","entry":[{"resource":` + masked + `}]}`:                                                 "",
		`{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Subscription","channel":{"type":"rest-hook"}}}]}`: "",
		`{"resourceType":"Basic","subject":{"reference":"Subscription/1"},"extension":[{"url":"http://example.org/","valueString":"x"}]}`:     "",
		inner: "",
	} {
		in, err := fhir.Read([]byte(body), 0)
		if err != nil {
			t.Fatal(err)
		}
		err = subscription.Stray(in)
		switch e, _ := err.(*fhir.Error); { //nolint:errorlint // it is one itself
		case want == "" && err != nil, want != "" && (e == nil || e.Kind != fhir.BusinessRule || e.Expression != want):
			t.Errorf("%s: %v, want it at %q", body, err, want)
		case err != nil && strings.Contains(err.Error(), "hunter2"):
			t.Errorf("%v", err)
		}
	}
}
