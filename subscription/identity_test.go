package subscription

import (
	"testing"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

func TestID_namesOneNotification(t *testing.T) {
	base := store.Notification{
		Lane: store.Lane{Tenant: "t", Subscription: "s"}, Number: 7, Version: 3,
		Focus: fhir.Key{Tenant: "t", Type: "Patient", ID: "p"}, Interaction: fhir.Update,
	}
	want := ID("epoch", base)
	if pinned := "g2obnydw26paa3gfsw43e7mokks5ft5w"; want != pinned {
		t.Errorf("the identity is %s and was %s: receivers would take what is sent again for something new", want, pinned)
	}
	if !fhir.ValidID(want) || len(want) > 64 {
		t.Errorf("%q can't stand in a header, a URL and an id", want)
	}
	for _, c := range want {
		if c == '.' {
			t.Errorf("%q holds a dot", want)
		}
	}
	same := base
	same.Number, same.Tries, same.Updated = 9, 4, noon
	if got := ID("epoch", same); got != want {
		t.Errorf("the identity changed with what does not belong to it: %s", got)
	}
	seen := map[string]string{want: "base"}
	for name, change := range map[string]func(*store.Notification){
		"tenant":       func(n *store.Notification) { n.Lane.Tenant = "u" },
		"subscription": func(n *store.Notification) { n.Lane.Subscription = "r" },
		"type":         func(n *store.Notification) { n.Focus.Type = "Person" },
		"id":           func(n *store.Notification) { n.Focus.ID = "q" },
		"version":      func(n *store.Notification) { n.Version = 4 },
		"cause":        func(n *store.Notification) { n.Cause = "linked" },
		"shifted":      func(n *store.Notification) { n.Lane.Tenant, n.Lane.Subscription = "ts", "" },
	} {
		n := base
		change(&n)
		id := ID("epoch", n)
		if other, ok := seen[id]; ok {
			t.Errorf("%s and %s have one identity", name, other)
		}
		seen[id] = name
	}
	if _, ok := seen[ID("another", base)]; ok {
		t.Error("two stores share an identity")
	}
}
