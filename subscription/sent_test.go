package subscription

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fhirhook/channel"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/fhir/tape"
)

// DESIGN 4.2, invariants 3 and 4: deliver-latest-version sends the newest instead; identity, number, version and
// interaction stay those of what is owed.
func TestDeliverer_latestVersionIsSentUnderTheIdentityOfWhatIsOwed(t *testing.T) {
	one, two, three := map[string]any{"language": "de"}, map[string]any{"language": "fr"}, map[string]any{"language": "it"}
	tests := []struct {
		name     string
		versions []map[string]any
		want     []int // which version each number shows; 0: no body
	}{
		{"the newest for each", []map[string]any{one, two, three}, []int{3, 3, 3}},
		{"deleted meanwhile: the version that it had", []map[string]any{one, two, nil}, []int{2, 2, 0}},
		{"and there again", []map[string]any{one, nil, three}, []int{3, 0, 3}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			play(t, func(t *testing.T, r *rig) {
				r.subscribe("s", "https://a.example/hook", Active)
				r.configure["s"] = func(s *Subscription) { s.Latest = true }
				written := r.owePut("s", fhir.Key{Tenant: fhir.DefaultTenant, Type: "Patient", ID: "p"}, tt.versions)
				r.start()
				synctest.Wait()
				r.halt()
				seen := 0
				for _, s := range r.channel.sent() {
					seen++
					var want []byte
					if v := tt.want[s.m.Sequence-1]; v > 0 {
						want = written[v-1].JSON
					}
					if !bytes.Equal(s.m.Body, want) || s.m.Version != fmt.Sprint(s.m.Sequence) || s.m.ID != fmt.Sprintf("%s-s-%d", r.db.Epoch()[:4], s.m.Sequence) {
						t.Errorf("number %d (version %s, %s): %s, want %s", s.m.Sequence, s.m.Version, s.m.ID, s.m.Body, want)
					}
				}
				if seen != len(tt.versions) {
					t.Errorf("%d requests for %d changes", seen, len(tt.versions))
				}
			})
		})
	}
}

// What is newest is asked anew at each attempt.
func TestDeliverer_latestVersionIsTheOneAtTheAttempt(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.subscribe("s", "https://a.example/hook", Active)
		r.configure["s"] = func(s *Subscription) { s.Latest = true }
		focus := fhir.Key{Tenant: fhir.DefaultTenant, Type: "Patient", ID: "p"}
		first := r.owePut("s", focus, []map[string]any{{"language": "de"}})[0]
		r.channel.set("https://a.example/hook", failing("refused"))
		r.start()
		synctest.Wait()
		second := r.put(focus, map[string]any{"language": "fr"})
		r.channel.set("https://a.example/hook", nil)
		pass(2 * time.Second)
		r.halt()
		all := r.channel.sent()
		if len(all) != 2 || !bytes.Equal(all[0].m.Body, first.JSON) || !bytes.Equal(all[1].m.Body, second.JSON) || all[0].m.ID != all[1].m.ID || all[1].m.Version != "1" {
			t.Errorf("%+v", all)
		}
	})
}

func TestDeliverer_latestVersionThatIsPurgedFailsAlone(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.subscribe("s", "https://a.example/hook", Active)
		r.configure["s"] = func(s *Subscription) { s.Latest = true }
		r.updateQueue(func(w store.QueueWriter) error {
			n := store.Notification{Lane: laneOf("s"), Number: 1, Version: 1, Interaction: fhir.Create, Updated: time.Now(), Focus: fhir.Key{Tenant: fhir.DefaultTenant, Type: "Patient", ID: "gone"}}
			if err := w.PutLane(store.LaneRecord{Lane: laneOf("s"), Next: 2, Head: 1}); err != nil {
				return err
			}
			return w.Owe(n)
		})
		r.start()
		synctest.Wait()
		r.halt()
		if a := r.attempts("s"); len(a) != 1 || a[0].State != store.Failed || a[0].Class != ClassPurged {
			t.Errorf("%+v", a)
		}
	})
}

func TestDeliverer_versionIDsAreStrippedFromTheBodyAlone(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.subscribe("s", "https://a.example/hook", Active)
		r.configure["s"] = func(s *Subscription) { s.Unversioned = true }
		body := map[string]any{"subject": map[string]any{"reference": "Patient/p/_history/3"}, "valueDecimal": json.Number("1.50")}
		v := r.owePut("s", fhir.Key{Tenant: fhir.DefaultTenant, Type: "Observation", ID: "o"}, []map[string]any{body})[0]
		r.start()
		synctest.Wait()
		r.halt()
		all := r.channel.sent()
		want := bytes.Replace(v.JSON, []byte(`"versionId":"1",`), nil, 1)
		if len(all) != 1 || !bytes.Equal(all[0].m.Body, want) || bytes.Equal(want, v.JSON) || all[0].m.Version != "1" {
			t.Errorf("%+v, want %s", all, want)
		}
	})
}

