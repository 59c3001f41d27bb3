package e2e_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// observation is what TestMeaning's resources are made of: plain values that a model can reason about.
type observation struct {
	status  string
	codes   []string // of system urn:a or urn:b, as in a|1; a code without a system as in |1
	text    string   // note's place: code.text
	subject string   // Patient/1, or "" for none
	day     int      // of May 2024; 0: no date at all
	hour    int      // -1: the date alone
	value   int      // hundredths; -1: none
	unit    string
	tags    []string
}

var (
	statuses   = []string{"registered", "preliminary", "final", "amended"}
	codes      = []string{"urn:a|1", "urn:a|2", "urn:b|1", "urn:b|3", "|2"}
	texts      = []string{"", "Blood pressure", "blóod sugar", "Sugar"}
	subjects   = []string{"", "Patient/1", "Patient/2", "Group/1"}
	units      = []string{"mg", "kg"}
	tagged     = []string{"x", "y"}
	unitsOf    = "http://unitsofmeasure.org"
	firstOfMay = time.Date(2024, time.May, 1, 0, 0, 0, 0, time.UTC)
)

func pick[T any](random *rand.Rand, from []T) T { return from[random.IntN(len(from))] }

func some(random *rand.Rand, from []string) []string {
	var picked []string
	for _, s := range from {
		if random.IntN(3) == 0 {
			picked = append(picked, s)
		}
	}
	return picked
}

func randomObservation(random *rand.Rand) observation {
	return observation{
		status: pick(random, statuses), codes: some(random, codes), text: pick(random, texts), subject: pick(random, subjects),
		day: random.IntN(4), hour: random.IntN(25) - 1, value: random.IntN(400) - 1, unit: pick(random, units),
		tags: some(random, tagged),
	}
}

// json writes the resource.
func (o observation) json(id string) string {
	r := map[string]any{"resourceType": "Observation", "id": id, "status": o.status}
	code := map[string]any{}
	var codings []any
	for _, c := range o.codes {
		system, value, _ := strings.Cut(c, "|")
		coding := map[string]any{"code": value}
		if system != "" {
			coding["system"] = system
		}
		codings = append(codings, coding)
	}
	if len(codings) > 0 {
		code["coding"] = codings
	}
	if o.text != "" {
		code["text"] = o.text
	}
	if len(code) > 0 {
		r["code"] = code
	}
	if o.subject != "" {
		r["subject"] = map[string]any{"reference": o.subject}
	}
	if o.day > 0 {
		r["effectiveDateTime"] = o.date()
	}
	if o.value >= 0 {
		r["valueQuantity"] = map[string]any{
			"value": json.Number(fmt.Sprintf("%d.%02d", o.value/100, o.value%100)), "unit": o.unit, "system": unitsOf, "code": o.unit,
		}
	}
	if len(o.tags) > 0 {
		var tags []any
		for _, tag := range o.tags {
			tags = append(tags, map[string]any{"system": "urn:tag", "code": tag})
		}
		r["meta"] = map[string]any{"tag": tags}
	}
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // only plain values
	}
	return string(text)
}

func (o observation) date() string {
	if o.hour < 0 {
		return firstOfMay.AddDate(0, 0, o.day-1).Format(time.DateOnly)
	}
	return firstOfMay.AddDate(0, 0, o.day-1).Add(time.Duration(o.hour) * time.Hour).Format("2006-01-02T15:04:05Z")
}

// span is the time that the date stands for, in hours of May: [from, to).
func (o observation) span() (from, to float64) {
	from = float64(24 * (o.day - 1))
	if o.hour < 0 {
		return from, from + 24
	}
	from += float64(o.hour)
	return from, from + 1.0/3600
}

func randomCriteria(random *rand.Rand) criteriaModel {
	var c criteriaModel
	makers := []func(*rand.Rand) term{statusTerm, codeTerm, codeTerm, textTerm, subjectTerm, dateTerm, dateTerm, valueTerm, valueTerm, tagTerm, missingTerm}
	for range random.IntN(4) {
		c = append(c, pick(random, makers)(random))
	}
	return c
}

func statusTerm(random *rand.Rand) term {
	a, b := pick(random, statuses), pick(random, statuses)
	t := term{"status", a + "," + b, func(o observation) bool { return o.status == a || o.status == b }}
	if random.IntN(2) == 0 {
		return term{"status:not", t.value, func(o observation) bool { return !t.match(o) }}
	}
	return t
}

