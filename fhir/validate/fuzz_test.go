package validate_test

import (
	"strings"
	"testing"

	"fhirhook/fhir"
	"fhirhook/fhir/validate"
)

// FuzzValidate: whatever can be read as a resource is judged without a panic; each problem has a path below the
// resource's type and a text; Strict tells all that Structure tells.
func FuzzValidate(f *testing.F) {
	f.Add([]byte(observation))
	f.Add([]byte(`{"resourceType":"Patient","name":[{"given":[null,"A"],"_given":[{"id":"x"},null,{"extension":[{"url":"u","valueString":"x"}]}]}]}`))
	f.Add([]byte(`{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient","contained":[{"resourceType":"Group"}]}}]}`))
	f.Add([]byte(`{"resourceType":"Subscription","valueX":{"":[[]]},"criteria":{},"_status":{"extension":[{}]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		in, err := fhir.Read(body, 0)
		if err != nil {
			return
		}
		shape := validate.Structure.Validate(in)
		strict := validate.Strict.Validate(in)
		if len(shape) > validate.MaxIssues || len(strict) > validate.MaxIssues {
			t.Errorf("%d and %d problems", len(shape), len(strict))
		}
		if len(strict) < len(shape) && len(strict) < validate.MaxIssues {
			t.Errorf("strict tells %d problems, structure %d", len(strict), len(shape))
		}
		for _, p := range strict {
			if !strings.HasPrefix(p.Expression, string(in.Type)) || p.Diagnostic == "" {
				t.Errorf("%q: %q", p.Expression, p.Diagnostic)
			}
		}
	})
}
