package subscription_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fhirhook/channel/resthook"
	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/storetest"
	"fhirhook/subscription"
)

// granted is a Subscription of somebody, and what the same person's searches found at each place.
type granted struct {
	id, trigger string
	criteria    string
	author      *auth.Principal
	found       map[fhir.Key]uint64 // now, with their versions
	want        map[string]int      // how often each version is to be notified of
}

// sight is what the endpoint lets the author of a request find (rest: call.sight), told once more.
func (g *granted) sight(t fhir.Type) search.Sight {
	a := g.author.Access()
	return func(r *fhir.Resource, env criteria.Env) bool {
		if t == "" || r.Key.Type == t {
			return a.Allows(auth.Search, r, env)
		}
		return a.Sees(r, env)
	}
}

// search is what the author finds now.
func (g *granted) search(t *rapid.T, e *search.Engine) map[fhir.Key]uint64 {
	head, query, _ := strings.Cut(g.criteria, "?")
	if types, several := strings.CutPrefix(head, "["); several {
		head, query = "", "_type="+strings.TrimSuffix(types, "]")+"&"+query
	}
	pairs, err := criteria.ParsePairs(strings.Trim(query, "&"))
	if err != nil {
		t.Fatal(err)
	}
	pairs = append(pairs, criteria.Pair{Name: "_count", Value: "1000"})
	page, err := e.Search(context.Background(), search.Request{Tenant: "t", Type: fhir.Type(head), Params: pairs, Sees: g.sight(fhir.Type(head))})
	if err != nil {
		t.Fatalf("%s: %v", g.criteria, err)
	}
	found := map[fhir.Key]uint64{}
	for _, r := range page.Matches {
		found[r.Key] = r.Version
	}
	return found
}

// after takes in a transaction that wrote some versions: what the author sees of them tells what is to be notified of.
func (g *granted) after(t *rapid.T, e *search.Engine, wrote []*fhir.Resource) {
	found := g.search(t, e)
	add := func(key fhir.Key, version uint64) { g.want[fmt.Sprintf("%s/%d", key, version)]++ }
	for _, w := range wrote {
		_, is := found[w.Key]
		_, was := g.found[w.Key]
		seen := !w.Deleted && g.author.Access().Allows(auth.Search, w, criteria.Env{})
		switch g.trigger {
		case "matches":
			if is {
				add(w.Key, w.Version)
			}
		case "leaves":
			if was && !is && (seen || w.Deleted) {
				add(w.Key, w.Version)
			}
		}
	}
	if g.trigger == "enters" { // whoever was written
		for key, version := range found {
			if _, was := g.found[key]; !was {
				add(key, version)
			}
		}
	}
	g.found = found
}

func drawGranted(t *rapid.T, id string) *granted {
	g := &granted{id: id, want: map[string]int{}, found: map[fhir.Key]uint64{}}
	g.trigger = rapid.SampledFrom([]string{"matches", "matches", "enters", "leaves"}).Draw(t, "trigger")
	g.criteria = rapid.SampledFrom([]string{
		"Patient", "Patient?gender=female", "Observation?status=final", "[Observation,Patient]", "Observation?patient=Patient/p1",
		"Observation?patient.gender=female", "Observation?patient.gender=female&status=final", "Patient?_has:Observation:patient:status=final",
		"Observation?patient._has:Observation:patient:status=amended", "Patient?organization.active=true",
		"Observation?patient.organization.active=true", "Observation?patient:Patient.gender:not=male",
	}).Draw(t, "criteria")
	scopes := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{
		"system/*.rs", "system/Patient.rs", "system/Patient.r", "system/Patient.s?gender=female", "system/Patient.rs?gender=male",
		"system/Observation.rs", "system/Observation.rs?status=final", "system/Observation.r?status=amended", "system/*.rs?_tag=x",
		"patient/*.rs", "patient/Observation.rs", "system/Organization.r", "system/Organization.rs?active=true", "system/Subscription.cruds",
	}), 0, 4, rapid.ID).Draw(t, "scopes")
	parsed, err := auth.ParseScopes(scopes...)
	if err != nil {
		t.Fatal(err)
	}
	p := auth.Principal{Issuer: "i", Subject: id, Tenant: "t", Scopes: parsed, Patient: "p1", Admin: rapid.IntRange(0, 9).Draw(t, "admin") == 0}
	g.author = p.Compile(criteria.R4())
	return g
}

func (g *granted) body() string {
	return `{"resourceType":"Subscription","criteria":"` + g.criteria + `","channel":{"type":"rest-hook","endpoint":"https://hook.example/"},
		"extension":[{"url":"https://fhirhook.dev/StructureDefinition/subscription-trigger","valueCode":"` + g.trigger + `"}]}`
}

