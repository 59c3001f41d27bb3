package subscription

import (
	"fmt"
	"runtime"
	"testing"

	"fhirhook/criteria"
	"fhirhook/fhir"
)

// everyday are criteria over the parameters that Subscriptions commonly use, each another one.
func everyday(i int) string {
	forms := []string{
		"DiagnosticReport?subject=Patient/someone-%d",
		"DiagnosticReport?status=final&code=http://loinc.org|%d-9",
		"DiagnosticReport?identifier=http://lab.example.org/reports|1999-%d",
		"DiagnosticReport?performer=Organization/lab-%d&status=final,amended",
	}
	return fmt.Sprintf(forms[i%len(forms)], i)
}

func everydaySubscription(i int) *fhir.Resource {
	return &fhir.Resource{
		Key: fhir.Key{Tenant: fhir.DefaultTenant, Type: fhir.Subscription, ID: fmt.Sprint("everyday-", i)}, Version: 1,
		JSON: fmt.Appendf(nil, `{"resourceType":"Subscription","id":"everyday-%d","meta":{"versionId":"1","lastUpdated":"2026-02-03T04:05:06.789Z"},"status":"active","reason":"everyday","criteria":%q,`+
			`"channel":{"type":"rest-hook","endpoint":"https://hooks.example.org/in","payload":"application/fhir+json"},"extension":[{"url":"https://www.medplum.com/fhir/StructureDefinition/subscription-secret","valueString":"a-long-enough-secret"}]}`,
			i, everyday(i)),
	}
}

// Memory is a promise, and unlike time it can be told in a test.
func TestActive_aSubscriptionTakesLessThanHalfAKilobyte(t *testing.T) {
	const n = 20_000
	a := newActive(testOptions(t), criteria.Env{}, &conditions{})
	a.apply(a.look(everydaySubscription(n))) // tables
	before := alive()
	for i := range n {
		a.apply(a.look(everydaySubscription(i)))
	}
	each := (alive() - before) / n
	runtime.KeepAlive(a)
	t.Logf("%d bytes each", each)
	if each > 450 {
		t.Errorf("%d bytes each", each)
	}
}

// alive is how many bytes the heap has that something leads to.
func alive() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func BenchmarkActive_compile(b *testing.B) {
	a := newActive(testOptions(b), criteria.Env{}, &conditions{})
	r := everydaySubscription(1)
	b.ReportAllocs()
	for b.Loop() {
		a.compile(&fhir.Resource{Key: r.Key, Version: 1, JSON: r.JSON})
	}
}
