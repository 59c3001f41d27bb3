package bench

import (
	"bytes"
	"strings"
	"testing"

	"fhirhook/fhir"
	"fhirhook/fhir/validate"
)

func TestStoredRow_isAResourceOfItsOwn(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	for i := range 2 * householdSize * revisedEach {
		first, second := storedRow(i, false), storedRow(i, true)
		if first == second {
			t.Errorf("number %d: the second version is as the first", i)
		}
		for _, text := range []string{first, second} {
			in, err := fhir.Read([]byte(text), 0)
			if err != nil {
				t.Fatalf("number %d: %v\n%s", i, err, text)
			}
			if problems := validate.Structure.Validate(in); len(problems) > 0 {
				t.Errorf("number %d: %v\n%s", i, problems, text)
			}
			if was, ok := seen[in.ID]; ok && was != i {
				t.Errorf("numbers %d and %d have one id", was, i)
			}
			seen[in.ID] = i
		}
	}
}

func TestStoredID_isNeverTheSame(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for i := range 100_000 {
		seen[storedID(i)] = true
	}
	if len(seen) != 100_000 {
		t.Errorf("%d ids of 100,000 numbers", len(seen))
	}
}

func TestWriteStored_bringsEachResourceAndSomeTwice(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	writeStored(&out, 100, 200)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 109 { // 110, 121, … 198
		t.Errorf("%d lines", len(lines))
	}
	if want := storedRow(198, true); lines[108] != want {
		t.Errorf("the last is %s, want %s", lines[108], want)
	}
}