func codeTerm(random *rand.Rand) term {
	whole := pick(random, codes)
	_, value, _ := strings.Cut(whole, "|")
	t := pick(random, []term{
		{"code", whole, func(o observation) bool { return slices.Contains(o.codes, whole) }},
		{"code", value, func(o observation) bool {
			return slices.ContainsFunc(o.codes, func(c string) bool { return strings.HasSuffix(c, "|"+value) })
		}},
		{"code", "urn:a|", func(o observation) bool {
			return slices.ContainsFunc(o.codes, func(c string) bool { return strings.HasPrefix(c, "urn:a|") })
		}},
	})
	if random.IntN(3) == 0 {
		positive := t.match
		return term{"code:not", t.value, func(o observation) bool { return !positive(o) }}
	}
	return t
}

func textTerm(random *rand.Rand) term {
	start := pick(random, []string{"blood", "SUGAR", "bl"})
	plain := strings.NewReplacer("ó", "o")
	return term{"code:text", start, func(o observation) bool {
		return strings.HasPrefix(plain.Replace(strings.ToLower(o.text)), strings.ToLower(start))
	}}
}

func subjectTerm(random *rand.Rand) term {
	return pick(random, []term{
		{"subject", "Patient/1", func(o observation) bool { return o.subject == "Patient/1" }},
		{"subject", "1", func(o observation) bool { return strings.HasSuffix(o.subject, "/1") }},
		{"subject:Patient", "2", func(o observation) bool { return o.subject == "Patient/2" }},
		{"patient", "1", func(o observation) bool { return o.subject == "Patient/1" }},
	})
}

// dateTerm follows the interval table of R4 search.html#prefix: the value stands for a whole day or second.
func dateTerm(random *rand.Rand) term {
	asked := observation{day: 1 + random.IntN(3), hour: random.IntN(25) - 1}
	from, to := asked.span()
	prefixes := map[string]func(f, t float64) bool{
		"":   func(f, t float64) bool { return f >= from && t <= to },
		"eq": func(f, t float64) bool { return f >= from && t <= to },
		"ne": func(f, t float64) bool { return f < from || t > to },
		"gt": func(_, t float64) bool { return t > to },
		"lt": func(f, _ float64) bool { return f < from },
		"ge": func(f, t float64) bool { return t > to || f >= from && t <= to },
		"le": func(f, t float64) bool { return f < from || f >= from && t <= to },
		"sa": func(f, _ float64) bool { return f >= to },
		"eb": func(_, t float64) bool { return t <= from },
	}
	prefix := pick(random, []string{"", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"})
	return term{"date", prefix + asked.date(), func(o observation) bool {
		if o.day == 0 {
			return false
		}
		f, t := o.span()
		return prefixes[prefix](f, t)
	}}
}

// valueTerm asks with one decimal, so that eq and ne mean half a tenth around it; in hundredths, [n*10-5, n*10+5).
func valueTerm(random *rand.Rand) term {
	tenths := random.IntN(40)
	unit := pick(random, units)
	exact := 10 * tenths
	prefixes := map[string]func(v int) bool{
		"":   func(v int) bool { return v >= exact-5 && v < exact+5 },
		"ne": func(v int) bool { return v < exact-5 || v >= exact+5 },
		"gt": func(v int) bool { return v > exact },
		"lt": func(v int) bool { return v < exact },
		"ge": func(v int) bool { return v >= exact },
		"le": func(v int) bool { return v <= exact },
	}
	prefix := pick(random, []string{"", "ne", "gt", "lt", "ge", "le"})
	value := prefix + strconv.Itoa(tenths/10) + "." + strconv.Itoa(tenths%10)
	anyUnit := random.IntN(2) == 0
	if !anyUnit {
		value += "|" + unitsOf + "|" + unit
	}
	return term{"value-quantity", value, func(o observation) bool {
		return o.value >= 0 && (anyUnit || o.unit == unit) && prefixes[prefix](o.value)
	}}
}

func tagTerm(random *rand.Rand) term {
	tag := pick(random, tagged)
	return term{"_tag", "urn:tag|" + tag, func(o observation) bool { return slices.Contains(o.tags, tag) }}
}

func missingTerm(random *rand.Rand) term {
	want := random.IntN(2) == 0
	t := pick(random, []term{
		{"date:missing", "", func(o observation) bool { return o.day == 0 }},
		{"subject:missing", "", func(o observation) bool { return o.subject == "" }},
		{"value-quantity:missing", "", func(o observation) bool { return o.value < 0 }},
	})
	absent := t.match
	return term{t.name, strconv.FormatBool(want), func(o observation) bool { return absent(o) == want }}
}
