package subscription

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// expressions are FHIRPath conditions with their meaning told once more; prev is nil where there is none.
var expressions = map[string]func(now, prev map[string]string) bool{
	"": func(map[string]string, map[string]string) bool { return true },
	"%current.active and %previous.active = false": func(now, prev map[string]string) bool {
		return now["active"] == "true" && prev["active"] == "false"
	},
	"%previous.empty() or %previous.gender != %current.gender": func(now, prev map[string]string) bool {
		return prev == nil || prev["gender"] != now["gender"]
	},
	"gender = 'male' and %resource.active": func(now, _ map[string]string) bool {
		return now["gender"] == "male" && now["active"] == "true"
	},
	"1 / iif(active, 1, 0) = 1": func(now, _ map[string]string) bool { return now["active"] == "true" }, // else an error
}

// members are the plain members of a resource.
func members(r *fhir.Resource) map[string]string {
	if r == nil {
		return nil
	}
	all := map[string]string{}
	for name, v := range r.Doc().Root().Members() {
		all[name] = v.Text()
	}
	return all
}

// judge is the meaning of the four triggers, told from the two states of a resource (nil: it isn't there).
func judge(code string, criteriaFind func(*fhir.Resource) bool, followed []string, before, after *fhir.Resource) bool {
	was, is := before != nil && criteriaFind(before), after != nil && criteriaFind(after)
	switch code {
	case "enters":
		return is && !was
	case "leaves":
		return was && !is
	case "changes":
		if !is || !was {
			return false
		}
		for _, name := range followed {
			if members(before)[name] != members(after)[name] {
				return true
			}
		}
		return false
	default:
		if after == nil {
			return was
		}
		return is
	}
}

