package subscription

// The deliverer tests of what Currents finds.

import (
	"testing"
	"testing/synctest"
	"time"

	"fhirhook/fhir"
)

func TestCurrents_armedIsTheLastReturnFromOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		parsed := 0
		parse := func(v *fhir.Resource) (*Subscription, error) {
			parsed++
			return r.parse(v)
		}
		warm := NewCurrents(r.db, parse, 10)
		steps := []struct {
			status Status // "" deletes
			want   int    // step that armed it; -1: none
		}{
			{Active, -1}, {Erroneous, -1}, {Off, -1}, {Active, 3}, {Erroneous, 3}, {Active, 3}, {Off, -1}, {Off, -1}, {Active, 8}, {"", -1}, {Active, 10}, {Active, 10},
		}
		var at []time.Time
		for i, step := range steps {
			<-time.After(time.Second)
			at = append(at, fhir.Millis(time.Now()))
			if step.status == "" {
				r.write(subKey("s"), nil)
			} else {
				r.subscribe("s", "https://a.example/hook", step.status)
			}
			var want time.Time
			if step.want >= 0 {
				want = at[step.want]
			}
			cold := NewCurrents(r.db, r.parse, 10)
			for name, c := range map[string]*Currents{"warm": warm, "cold": cold} {
				got, err := c.Current(t.Context(), laneOf("s"))
				if err != nil {
					t.Fatal(err)
				}
				if !got.Armed.Equal(want) {
					t.Errorf("%s, step %d: armed at %s, want %s", name, i, got.Armed, want)
				}
				if deleted := got.Subscription == nil; deleted != (step.status == "") {
					t.Errorf("%s, step %d: deleted is %v", name, i, deleted)
				}
			}
		}
		before := parsed
		if _, err := warm.Current(t.Context(), laneOf("s")); err != nil || parsed != before {
			t.Errorf("an unchanged version was parsed again (%v)", err)
		}
		if got, err := warm.Current(t.Context(), laneOf("never")); err != nil || got.Subscription != nil {
			t.Errorf("a Subscription that never existed: %+v, %v", got, err)
		}
	})
}

func TestCurrents_keepsABoundedNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		c := NewCurrents(r.db, r.parse, 3)
		for _, id := range numbered(10) {
			r.subscribe(id, "https://a.example/"+id, Active)
			for range 2 {
				if got, err := c.Current(t.Context(), laneOf(id)); err != nil || got.Target.Endpoint != "https://a.example/"+id {
					t.Fatalf("%+v, %v", got, err)
				}
			}
		}
		if c.used.Len() != 3 || len(c.byID) != 3 {
			t.Errorf("%d and %d kept, want 3", c.used.Len(), len(c.byID))
		}
	})
}
