package bench_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"fhirhook/cmd/internal/bench"
	"fhirhook/fhir/tape"
)

func TestBody_isAsLongAsAsked(t *testing.T) {
	t.Parallel()
	for _, size := range []int{128, 129, 500, 1200, 1201, 65_536} {
		for _, wanted := range []bool{true, false} {
			body, err := bench.Body(size, wanted)
			if err != nil || len(body) != size {
				t.Errorf("size %d: %d bytes, %v", size, len(body), err)
			}
			if _, err := tape.Parse(body, 0); err != nil {
				t.Errorf("size %d: %v", size, err)
			}
			if bytes.Contains(body, []byte(`"status":"final"`)) != wanted {
				t.Errorf("size %d: %s", size, body)
			}
		}
	}
	if _, err := bench.Body(10, true); err == nil {
		t.Error("a body of 10 bytes is made")
	}
}

func TestKnobs_everyProblemIsNamed(t *testing.T) {
	t.Parallel()
	k := bench.Knobs{Writers: 0, Subscriptions: 2, FanOut: 3, Match: 1.5, Body: 5, Failures: 1, Delay: -1, Hanging: 9, Stored: -1, Owing: 7, Lanes: 3}
	err := k.Check()
	if err == nil {
		t.Fatal("no problem is seen")
	}
	for _, want := range []string{"--writers", "--fan-out 3", "--match 1.5", "--body", "--receiver-failures 1", "--receiver-delay", "--hanging 9", "--stored -1", "--owed 7", "--lanes 3"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not named in %v", want, err)
		}
	}
	if err := bench.DefaultKnobs().Check(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
}

func TestKnobs_flagsAndAssignmentsMeanTheSame(t *testing.T) {
	t.Parallel()
	want := bench.Knobs{Writers: 8, Subscriptions: 100, FanOut: 10, Match: 0.25, Body: 4096, Delay: 50e6, Failures: 0.1, Hanging: 1, Stored: 1000, Owing: 500, Lanes: 50, Data: "/somewhere"}
	got, flags := bench.DefaultKnobs(), want.Flags(bench.DefaultKnobs())
	for i := 0; i < len(flags); i += 2 {
		var err error
		if got, err = got.With(strings.TrimPrefix(flags[i], "--") + "=" + flags[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if got != want {
		t.Errorf("%v gives %+v, want %+v", flags, got, want)
	}
	for _, bad := range []string{"writers", "writers=many", "colour=red"} {
		if _, err := got.With(bad); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func TestStandards_areGoodRunsThatThePageNames(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, s := range bench.Standards() {
		if command := "`fhirhook " + strings.Join(s.Options().Args(), " ") + "`"; !bytes.Contains(page, []byte("| "+s.Name+" |")) || !bytes.Contains(page, []byte(command)) {
			t.Errorf("docs/performance.md has no row for %s with %s", s.Name, command)
		}
		if err := s.Options().Check(); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
		if names[s.Name] || len(s.Targets) == 0 {
			t.Errorf("%s: a name of its own, and targets", s.Name)
		}
		if prepared := s.Options().Knobs; s.Scale != (prepared.Stored > 0 || prepared.Owing > 0) {
			t.Errorf("%s: what has to be prepared is a run of scale", s.Name)
		}
		names[s.Name] = true
	}
}
