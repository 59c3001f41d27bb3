package bench

import "time"

// Result is what one slice measured.
type Result struct {
	Seconds float64 `json:"seconds"` // from the first write until all were answered
	Whole   float64 `json:"whole"`   // until the last notification came, too

	Writes        int `json:"writes"`
	Owed          int `json:"owed"`
	Notifications int `json:"notifications"` // of those that are owed, distinct
	Lost          int `json:"lost"`          // owed and not come until the drain ended
	Duplicated    int `json:"duplicated"`    // came again after they had been answered with success
	Refused       int `json:"refused"`       // requests that receivers answered with 500, on purpose
	Unasked       int `json:"unasked"`       // came for no write of this slice
	Early         int `json:"early"`         // came before the writer had its answer; their latency counts as 0

	Write   *Histogram `json:"writeMs"`           // from the request until its answer
	Commit  *Histogram `json:"commitToReceiptMs"` // from the write's answer until the receiver has the whole notification
	FromDue *Histogram `json:"dueToReceiptMs"`    // from when the write should have begun until the receiver has it

	Use    *Use     `json:"use,omitempty"`   // nil where it can't be known
	Start  *Started `json:"start,omitempty"` // of a run that measures starts, and then nothing else
	Series []Point  `json:"series"`
}

// Use is what the measured process took.
type Use struct {
	CPU       float64 `json:"cpuSeconds"`
	Beside    float64 `json:"loadAndReceiversCpuSeconds"`
	Anonymous int64   `json:"peakAnonymousBytes"`
	File      int64   `json:"peakMappedFileBytes"`
	Growth    int64   `json:"fileGrowthBytes"`
	Ready     float64 `json:"readySeconds"` // from its start until it served
}

// Point is a moment of a slice: rates since the point before.
type Point struct {
	At            float64 `json:"at"` // seconds from the beginning
	Writes        float64 `json:"writesPerSecond"`
	Notifications float64 `json:"notificationsPerSecond"`
}

// judge joins what was acknowledged with what came. Each write owes so many distinct notifications; those of one
// write can't stand in for those of another.
func judge(began int64, acks []ack, came receipts, each int) Result {
	r := Result{Writes: len(acks), Duplicated: came.Again, Refused: came.Refused, Write: &Histogram{}, Commit: &Histogram{}, FromDue: &Histogram{}}
	type write struct {
		*ack
		missing int
	}
	writes := make(map[string]*write, len(acks))
	lastWrite := began
	for i := range acks {
		a := &acks[i]
		w := &write{ack: a}
		if !a.Quiet {
			w.missing = each
			r.Owed += each
		}
		writes[a.ID] = w
		r.Write.Add(a.Took)
		lastWrite = max(lastWrite, a.At)
	}
	last := lastWrite
	for _, got := range came.First {
		w, known := writes[got.Resource]
		if !known || w.missing == 0 {
			r.Unasked++
			continue
		}
		w.missing--
		r.Notifications++
		if got.At < w.At {
			r.Early++
		}
		r.Commit.Add(time.Duration(got.At - w.At))
		r.FromDue.Add(time.Duration(got.At - w.Due))
		last = max(last, got.At)
	}
	r.Lost = r.Owed - r.Notifications
	r.Seconds = time.Duration(lastWrite - began).Seconds()
	r.Whole = time.Duration(last - began).Seconds()
	r.Series = series(began, last, acks, came.First)
	return r
}

// points is how many a series has at most.
const points = 60

// series counts by time.
func series(began, ended int64, acks []ack, came []receipt) []Point {
	width := max((ended-began)/points+1, int64(100*time.Millisecond))
	all := make([]Point, (ended-began)/width+1)
	for i := range all {
		all[i].At = time.Duration(int64(i+1) * width).Seconds()
	}
	per := 1 / time.Duration(width).Seconds()
	index := func(at int64) int { return int(min(max(at-began, 0)/width, int64(len(all)-1))) }
	for _, a := range acks {
		all[index(a.At)].Writes += per
	}
	for _, r := range came {
		all[index(r.At)].Notifications += per
	}
	return all
}

// WritesPerSecond is how fast writes were acknowledged.
func (r Result) WritesPerSecond() float64 { return over(float64(r.Writes), r.Seconds) }

// NotificationsPerSecond is how fast notifications came, from the first write until the last one came.
func (r Result) NotificationsPerSecond() float64 { return over(float64(r.Notifications), r.Whole) }

func over(of, by float64) float64 {
	if by == 0 {
		return 0
	}
	return of / by
}

// merged is several slices as one: histograms and counts together, one series behind the other.
func merged(slices []Result) Result {
	all := Result{Write: &Histogram{}, Commit: &Histogram{}, FromDue: &Histogram{}}
	for _, r := range slices {
		for _, p := range r.Series {
			p.At += all.Whole
			all.Series = append(all.Series, p)
		}
		all.Seconds += r.Seconds
		all.Whole += r.Whole
		all.Writes += r.Writes
		all.Owed += r.Owed
		all.Notifications += r.Notifications
		all.Lost += r.Lost
		all.Duplicated += r.Duplicated
		all.Refused += r.Refused
		all.Unasked += r.Unasked
		all.Early += r.Early
		all.Write.Merge(r.Write)
		all.Commit.Merge(r.Commit)
		all.FromDue.Merge(r.FromDue)
		if r.Use == nil {
			continue
		}
		if all.Use == nil {
			all.Use = &Use{Ready: r.Use.Ready}
		}
		all.Use.CPU += r.Use.CPU
		all.Use.Beside += r.Use.Beside
		all.Use.Growth += r.Use.Growth
		all.Use.Anonymous = max(all.Use.Anonymous, r.Use.Anonymous)
		all.Use.File = max(all.Use.File, r.Use.File)
	}
	return all
}