func TestUnversioned_leavesEveryOtherToken(t *testing.T) {
	for in, want := range map[string]string{
		`{"meta":{"versionId":"1","lastUpdated":"x"},"a":1.50}`:        `{"meta":{"lastUpdated":"x"},"a":1.50}`,
		`{"meta":{"lastUpdated":"x","versionId":"1"}}`:                 `{"meta":{"lastUpdated":"x"}}`,
		`{"meta":{"a":"1","versionId":"1","b":"\u00e9"}}`:              `{"meta":{"a":"1","b":"\u00e9"}}`,
		`{"id":"x","meta":{"versionId":"1"},"z":[{"versionId":"2"}]}`:  `{"id":"x","z":[{"versionId":"2"}]}`,
		`{"meta":{"versionId":"1"}}`:                                   `{}`,
		`{"z":1,"meta":{"versionId":"1"}}`:                             `{"z":1}`,
		`{"meta":{"tag":[]},"contained":[{"meta":{"versionId":"7"}}]}`: `{"meta":{"tag":[]},"contained":[{"meta":{"versionId":"7"}}]}`,
		`{"a":1}`:     `{"a":1}`,
		`{"meta":[]}`: `{"meta":[]}`,
		`"redacted"`:  `"redacted"`,
	} {
		if got := string(unversioned(document(t, in))); got != want {
			t.Errorf("%s became %s, want %s", in, got, want)
		}
	}
}

// Without the member the document says the same as one that never had it.
func TestUnversioned_isJSONWithoutTheMember(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		members := rapid.Permutation([]string{`"versionId":"9"`, `"lastUpdated":"x"`, `"profile":["p"]`, `"tag":[{"code":"t"}]`}).Draw(rt, "meta")
		members = members[:rapid.IntRange(1, 4).Draw(rt, "few")]
		if !slices.Contains(members, `"versionId":"9"`) {
			members = append(members, `"versionId":"9"`)
		}
		outer := rapid.Permutation([]string{`"id":"x"`, `"meta":{` + join(members) + `}`, `"a":[1,2]`}).Draw(rt, "members")
		doc, err := tape.Parse([]byte("{"+join(outer)+"}"), 0)
		if err != nil {
			rt.Fatal(err)
		}
		var got, want map[string]any
		if err := json.Unmarshal(unversioned(doc), &got); err != nil {
			rt.Fatalf("%s: %v", doc.Bytes(), err)
		}
		_ = json.Unmarshal(doc.Bytes(), &want) // it was read before
		meta, _ := want["meta"].(map[string]any)
		if delete(meta, "versionId"); len(meta) == 0 {
			delete(want, "meta")
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			rt.Fatal(diff)
		}
	})
}

func join(parts []string) string {
	var b []byte
	for i, p := range parts {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, p...)
	}
	return string(b)
}

func TestDeliverer_eventNameOfTheSubscriptionStandsOnTheWire(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.subscribe("s", "https://a.example/hook", Active)
		r.configure["s"] = func(s *Subscription) { s.EventName = "Result ready" }
		r.owePut("s", fhir.Key{Tenant: fhir.DefaultTenant, Type: "Observation", ID: "o"}, []map[string]any{{}, nil})
		r.start()
		synctest.Wait()
		r.halt()
		all := r.channel.sent()
		if len(all) != 2 || all[0].m.Event != "Result ready" || all[1].m.Event != "Result ready" {
			t.Errorf("%+v", all)
		}
	})
}

// DESIGN 4.3: 3xx is recorded as not followed.
func TestNoted_redirectsThatCountAsSuccessAreRecordedAsNotFollowed(t *testing.T) {
	const note = "302 counts as success here; the redirect was not followed"
	for _, tt := range []struct{ note, body, want string }{
		{note, "", note},
		{note, "over", note + ": over"},
		{"", "ok", "ok"},
	} {
		if got := noted(channel.Reply{Note: tt.note, Body: []byte(tt.body)}); got != tt.want {
			t.Errorf("%q and %q are recorded as %q", tt.note, tt.body, got)
		}
	}
}

// Medplum's audit destination log: a line for each attempt, of which no level filters some out.
func TestDeliverer_auditLogHasALineForEachAttempt(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		var log bytes.Buffer
		r.options.Log = slog.New(slog.NewJSONHandler(&log, nil))
		for _, id := range []string{"audited", "silent"} {
			r.subscribe(id, "https://a.example/"+id+"?token=geheim", Active)
			r.configure[id] = func(s *Subscription) {
				s.Audit.Log = id == "audited"
				s.Ladder = Ladder{Waits: []time.Duration{time.Second, time.Second}}
			}
			r.channel.set("https://a.example/"+id+"?token=geheim", failing("refused"))
			r.owePut(id, fhir.Key{Tenant: fhir.DefaultTenant, Type: "Observation", ID: id}, []map[string]any{{"note": "geheim"}})
		}
		r.start()
		pass(1500 * time.Millisecond)
		r.channel.set("https://a.example/audited?token=geheim", nil)
		pass(10 * time.Second)
		r.owe("audited", "again")
		r.channel.set("https://a.example/audited?token=geheim", failing("refused"))
		r.d.Wake(laneOf("audited"))
		pass(10 * time.Second)
		r.halt()
		var got []string
		for line := range bytes.Lines(log.Bytes()) {
			var l map[string]any
			if err := json.Unmarshal(line, &l); err != nil {
				t.Fatal(err)
			}
			if l["msg"] == "delivery.audit" {
				got = append(got, fmt.Sprint(l["level"], " ", l["outcome"], " ", l["agent"], " ", l["entity"], " ", l["try"], " ", l["state"]))
			}
		}
		const a = "Subscription/audited Observation/audited/_history/1 "
		const b = "Subscription/audited Observation/again/_history/2 "
		want := []string{
			"INFO 4 " + a + "1 owed", "INFO 4 " + a + "2 owed", "INFO 0 " + a + "3 delivered",
			"INFO 4 " + b + "1 owed", "INFO 4 " + b + "2 owed", "INFO 8 " + b + "3 failed",
		}
		if diff := gocmp.Diff(want, got); diff != "" || bytes.Contains(log.Bytes(), []byte("geheim")) {
			t.Errorf("(-want +got)\n%s\n%s", diff, log.Bytes())
		}
	})
}
