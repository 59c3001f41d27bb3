package operate

import (
	"math"
	"strconv"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// output is a list of parameters being written, in order.
type output struct{ b []byte }

func (o *output) raw(name, member string, value []byte) {
	if len(o.b) > 0 {
		o.b = append(o.b, ',')
	}
	o.b = append(append(o.b, `{"name":`...), tape.Quote(name)...)
	o.b = append(append(append(o.b, `,"`...), member...), `":`...)
	o.b = append(append(o.b, value...), '}')
}

// text leaves out what is empty, as R4 wants it.
func (o *output) text(name, member, value string) {
	if value != "" {
		o.raw(name, member, tape.Quote(value))
	}
}

// string writes a text that may come from outside, as a receiver's answer does.
func (o *output) string(name, value string) { o.text(name, "valueString", fhir.Text(value)) }

func (o *output) code(name, value string) { o.text(name, "valueCode", value) }
func (o *output) flag(name string, value bool) {
	o.raw(name, "valueBoolean", strconv.AppendBool(nil, value))
}

func (o *output) instant(name string, t time.Time) {
	if !t.IsZero() {
		o.text(name, "valueInstant", fhir.Instant(t))
	}
}

// number writes an integer, which R4 bounds to 32 bits; what is larger is a decimal.
func (o *output) number(name string, n uint64) {
	member := "valueInteger"
	if n > math.MaxInt32 {
		member = "valueDecimal"
	}
	o.raw(name, member, strconv.AppendUint(nil, n, 10))
}

func (o *output) reference(name, to string) {
	o.raw(name, "valueReference", append(append([]byte(`{"reference":`), tape.Quote(to)...), '}'))
}

func (o *output) part(name string, fill func(*output)) {
	var p output
	fill(&p)
	o.raw(name, "part", append(append([]byte{'['}, p.b...), ']'))
}

// parameters is the resource.
func (o *output) parameters(id string) []byte {
	b := []byte(`{"resourceType":"Parameters"`)
	if id != "" {
		b = append(append(b, `,"id":`...), tape.Quote(id)...)
	}
	if len(o.b) > 0 {
		b = append(append(append(b, `,"parameter":[`...), o.b...), ']')
	}
	return append(b, '}')
}
