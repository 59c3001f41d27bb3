package bench_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"fhirhook/cmd/internal/bench"
)

// report is what is written: about a kilobyte, as a laboratory sends it.
var report = func() string {
	body, err := bench.Body(bench.DefaultKnobs().Body, true)
	if err != nil {
		panic(err) // the default is a good one
	}
	return string(body)
}()

// matching is a criteria that the report meets.
const matching = bench.Matching

// others returns n criteria of the same type that the report doesn't meet.
func others(n int) []string { return bench.Others(n) }

// subscribe creates a Subscription for each criteria, with a secret, as seed 0 has it.
func subscribe(b *testing.B, p *bench.Process, endpoint string, criteria ...string) {
	b.Helper()
	for _, c := range criteria {
		body := fmt.Sprintf(`{"resourceType":"Subscription","status":"requested","reason":"benchmark","criteria":%q,`+
			`"channel":{"type":"rest-hook","endpoint":%q,"payload":"application/fhir+json"},`+
			`"extension":[{"url":"https://www.medplum.com/fhir/StructureDefinition/subscription-secret","valueString":"a-long-enough-secret"}]}`, c, endpoint)
		response, err := http.Post(p.Base+"/Subscription", "application/fhir+json", strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		text, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != http.StatusCreated {
			b.Fatalf("Subscription %s: status %d\n%s", c, response.StatusCode, text)
		}
	}
}
