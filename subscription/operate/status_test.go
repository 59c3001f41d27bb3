package operate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// standings follows the pages of $status, as "id status owed".
func (w *world) standings(query string) (rows []string, pages int) {
	w.t.Helper()
	all, pages := w.list("Subscription/$status" + query)
	for _, p := range all {
		rows = append(rows, strings.TrimPrefix(p.get("subscription"), "Subscription/")+" "+p.get("status")+" "+p.get("owed"))
	}
	return rows, pages
}

func TestStatus_tellsBacklogAndHealth(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.subscribe("a", "Patient?gender=male")
		w.subscribe("b", "Patient")
		w.put("Subscription", "c", off)
		w.endpoint.set(refuse)
		w.patients(2)
		if got, _ := w.standings(""); !slices.Equal(got, []string{"a active 1", "b active 2", "c off 0"}) {
			t.Errorf("%q", got)
		}
		one, _ := w.list("Subscription/b/$status")
		if len(one) != 1 {
			t.Fatalf("%d entries of one Subscription", len(one))
		}
		b := one[0]
		for name, want := range map[string]string{
			"type": "query-status", "events-since-subscription-start": "2", "owed": "2", "failures": "2", "dialect": "kit", "error": "",
		} {
			if got := b.get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if since, next := b.get("failing-since"), b.get("next-try"); since == "" || next <= since || b.get("next-probe") != "" {
			t.Errorf("failing since %q, next try %q", since, next)
		}
		time.Sleep(time.Hour) // ten failures open the breaker
		one, _ = w.list("Subscription/b/$status")
		if b := one[0]; b.get("status") != "error" || b.get("next-probe") == "" {
			t.Errorf("after an hour of failures: %+v", b)
		}
		if body := string(w.must(200, "GET", "Subscription/b/$status", "").body); !strings.Contains(body, `"name":"error","valueCodeableConcept":{"text":"`) {
			t.Errorf("no error is told: %s", body)
		}
		w.endpoint.set(nil)
		time.Sleep(time.Hour)
		if got, _ := w.standings("?id=b"); !slices.Equal(got, []string{"b active 0"}) {
			t.Errorf("%q", got)
		}
		w.must(204, "DELETE", "Subscription/a", "")
		w.must(410, "GET", "Subscription/a/$status", "")
	})
}

func TestStatus_isPagedAndFiltered(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var want []string
		for i := range 7 {
			id := fmt.Sprintf("s%d", i)
			w.subscribe(id, "Patient")
			want = append(want, id+" active 0")
		}
		w.put("Subscription", "t", off)
		for query, n := range map[string]int{"": 1, "?_count=3": 3, "?_count=8": 1, "?_count=1": 8} {
			got, pages := w.standings(query)
			if !slices.Equal(got, append(slices.Clone(want), "t off 0")) || pages != n {
				t.Errorf("%s: %q in %d pages, want %d", query, got, pages, n)
			}
		}
		if got, _ := w.standings("?status=off"); !slices.Equal(got, []string{"t off 0"}) {
			t.Errorf("%q", got)
		}
		if got, pages := w.standings("?id=s3&id=s1&id=s3&id=nobody&_count=1"); !slices.Equal(got, []string{want[1], want[3]}) || pages > 3 {
			t.Errorf("%q in %d pages", got, pages)
		}
		for _, bad := range []string{"?status=requested", "?id=a/b", "?_count=0", "?_cursor=%25", "?_cursor=Lw", "?nonsense=1"} {
			w.must(400, "GET", "Subscription/$status"+bad, "")
		}
		w.must(400, "GET", "Subscription/s1/$status?id=s1", "")
		w.must(404, "GET", "Subscription/nobody/$status", "")
	})
}
