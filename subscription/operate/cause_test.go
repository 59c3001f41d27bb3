package operate

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// entering is the extension by which a change of a linked resource notifies, too.
const entering = `{"url":"https://fhirhook.dev/StructureDefinition/subscription-trigger","valueCode":"enters"}`

func TestDeliveries_tellTheCauseOfWhatALinkedResourceBroughtIn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.subscribe("s", "Observation?subject:Patient.gender=male", entering)
		w.put("Patient", "p", `,"gender":"female"`)
		w.put("Observation", "o", `,"status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p"}`)
		w.endpoint.set(refuse)
		w.put("Patient", "p", `,"gender":"male"`)
		w.put("Observation", "own", `,"status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p"}`)
		synctest.Wait()
		causes := func(state string) {
			t.Helper()
			all, _ := w.list("Subscription/s/$deliveries?status=" + state)
			if len(all) != 2 {
				t.Fatalf("%d notifications are %s", len(all), state)
			}
			if got := all[0].get("cause"); got != "" {
				t.Errorf("the cause of a version's own change is %q", got)
			}
			if got := all[1].get("cause"); got != "Patient/p/_history/2" {
				t.Errorf("the cause of what is %s is %q", state, got)
			}
		}
		causes("owed") // told by what is owed
		w.endpoint.set(nil)
		time.Sleep(time.Hour)
		causes("delivered") // told by the attempt log, as the following
		w.endpoint.set(refuse)
		location := w.must(202, "POST", "Subscription/s/$redeliver?sequence=1-", "").header.Get("Content-Location")
		time.Sleep(time.Second)
		w.must(204, "DELETE", strings.TrimPrefix(location, "https://fhir.example/fhir/R4/"), "")
		causes("delivered")
		w.must(202, "POST", "Subscription/s/$redeliver?sequence=1-", "")
		time.Sleep(time.Second)
		w.must(204, "DELETE", "Subscription/s", "")
		synctest.Wait()
		time.Sleep(time.Minute)
		causes("cancelled")
	})
}
