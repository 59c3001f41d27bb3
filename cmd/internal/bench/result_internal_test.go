package bench

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// at is a moment of a test's slice, which begins at 1 s, in Unix nanoseconds.
func at(d time.Duration) int64 { return int64(time.Second + d) }

func acked(id string, due, answered time.Duration, quiet bool) ack {
	return ack{ID: id, Due: at(due), At: at(answered), Took: answered - due, Quiet: quiet}
}

func TestJudge_countsEachWritesOwnNotifications(t *testing.T) {
	t.Parallel()
	acks := []ack{
		acked("a", 0, 10*time.Millisecond, false),
		acked("b", 10*time.Millisecond, 30*time.Millisecond, false),
		acked("quiet", 20*time.Millisecond, 40*time.Millisecond, true),
	}
	came := receipts{Again: 2, Refused: 1, First: []receipt{
		{"a", at(15 * time.Millisecond)},
		{"a", at(5 * time.Millisecond)},      // before the writer had its answer
		{"a", at(20 * time.Millisecond)},     // one more than is owed: it must not stand in for b's
		{"b", at(130 * time.Millisecond)},    // and b's second never came
		{"quiet", at(50 * time.Millisecond)}, // owed to nobody
		{"other", at(60 * time.Millisecond)}, // of no write
	}}
	r := judge(at(0), acks, came, 2)
	if r.Writes != 3 || r.Owed != 4 || r.Notifications != 3 || r.Lost != 1 || r.Duplicated != 2 || r.Refused != 1 || r.Unasked != 3 || r.Early != 1 {
		t.Errorf("got %+v", r)
	}
	if r.Commit.Max() != 100*time.Millisecond || r.FromDue.Max() != 120*time.Millisecond || r.Write.Max() != 20*time.Millisecond {
		t.Errorf("latest: from commit %v, from due %v, write %v", r.Commit.Max(), r.FromDue.Max(), r.Write.Max())
	}
	if r.Commit.Quantile(0) != 0 {
		t.Errorf("a notification that came before the answer has latency %v", r.Commit.Quantile(0))
	}
	if r.Seconds != 0.04 || r.Whole != 0.13 {
		t.Errorf("writes took %v s, everything %v s", r.Seconds, r.Whole)
	}
	if got := r.NotificationsPerSecond(); got < 23 || got > 24 {
		t.Errorf("%v notifications/s", got)
	}
}

func TestJudge_nothingCame(t *testing.T) {
	t.Parallel()
	r := judge(at(0), nil, receipts{}, 1)
	if r.WritesPerSecond() != 0 || r.NotificationsPerSecond() != 0 || r.Lost != 0 || len(r.Series) == 0 {
		t.Errorf("got %+v", r)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Errorf("no figure may be NaN: %v", err)
	}
}

// compared is a report of two arms with two slices each.
func compared(nameB string) *Report {
	slice := func(writes int, cpu float64) Result {
		var acks []ack
		var came receipts
		for i := range writes {
			id := string(rune('a' + i))
			acks = append(acks, acked(id, 0, time.Second, false))
			came.First = append(came.First, receipt{id, at(time.Second + time.Millisecond)})
		}
		r := judge(at(0), acks, came, 1)
		r.Use = &Use{CPU: cpu, Growth: 16 << 20}
		return r
	}
	r := &Report{Command: "fhirhook bench --compare", Machine: "a machine", Arms: []ArmReport{
		{Name: "server", knobs: DefaultKnobs(), Knobs: DefaultKnobs().Map(), Slices: []Result{slice(4, 8), slice(9, 9)}},
		{Name: nameB, knobs: DefaultKnobs(), Knobs: DefaultKnobs().Map(), Slices: []Result{slice(8, 8), slice(12, 12)}},
	}}
	for i := range r.Arms {
		r.Arms[i].All = merged(r.Arms[i].Slices)
	}
	r.Figures = figures(r.Arms)
	return r
}

func TestReport_ratiosAreOfPairs(t *testing.T) {
	t.Parallel()
	r := compared("floor")
	f := r.Find("writes")
	if f == nil || f.Ratio == nil || f.Ratio.Low != 0.5 || f.Ratio.High != 0.75 {
		t.Fatalf("writes: %+v", f)
	}
	if f := r.Find("CPU per 1,000 writes"); f.Ratio.Low != 1 || f.Ratio.High != 2 {
		t.Errorf("CPU: %+v", f)
	}
	if f := r.Find("file growth"); f.Ratio == nil || *f.Ratio != (Spread{1, 1, 1}) || f.Arms[0].Median != 32 {
		t.Errorf("files grow by steps, so all slices count together: %+v", f)
	}
	if f := r.Find("lost"); f.Ratio != nil {
		t.Errorf("nothing by nothing has no ratio: %+v", f)
	}
	if r.Lost() != 0 {
		t.Errorf("%d were lost", r.Lost())
	}
}

func TestReport_isATableWithARowForEachFigure(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := compared("floor").Table(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"fhirhook bench --compare", "server ÷ floor", "\nwrites, /s ", "\ncommit to receipt p99, ms ", "\nlost "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

func TestReport_pageEscapesWhatItShows(t *testing.T) {
	t.Parallel()
	r := compared(`<script>alert("arm")</script>`)
	r.Command = `fhirhook bench --target 'http://x/"><img src=x>'`
	var out bytes.Buffer
	if err := r.HTML(&out); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<script>", "<img", "ZgotmplZ", "NaN", "Inf"} {
		if strings.Contains(out.String(), bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	for _, want := range []string{"&lt;script&gt;", "<polyline", "Commit to receipt", "<td>writes, /s</td>"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, outside := range []string{"src=\"http", "href=", "@import", "url("} {
		if strings.Contains(out.String(), outside) {
			t.Errorf("the page needs something else: %s", outside)
		}
	}
}

func TestNumber_isReadable(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{0: "0", 12: "12", 0.12345: "0.123", 84.44: "84.4", 999.6: "1,000", 1000: "1,000", 1234567.8: "1,234,568", -12345: "-12,345"} {
		if got := number(v); got != want {
			t.Errorf("%v: %q, want %q", v, got, want)
		}
	}
}