// naiveTriggers folds the log into the state of each resource, and judges each row by the state before it and
// behind it.
func (w *world) naiveTriggers(o Options) map[store.Lane][]verdict {
	w.t.Helper()
	o.Policy = nil
	all := map[store.Lane][]verdict{}
	state := map[fhir.Key]*fhir.Resource{}
	subs := map[store.Lane]*Subscription{}
	err := w.db.View(context.Background(), func(r store.Reader) error {
		for c, err := range r.Changes(0) {
			if err != nil {
				return err
			}
			k := c.Resource.Key
			before, after := state[k], c.Resource
			if after.Deleted {
				after = nil
			}
			state[k] = after
			if k.Type == fhir.Subscription {
				lane := store.Lane{Tenant: k.Tenant, Subscription: k.ID}
				delete(subs, lane)
				if after != nil {
					if subs[lane], err = Parse(k, after.Version, after.Doc(), o); err != nil {
						return err
					}
				}
				continue
			}
			shown := after
			if shown == nil {
				shown = before
			}
			for lane, s := range subs {
				if lane.Tenant != k.Tenant || s.Status == Off || c.Origin.Server || !s.Interactions.Has(c.Interaction) {
					continue
				}
				var code string
				for name, t := range triggers {
					if t == s.Trigger {
						code = name
					}
				}
				if s.Events != nil {
					names, err := called(s.Names, notification(lane, c), func(v uint64) (*fhir.Resource, error) { return r.Version(k, v) })
					if err != nil {
						return err
					}
					if !slices.ContainsFunc(s.Events.texts, func(p string) bool { return covers(p, names, s.Criteria == "[*]", k.Type) }) {
						continue
					}
				}
				find := func(r *fhir.Resource) bool { return s.Query.Match(r, criteria.Env{Now: c.Resource.Updated}) }
				if judge(code, find, s.Parameters, before, after) && expressions[s.Expression](members(shown), members(before)) {
					all[lane] = append(all[lane], verdict{uint64(len(all[lane]) + 1), k.String(), c.Resource.Version, c.Interaction})
				}
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	return all
}

func drawTriggered(rt *rapid.T) string {
	q := rapid.SampledFrom([]string{
		"Patient", "Patient?gender=male", "Patient?gender=male,other&active=true", "Patient?active=true",
		"Patient?gender:not=female", "Patient?_id=2", "[Basic,Patient]", "[*]", "Patient?birthdate=ge2012",
	}).Draw(rt, "criteria")
	var ee []string
	switch code := rapid.SampledFrom([]string{"", "matches", "enters", "leaves", "changes"}).Draw(rt, "trigger"); code {
	case "":
	case "changes":
		ee = append(ee, trigger(code), follow("_id"))
		if !strings.HasPrefix(q, "[") && rapid.Bool().Draw(rt, "more") {
			ee = append(ee, follow(rapid.SampledFrom([]string{"gender", "active"}).Draw(rt, "followed")))
		}
	default:
		ee = append(ee, trigger(code))
	}
	if patterns := rapid.SampledFrom([]string{
		"", "", "", "*", "patient.*", "Patient.Updated", "*.updated", "patient.updated *.deleted", "*.created user.updated", "patient.updated ping",
	}).Draw(rt, "events"); patterns != "" {
		ee = append(append(ee, dialectOf("healthsync")), events(patterns)...)
	}
	update := rapid.Bool().Draw(rt, "named")
	for _, i := range []string{"create", "delete", "update"} {
		if update && (i == "update" || rapid.Bool().Draw(rt, i)) {
			ee = append(ee, interaction(i))
		}
	}
	if x := rapid.SampledFrom([]string{
		"", "", "%current.active and %previous.active = false", "%previous.empty() or %previous.gender != %current.gender",
		"gender = 'male' and %resource.active", "1 / iif(active, 1, 0) = 1",
	}).Draw(rt, "expression"); x != "" {
		ee = append(ee, fhirPathCriteria(x))
	}
	s := on(q, ee...)
	if rapid.IntRange(0, 5).Draw(rt, "off") == 0 {
		s = strings.Replace(s, `"criteria"`, `"status":"off","criteria"`, 1)
	}
	return s
}

// transaction writes several changes at once, maybe of one resource.
func (d *drawn) transaction() {
	rt := d.rt
	n := rapid.IntRange(1, 4).Draw(rt, "changes")
	type change struct {
		key  fhir.Key
		json string
	}
	changes := make([]change, n)
	for i := range changes {
		c := change{key: fhir.Key{Tenant: "a", Type: "Patient", ID: rapid.SampledFrom([]string{"1", "2", "3"}).Draw(rt, "id")}}
		switch rapid.IntRange(0, 7).Draw(rt, "what") {
		case 0, 1:
			c.json = "" // deleted
		case 2:
			c.key.Type, c.json = "Basic", fmt.Sprintf(`{"resourceType":"Basic","n":%d}`, rapid.IntRange(0, 3).Draw(rt, "n"))
		case 3:
			c.key.Type, c.json = fhir.Subscription, drawTriggered(rt)
		default:
			c.json = drawPatient(rt)
		}
		changes[i] = c
	}
	origin := store.Origin{Server: rapid.IntRange(0, 9).Draw(rt, "server") == 0}
	_, err := d.db.Update(context.Background(), origin, func(tx store.Writer) error {
		for _, c := range changes {
			if c.json == "" {
				if _, err := store.Delete(tx, c.key, ""); err != nil {
					return err
				}
				continue
			}
			in, err := fhir.Read([]byte(c.json), 0)
			if err != nil {
				return err
			}
			if _, err := store.Update(tx, c.key, in, "", d.gate.Admit); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		rt.Fatalf("%v", err)
	}
}

// The triggers mean what the fold of the log says, whatever the history is, and whenever the Matcher is
// stopped.
func TestMatcher_triggersAgreeWithTheNaiveFold(t *testing.T) {
	o := testOptions(t)
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(struct{ testing.TB }{t}, func(rt *rapid.T) { // a bubble has no deadline to ask for
			d := &drawn{world: newWorld(rt, o), rt: rt, o: o}
			for range rapid.IntRange(0, 3).Draw(rt, "subscriptions") {
				d.world.write("a", fhir.Subscription, rapid.SampledFrom([]string{"1", "2", "3", "4"}).Draw(rt, "id"), drawTriggered(rt))
			}
			for range rapid.IntRange(1, 30).Draw(rt, "transactions") {
				d.transaction()
				for range rapid.IntRange(0, 2).Draw(rt, "steps") {
					d.step(rapid.IntRange(0, 2).Draw(rt, "restart") == 0)
				}
			}
			for d.step(rapid.IntRange(0, 4).Draw(rt, "restart") == 0) {
			}
			if diff := gocmp.Diff(d.naiveTriggers(o), d.verdicts()); diff != "" {
				rt.Fatalf("(-naive +matcher)\n%s", diff)
			}
		})
	})
}
