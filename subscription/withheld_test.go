package subscription

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/store"
)

// seeing makes a Subscription see what a grant covers.
func seeing(t testing.TB, s *Subscription, scopes ...string) {
	t.Helper()
	s.Grant = auth.GrantOf(author(t, "a", scopes...), noon)
	s.View = NewGrants(criteria.R4(), criteria.Env{}).View(s.Grant, fhir.DefaultTenant)
}

// versions are what a Patient went through: in sight while it is active.
var versions = []map[string]any{{"active": true}, {"active": false}, {"active": true}, nil}

// Whatever the dialect would send of it: what is out of sight by now is not sent, and says so.
func TestDeliverer_withholdsWhatIsOutOfSight(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Subscription)
		scopes []string
		want   map[uint64]store.State
	}{
		{"everything in sight", nil, []string{"system/Patient.rs"}, map[uint64]store.State{1: store.Delivered, 2: store.Delivered, 3: store.Delivered, 4: store.Delivered}},
		{"some of it", nil, []string{"system/Patient.rs?active=true"}, map[uint64]store.State{1: store.Delivered, 2: store.Withheld, 3: store.Delivered, 4: store.Delivered}},
		{"a deletion of what was out of sight", nil, []string{"system/Patient.rs?active=false"}, map[uint64]store.State{1: store.Withheld, 2: store.Delivered, 3: store.Withheld, 4: store.Withheld}},
		{"with the last version on a delete", func(s *Subscription) { s.LastOnDelete = true }, []string{"system/Patient.rs?active=false"}, map[uint64]store.State{1: store.Withheld, 2: store.Delivered, 3: store.Withheld, 4: store.Withheld}},
		{"the newest is what counts where it is sent", func(s *Subscription) { s.Latest = true }, []string{"system/Patient.rs?active=false"}, map[uint64]store.State{1: store.Withheld, 2: store.Withheld, 3: store.Withheld, 4: store.Withheld}},
		{"the newest in sight", func(s *Subscription) { s.Latest = true }, []string{"system/Patient.rs?active=true"}, map[uint64]store.State{1: store.Delivered, 2: store.Delivered, 3: store.Delivered, 4: store.Delivered}},
		{"nothing", nil, nil, map[uint64]store.State{1: store.Withheld, 2: store.Withheld, 3: store.Withheld, 4: store.Withheld}},
	}
	for _, tt := range tests {
		for _, order := range []Order{Unordered, ByResource, BySubscription} {
			t.Run(fmt.Sprint(tt.name, " ", order), func(t *testing.T) {
				play(t, func(t *testing.T, r *rig) {
					r.subscribe("s", "https://a.example/hook", Active)
					r.configure["s"] = func(s *Subscription) {
						if s.Order = order; tt.change != nil {
							tt.change(s)
						}
						seeing(t, s, tt.scopes...)
					}
					r.owePut("s", fhir.Key{Tenant: fhir.DefaultTenant, Type: "Patient", ID: "p"}, versions)
					withheld := 0
					r.options.Observe = func(o Observation) {
						if o.Kind == Attempted && o.State == store.Withheld {
							withheld++
						}
					}
					r.start()
					synctest.Wait()
					r.halt()
					if diff := gocmp.Diff(tt.want, r.ends("s")); diff != "" {
						t.Error(diff)
					}
					sent, want := len(r.channel.sent()), 0
					for _, a := range r.attempts("s") {
						switch {
						case a.State == store.Delivered:
							want++
						case a.Try != 0 || a.Class != classScope || !strings.Contains(a.Reply, "the grant of a does not cover it"):
							t.Errorf("%+v", a)
						}
					}
					if sent != want || withheld != len(versions)-want || len(r.owed("s")) > 0 {
						t.Errorf("%d requests for %d that were delivered, %d counted, %d owed", sent, want, withheld, len(r.owed("s")))
					}
				})
			})
		}
	}
}

// A revocation during an outage: the next attempt of each is none, behind the open breaker too, and the lane's health
// stays what the endpoint made it.
func TestDeliverer_withholdsTheBacklogOfARevokedGrant(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.channel.set("https://a.example/hook", failing("refused"))
		r.subscribe("s", "https://a.example/hook", Active)
		revoked := false
		r.configure["s"] = func(s *Subscription) {
			if seeing(t, s, "system/Patient.rs"); revoked {
				s.Grant = s.Grant.Revoke(nil, noon)
				s.View = NewGrants(criteria.R4(), criteria.Env{}).View(s.Grant, fhir.DefaultTenant)
			}
		}
		r.owePut("s", fhir.Key{Tenant: fhir.DefaultTenant, Type: "Patient", ID: "p"}, slices.Repeat(versions[:2], 20))
		r.start()
		pass(time.Minute)
		if rec := r.record("s"); !rec.BreakerOpen || rec.Owed != 40 {
			t.Errorf("%+v", rec)
		}
		revoked = true
		r.subscribe("s", "https://a.example/hook", Active)
		tried := len(r.channel.sent())
		pass(8 * time.Hour)
		r.halt()
		if n := len(r.channel.sent()); n != tried || len(r.owed("s")) != 0 {
			t.Errorf("%d requests after the revocation, %d owed", n-tried, len(r.owed("s")))
		}
		for number, state := range r.ends("s") {
			if state != store.Withheld {
				t.Errorf("number %d ended as %s", number, state)
			}
		}
	})
}

// A version that can't be judged, for it is gone, is not sent either.
func TestDeliverer_whatCannotBeJudgedIsNotSent(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.subscribe("s", "https://a.example/hook", Active)
		r.configure["s"] = func(s *Subscription) { seeing(t, s, "system/Observation.rs") }
		r.owe("s", "o0") // a deletion, whose message needs no body
		r.start()
		synctest.Wait()
		r.halt()
		if a := r.attempts("s"); len(a) != 1 || a[0].State != store.Failed || a[0].Class != ClassPurged || len(r.channel.sent()) != 0 {
			t.Errorf("%+v", a)
		}
	})
}
