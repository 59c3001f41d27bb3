package bolt

import (
	"encoding/hex"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// TestAttempt_rowsFromBeforeCausesWereKeptAreRead holds the bytes of a row as they were written until then.
func TestAttempt_rowsFromBeforeCausesWereKeptAreRead(t *testing.T) {
	t.Parallel()
	key := unhex(t, "0000000000000004988fcf05453854c00000")
	row := unhex(t, "0182020b4f62736572766174696f6e026f33206336367a63686f64726268727271627374797836676a337637616f717a78"+
		"6b6c010180ecb80bee070a7374617475732d35787809747279206c6174657201b6a3ecbe8267")
	lane := store.Lane{Tenant: "default", Subscription: "labs"}
	want := store.Attempt{
		Lane: lane, Number: 4, ID: "c66zchodrbhrrqbstyx6gj3v7aoqzxkl", Focus: fhir.Key{Tenant: "default", Type: "Observation", ID: "o3"},
		Version: 2, Interaction: fhir.Update, Try: 1, Time: someTime, Duration: 12 * time.Millisecond, Status: 503,
		Class: "status-5xx", Reply: "try later", State: store.Owed, Next: someTime.Add(time.Minute),
	}
	got, err := decodeAttempt(lane, key, row)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}

	for name, row := range map[string][]byte{
		"unknown encoding": append([]byte{3}, row[1:]...),
		"empty cause":      append(append([]byte{causedEncoding}, row[1:]...), 0),
		"missing cause":    append([]byte{causedEncoding}, row[1:]...),
		"cause too much":   append(append([]byte{}, row...), 1, 'c'),
	} {
		if _, err := decodeAttempt(lane, key, row); err == nil {
			t.Errorf("%s: the row is accepted", name)
		}
	}
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
