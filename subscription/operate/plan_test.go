package operate

import (
	"strings"
	"testing"
)

func TestPlan_saysHowEachSubscriptionIsFound(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.subscribe("a", "Patient?gender=female&birthdate=ge2000", "")
		w.subscribe("b", "Patient?birthdate=ge2000", "")
		w.subscribe("c", "[*]", "")
		w.put("Subscription", "d", off)
		all := w.must(200, "GET", "Subscription/$plan", "").parameters(t)
		if got := all.get("active"); got != "3" {
			t.Errorf("%s are active, want 3: one is off", got)
		}
		if got := all.get("tried-for-each-change"); got != "2" {
			t.Errorf("%s are tried for each change, want 2", got)
		}
		for id, want := range map[string]string{
			"a": `"found-by","valueString":"gender"`,
			"b": "tried for each change of [Patient]",
			"c": "tried for each change of every type",
		} {
			body := string(w.must(200, "GET", "Subscription/"+id+"/$plan", "").body)
			if !strings.Contains(body, want) || strings.Count(body, `"subscription"`) != 1 {
				t.Errorf("%s: %s, want %s", id, body, want)
			}
		}
		w.must(404, "GET", "Subscription/nobody/$plan", "")
		w.must(400, "GET", "Subscription/$plan?nonsense=1", "")
	})
}
