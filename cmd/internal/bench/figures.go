package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Figure is a row of a report: what was measured of each arm, slice by slice, and how the first compares with the
// second, pair by pair.
type Figure struct {
	Name  string   `json:"name"`
	Unit  string   `json:"unit,omitempty"`
	Arms  []Spread `json:"arms"`
	Ratio *Spread  `json:"ratio,omitempty"` // first arm ÷ second; nil with one arm, and where the second is 0
}

// metric is how a figure is read from a slice; false where it can't be.
type metric struct {
	name, unit string
	of         func(Knobs, Result) (float64, bool)
	whole      bool // of all slices together: files grow by steps, and memory has one peak
	start      bool // of a run that measures starts
}

// metrics is all of them, in the order in which they are told.
var metrics = func() []metric {
	always := func(name, unit string, of func(Result) float64) metric {
		return metric{name: name, unit: unit, of: func(_ Knobs, r Result) (float64, bool) { return of(r), true }}
	}
	used := func(name, unit string, of func(Result, Use) float64) metric {
		return metric{name: name, unit: unit, of: func(_ Knobs, r Result) (float64, bool) {
			if r.Use == nil {
				return 0, false
			}
			return of(r, *r.Use), true
		}}
	}
	notified := func(m metric) metric { // only where somebody is notified
		of := m.of
		m.of = func(k Knobs, r Result) (float64, bool) {
			if r.Owed == 0 {
				return 0, false
			}
			return of(k, r)
		}
		return m
	}
	latency := func(name string, of func(Result) *Histogram) []metric {
		var all []metric
		for _, q := range []struct {
			name string
			of   func(*Histogram) float64
		}{
			{"p50", func(h *Histogram) float64 { return ms(h.Quantile(0.5)) }},
			{"p95", func(h *Histogram) float64 { return ms(h.Quantile(0.95)) }},
			{"p99", func(h *Histogram) float64 { return ms(h.Quantile(0.99)) }},
			{"max", func(h *Histogram) float64 { return ms(h.Max()) }},
		} {
			all = append(all, always(name+" "+q.name, "ms", func(r Result) float64 { return q.of(of(r)) }))
		}
		return all
	}
	all := []metric{always("writes", "/s", Result.WritesPerSecond)}
	all = append(all, latency("write", func(r Result) *Histogram { return r.Write })...)
	all = append(all,
		notified(always("notifications", "/s", Result.NotificationsPerSecond)),
		notified(metric{name: "notifications of a healthy Subscription", unit: "/s", of: func(k Knobs, r Result) (float64, bool) {
			return over(r.NotificationsPerSecond(), float64(k.Owed())), k.fanOut() > 1
		}}),
	)
	for _, m := range latency("commit to receipt", func(r Result) *Histogram { return r.Commit }) {
		all = append(all, notified(m))
	}
	for _, m := range latency("due to receipt", func(r Result) *Histogram { return r.FromDue }) {
		all = append(all, notified(m))
	}
	count := func(name string, of func(Result) int) metric {
		return notified(always(name, "", func(r Result) float64 { return float64(of(r)) }))
	}
	const mib = 1 << 20
	whole := func(m metric) metric {
		m.whole = true
		return m
	}
	return append(all,
		count("owed", func(r Result) int { return r.Owed }),
		count("lost", func(r Result) int { return r.Lost }),
		count("duplicated", func(r Result) int { return r.Duplicated }),
		count("refused on purpose", func(r Result) int { return r.Refused }),
		used("CPU per 1,000 writes", "s", func(r Result, u Use) float64 { return over(1000*u.CPU, float64(r.Writes)) }),
		notified(used("CPU per 1,000 notifications", "s", func(r Result, u Use) float64 { return over(1000*u.CPU, float64(r.Notifications)) })),
		used("load's and receivers' CPU per 1,000 writes", "s", func(r Result, u Use) float64 { return over(1000*u.Beside, float64(r.Writes)) }),
		whole(used("peak anonymous memory", "MiB", func(_ Result, u Use) float64 { return float64(u.Anonymous) / mib })),
		whole(used("mapped file pages", "MiB", func(_ Result, u Use) float64 { return float64(u.File) / mib })),
		whole(used("file growth", "MiB", func(_ Result, u Use) float64 { return float64(u.Growth) / mib })),
		whole(used("file growth per write", "bytes", func(r Result, u Use) float64 { return over(float64(u.Growth), float64(r.Writes)) })),
		whole(used("start until ready", "s", func(_ Result, u Use) float64 { return u.Ready })),
	)
}()