// drawResource draws a version of a resource of a small world; "" is its deletion.
func drawResource(t *rapid.T) (key fhir.Key, body string) {
	key = fhir.Key{Tenant: "t"}
	of := rapid.SampledFrom([]string{"Patient", "Observation", "Observation", "Organization"}).Draw(t, "type")
	id := fmt.Sprint(strings.ToLower(of[:1]), rapid.IntRange(1, 2).Draw(t, "id"))
	key.Type, key.ID = fhir.Type(of), id
	if rapid.IntRange(0, 7).Draw(t, "deleted") == 0 {
		return key, ""
	}
	n := rapid.IntRange(1, 2).Draw(t, "to")
	tag := rapid.SampledFrom([]string{"", "", `"meta":{"tag":[{"code":"x"}]},`}).Draw(t, "tag")
	switch of {
	case "Patient":
		return key, fmt.Sprintf(`{"resourceType":"Patient",%s"gender":%q,"managingOrganization":{"reference":"Organization/o%d"}}`,
			tag, rapid.SampledFrom([]string{"male", "female"}).Draw(t, "gender"), n)
	case "Observation":
		return key, fmt.Sprintf(`{"resourceType":"Observation",%s"status":%q,"subject":{"reference":"Patient/p%d"}}`,
			tag, rapid.SampledFrom([]string{"final", "amended"}).Draw(t, "status"), n)
	default:
		return key, fmt.Sprintf(`{"resourceType":"Organization",%s"active":%v}`, tag, rapid.Bool().Draw(t, "active"))
	}
}

// Whatever the grants and the world are: what notifies is what the author's own search finds at that place, or begins to
// find, or finds no more, however far the Matcher lags, and on whatever way the criteria lead to other resources.
func TestMatcher_notifiesOfWhatTheAuthorsSearchFinds(t *testing.T) {
	table, err := subscription.NewDialectTable("kit", resthook.Dialects()...)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(struct{ testing.TB }{t}, func(t *rapid.T) {
			db := storetest.NewModel()
			engine := search.New(db, criteria.R4(), search.Options{})
			parse := subscription.Options{Definitions: criteria.R4(), Dialects: table, Grants: subscription.NewGrants(criteria.R4(), criteria.Env{})}
			var all []*granted
			write := func(tx store.Writer, key fhir.Key, body string, admit store.Admit) (*fhir.Resource, error) {
				if body == "" {
					saved, err := store.Delete(tx, key, "")
					return saved.Resource, err
				}
				in, err := fhir.Read([]byte(body), 0)
				if err != nil {
					return nil, err
				}
				saved, err := store.Update(tx, key, in, "", admit)
				if !saved.Changed {
					return nil, err
				}
				return saved.Resource, err
			}
			for i := range rapid.IntRange(1, 5).Draw(t, "subscriptions") {
				g := drawGranted(t, fmt.Sprintf("s%d", i))
				all = append(all, g)
				o := parse
				o.Author = g.author
				_, err := db.Update(context.Background(), store.Origin{}, func(tx store.Writer) error {
					_, err := write(tx, fhir.Key{Tenant: "t", Type: fhir.Subscription, ID: g.id}, g.body(), subscription.NewGate(o).Admit)
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			for range rapid.IntRange(1, 25).Draw(t, "transactions") {
				bodies := map[fhir.Key]string{}
				for range rapid.IntRange(1, 3).Draw(t, "changes") {
					key, body := drawResource(t)
					bodies[key] = body
				}
				keys := slices.SortedFunc(maps.Keys(bodies), func(a, b fhir.Key) int { return strings.Compare(a.String(), b.String()) })
				var wrote []*fhir.Resource
				_, err := db.Update(context.Background(), store.Origin{}, func(tx store.Writer) error {
					wrote = nil
					for _, key := range keys {
						was, err := tx.Read(key, tx.Last())
						if bodies[key] == "" && (err != nil || was.Deleted) {
							continue // there is nothing to delete
						}
						r, err := write(tx, key, bodies[key], nil)
						if err != nil {
							return err
						}
						if r != nil {
							wrote = append(wrote, r)
						}
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				for _, g := range all {
					g.after(t, engine, wrote)
				}
			}
			m := subscription.NewMatcher(db, subscription.MatcherOptions{Parse: parse, Resolve: engine.Resolver, Referrers: engine.Referrers})
			ctx, stop := context.WithCancel(context.Background())
			done := make(chan error)
			go func() { done <- m.Run(ctx) }() // until stop
			time.Sleep(time.Minute)            // of the bubble: nothing is left to do long before
			synctest.Wait()
			stop()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			for _, g := range all {
				got := map[string]int{}
				err := db.Queue().View(context.Background(), func(q store.QueueReader) error {
					for n, err := range q.Owed(store.Lane{Tenant: "t", Subscription: g.id}, 0) {
						if err != nil {
							return err
						}
						got[fmt.Sprintf("%s/%d", n.Focus, n.Version)]++
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(g.want, got); diff != "" {
					t.Fatalf("%s %s as %q (-search +matcher)\n%s", g.trigger, g.criteria, g.author.Scopes, diff)
				}
			}
		})
	})
}
