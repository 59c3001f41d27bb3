package bench

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
	"time"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// HTML writes the report as one page that needs nothing else.
func (r *Report) HTML(w io.Writer) error {
	type arm struct {
		Name  string
		Knobs []string
	}
	data := struct {
		Report *Report
		Told   string
		Head   []string
		Rows   [][]string
		Arms   []arm
		Plots  []plot
	}{Report: r, Told: r.told(), Plots: r.plots()}
	rows := r.rows()
	data.Head, data.Rows = rows[0], rows[1:]
	for _, a := range r.Arms {
		one := arm{Name: a.Name}
		for _, k := range knobTable {
			if v := a.Knobs[k.name]; v != "" {
				one.Knobs = append(one.Knobs, k.name+" "+v)
			}
		}
		data.Arms = append(data.Arms, one)
	}
	if err := page.Execute(w, data); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

// The size of a plot's field, in the units of its viewBox.
const (
	plotWidth  = 720.0
	plotHeight = 240.0
)

// plot is lines over two axes. Coordinates are in its field, with y growing downwards.
type plot struct {
	Title, X, Y    string
	Lines          []plotLine
	XTicks, YTicks []tickMark
}

type plotLine struct {
	Name   string
	Color  int // which of the page's colours
	Dashed bool
	Points string // as SVG has them
}

type tickMark struct {
	At   float64
	Text string
}

// plots are those that there is something to show in.
func (r *Report) plots() []plot {
	var commits, writes []curve
	var rates []curve
	for i, a := range r.Arms {
		if a.All.Commit.Count() > 0 {
			commits = append(commits, curve{name: a.Name, color: i, steps: a.All.Commit.Steps()})
		}
		if a.All.Write.Count() > 0 {
			writes = append(writes, curve{name: a.Name, color: i, steps: a.All.Write.Steps()})
		}
		w, n := curve{name: a.Name + ", writes/s", color: i}, curve{name: a.Name + ", notifications/s", color: i, dashed: true}
		for _, p := range a.All.Series {
			w.add(p.At, p.Writes)
			n.add(p.At, p.Notifications)
		}
		rates = append(rates, w)
		if a.All.Notifications > 0 {
			rates = append(rates, n)
		}
	}
	var all []plot
	if len(commits) > 0 {
		all = append(all, cumulated("Commit to receipt: share of notifications that came within", commits),
			distributed("Commit to receipt: how the times are spread", commits))
	}
	if len(writes) > 0 {
		all = append(all, cumulated("Write: share of writes that were answered within", writes))
	}
	if r.starts() {
		return all
	}
	return append(all, plotted("Rates over time, slices one behind the other", "s", "/s", rates))
}

// curve is what becomes a line.
type curve struct {
	name   string
	color  int
	dashed bool
	x, y   []float64
	steps  []Step
}

func (c *curve) add(x, y float64) { c.x, c.y = append(c.x, x), append(c.y, y) }

// cumulated plots shares over the logarithm of time.
func cumulated(title string, curves []curve) plot {
	for i := range curves {
		c := &curves[i]
		for _, s := range c.steps {
			c.add(logMs(s.At), s.Share*100)
		}
	}
	return plottedLog(title, "%", curves)
}

// distributed plots how much falls into each of equally wide stretches of the logarithm of time.
func distributed(title string, curves []curve) plot {
	const perDecade = 12
	for i := range curves {
		c := &curves[i]
		var all uint64
		count := map[int]uint64{}
		low, high := math.MaxInt, math.MinInt
		for _, s := range c.steps {
			bin := int(math.Floor(logMs(s.At) * perDecade))
			count[bin] += s.Count
			all += s.Count
			low, high = min(low, bin), max(high, bin)
		}
		for bin := low; bin <= high; bin++ { // a bar has two corners
			share := 100 * float64(count[bin]) / float64(all)
			c.add(float64(bin)/perDecade, share)
			c.add(float64(bin+1)/perDecade, share)
		}
	}
	return plottedLog(title, "%", curves)
}

// logMs is the decade of a time in milliseconds; a microsecond is the least.
func logMs(d time.Duration) float64 { return math.Log10(math.Max(ms(d), 1e-3)) }

func plottedLog(title, y string, curves []curve) plot {
	p := plotted(title, "ms", y, curves)
	low, high := extent(curves, func(c curve) []float64 { return c.x })
	p.XTicks = nil
	for decade := math.Floor(low); decade <= math.Ceil(high); decade++ {
		for _, digit := range []float64{1, 2, 5} {
			at := decade + math.Log10(digit)
			if at >= low-1e-9 && at <= high+1e-9 {
				p.XTicks = append(p.XTicks, tickMark{scale(at, low, high, plotWidth), number(math.Pow(10, decade) * digit)})
			}
		}
	}
	return p
}

// plotted plots over linear axes; y begins at 0.
func plotted(title, x, y string, curves []curve) plot {
	p := plot{Title: title, X: x, Y: y}
	left, right := extent(curves, func(c curve) []float64 { return c.x })
	_, top := extent(curves, func(c curve) []float64 { return c.y })
	if top <= 0 {
		top = 1
	}
	for _, c := range curves {
		var points strings.Builder
		for i := range c.x {
			fmt.Fprintf(&points, "%.1f,%.1f ", scale(c.x[i], left, right, plotWidth), plotHeight-scale(c.y[i], 0, top, plotHeight))
		}
		p.Lines = append(p.Lines, plotLine{c.name, c.color, c.dashed, strings.TrimSpace(points.String())})
	}
	for _, v := range ticks(left, right) {
		p.XTicks = append(p.XTicks, tickMark{scale(v, left, right, plotWidth), number(v)})
	}
	for _, v := range ticks(0, top) {
		p.YTicks = append(p.YTicks, tickMark{plotHeight - scale(v, 0, top, plotHeight), number(v)})
	}
	return p
}

// extent is the least and the largest of all values of some curves; 0 and 1 if there are none.
func extent(curves []curve, of func(curve) []float64) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, c := range curves {
		for _, v := range of(c) {
			low, high = math.Min(low, v), math.Max(high, v)
		}
	}
	if low > high {
		return 0, 1
	}
	return low, high
}

// scale maps a stretch to one that begins at 0; a stretch without length to its middle.
func scale(v, low, high, to float64) float64 {
	if high <= low {
		return to / 2
	}
	return (v - low) / (high - low) * to
}

// ticks are round values in a stretch, about five.
func ticks(low, high float64) []float64 {
	if high <= low {
		return []float64{low}
	}
	step := math.Pow(10, math.Floor(math.Log10((high-low)/5)))
	for _, times := range []float64{1, 2, 5, 10} {
		if (high-low)/(step*times) <= 6 {
			step *= times
			break
		}
	}
	var all []float64
	for i := math.Ceil(low / step); i*step <= high*(1+1e-9); i++ {
		all = append(all, i*step)
	}
	return all
}