// figures are the metrics of some arms, those that at least one of them has.
func figures(arms []ArmReport) []Figure {
	var all []Figure
	for _, m := range slices.Concat(metrics, startMetrics) {
		f := Figure{Name: m.name, Unit: m.unit}
		var samples [][]float64
		known := false
		for _, a := range arms {
			var sample []float64
			results := a.Slices
			if m.whole {
				results = []Result{a.All}
			}
			for _, r := range results {
				if v, ok := m.of(a.knobs, r); ok && (m.start || r.Start == nil) {
					sample = append(sample, v)
				}
			}
			known = known || len(sample) > 0
			samples = append(samples, sample)
			f.Arms = append(f.Arms, Spreading(sample))
		}
		if !known {
			continue
		}
		if len(samples) == 2 {
			if ratios := Ratios(samples[0], samples[1]); len(ratios) > 0 {
				spread := Spreading(ratios)
				f.Ratio = &spread
			}
		}
		all = append(all, f)
	}
	return all
}

// Find is a figure by its name; nil if there is none.
func (r *Report) Find(name string) *Figure {
	for i := range r.Figures {
		if r.Figures[i].Name == name {
			return &r.Figures[i]
		}
	}
	return nil
}

// Lost is how many notifications were owed and never came.
func (r *Report) Lost() (n int) {
	for _, a := range r.Arms {
		n += a.All.Lost
	}
	return n
}

// JSON writes the report as one object.
func (r *Report) JSON(w io.Writer) error { return json.NewEncoder(w).Encode(r) }

// Table writes the report for people.
func (r *Report) Table(w io.Writer) error {
	fmt.Fprintf(w, "%s\n%s\n\n", r.Command, r.told())
	rows := r.rows()
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				line.WriteString(cell + gap)
			} else {
				line.WriteString("  " + gap + cell)
			}
		}
		if _, err := fmt.Fprintln(w, line.String()); err != nil {
			return err
		}
	}
	return nil
}

// starts tells whether the run measured starts.
func (r *Report) starts() bool {
	return len(r.Arms) > 0 && len(r.Arms[0].Slices) > 0 && r.Arms[0].Slices[0].Start != nil
}

// told says in a line how it was measured.
func (r *Report) told() string {
	loop := "closed loop"
	if r.starts() {
		loop = "starts with nothing of the folder in the page cache, and with what that start has read"
	}
	if r.Rate > 0 {
		loop = "open loop at " + number(r.Rate) + " writes/s"
	}
	slices := ""
	if len(r.Arms) > 1 {
		slices = fmt.Sprintf(", medians (quartiles) of %d pairs", len(r.Arms[0].Slices))
	}
	return r.Machine + ", " + loop + slices
}

// rows are the cells of the table, with its head.
func (r *Report) rows() [][]string {
	head := []string{""}
	for _, a := range r.Arms {
		head = append(head, a.Name)
	}
	if len(r.Arms) == 2 {
		head = append(head, r.Arms[0].Name+" ÷ "+r.Arms[1].Name)
	}
	rows := [][]string{head}
	for _, f := range r.Figures {
		name := f.Name
		if f.Unit != "" {
			name += ", " + f.Unit
		}
		row := []string{name}
		for i, s := range f.Arms {
			if len(r.Arms[i].Slices) > 1 {
				row = append(row, spreadText(s))
			} else {
				row = append(row, number(s.Median))
			}
		}
		if len(r.Arms) == 2 {
			if f.Ratio == nil {
				row = append(row, "–")
			} else {
				row = append(row, f.Ratio.String())
			}
		}
		rows = append(rows, row)
	}
	return rows
}

func spreadText(s Spread) string {
	if s.Low == s.High {
		return number(s.Median)
	}
	return number(s.Median) + " (" + number(s.Low) + "–" + number(s.High) + ")"
}

// number is a figure as people read it: three digits that count, and thousands apart.
func number(v float64) string {
	if math.Abs(v) < 999.5 {
		if v == math.Trunc(v) {
			return strconv.FormatFloat(v, 'f', 0, 64)
		}
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	digits := strconv.FormatFloat(math.Abs(v), 'f', 0, 64)
	var text strings.Builder
	if v < 0 {
		text.WriteByte('-')
	}
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			text.WriteByte(',')
		}
		text.WriteRune(d)
	}
	return text.String()
}
