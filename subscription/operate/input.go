package operate

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/rest"
	"fhirhook/fhir/tape"
)

// input is the value of one parameter of an operation, from the URL or from Parameters.
type input struct {
	name   string
	at     string // where it stands, for refusals
	text   string // strings, codes, instants, numbers, booleans, and the reference of a Reference
	member string // valueString …, resource; "" from the URL
	node   tape.Node
}

func (v input) refuse(kind fhir.Kind, format string, args ...any) *fhir.Error {
	e := fhir.Errorf(kind, v.at, format, args...)
	e.Diagnostic = v.name + ": " + e.Diagnostic
	return e
}

// inputs are the parameters of a request.
type inputs []input

// read takes the parameters out of a request. A name that isn't known is refused, for ignoring it would do
// something else than was asked for. A body of another type than Parameters is the parameter resource, where
// the operation knows that.
func read(r rest.OperationRequest, known ...string) (inputs, error) {
	var in inputs
	for _, p := range r.Query {
		in = append(in, input{name: p.Name, at: "http." + p.Name, text: p.Value})
	}
	if r.Body.Doc != nil {
		root := r.Body.Doc.Root()
		switch {
		case r.Body.Type == fhir.Parameters:
			more, err := readParameters(root.Get("parameter"))
			if err != nil {
				return nil, err
			}
			in = append(in, more...)
		case slices.Contains(known, "resource"):
			in = append(in, input{name: "resource", at: string(r.Body.Type), member: "resource", node: root})
		default:
			return nil, fhir.Errorf(fhir.Invalid, "Resource.resourceType", "the operation takes a Parameters resource, and this is a %s", r.Body.Type)
		}
	}
	for _, v := range in {
		if !slices.Contains(known, v.name) {
			known := strings.Join(known, ", ")
			if known == "" {
				known = "none"
			}
			return nil, fhir.Errorf(fhir.NotSupported, v.at, "%.60q is no parameter of this operation: it knows %s", v.name, known)
		}
	}
	return in, nil
}

func readParameters(list tape.Node) (inputs, error) {
	var in inputs
	if list.Exists() && list.Kind() != tape.Array {
		return nil, fhir.Errorf(fhir.Value, "Parameters.parameter", "must be a JSON array, and this is a JSON %s", list.Kind())
	}
	for p := range list.Elements() {
		v := input{at: "Parameters.parameter[" + strconv.Itoa(len(in)) + "]"}
		if p.Kind() != tape.Object || p.Get("name").Kind() != tape.String {
			return nil, fhir.Errorf(fhir.Required, v.at, `a parameter is a JSON object with the string "name"`)
		}
		v.name = p.Get("name").Text()
		for member, n := range p.Members() {
			if member == "resource" || strings.HasPrefix(member, "value") {
				if v.member != "" {
					return nil, v.refuse(fhir.Value, "has more than one value: give one")
				}
				v.member, v.node = member, n
			}
		}
		switch {
		case v.member == "":
			return nil, v.refuse(fhir.Required, "has no value")
		case v.member == "valueReference":
			v.at += ".valueReference"
			v.text = v.node.Get("reference").Text()
		case v.node.Kind() == tape.String:
			v.at += "." + v.member
			v.text = v.node.Text()
		case v.node.Kind() == tape.Number, v.node.Kind() == tape.Bool:
			v.at += "." + v.member
			v.text = string(v.node.Raw())
		default:
			v.at += "." + v.member
		}
		in = append(in, v)
	}
	return in, nil
}

// all returns the values of a parameter that may be repeated.
func (in inputs) all(name string) inputs {
	var found inputs
	for _, v := range in {
		if v.name == name {
			found = append(found, v)
		}
	}
	return found
}

// one returns the value of a parameter that may stand there once.
func (in inputs) one(name string) (input, bool, error) {
	switch found := in.all(name); {
	case len(found) == 0:
		return input{}, false, nil
	case len(found) > 1:
		return input{}, false, found[1].refuse(fhir.Value, "stands there more than once: give it once")
	default:
		return found[0], true, nil
	}
}

func (in inputs) text(name string) (string, input, error) {
	v, ok, err := in.one(name)
	if err == nil && ok && v.text == "" {
		err = v.refuse(fhir.Value, "must be a text that isn't empty")
	}
	return v.text, v, err
}

func (in inputs) flag(name string) (bool, error) {
	v, ok, err := in.one(name)
	if err != nil || !ok {
		return false, err
	}
	switch v.text {
	case "true":
		return true, nil
	case "false":
		return false, nil
	default:
		return false, v.refuse(fhir.Value, "must be true or false")
	}
}

// instant reads a time; a day stands for its beginning (UTC).
func (in inputs) instant(name string) (time.Time, error) {
	v, ok, err := in.one(name)
	if err != nil || !ok {
		return time.Time{}, err
	}
	if t, err := time.Parse(time.DateOnly, v.text); err == nil {
		return t, nil
	}
	t, err := fhir.ParseInstant(v.text)
	if err != nil {
		return time.Time{}, v.refuse(fhir.Value, "%.60q is neither a date nor an instant with zone, as in 2026-01-31T10:00:00Z", v.text)
	}
	return t, nil
}

// bounds reads since and until.
func (in inputs) bounds() (since, until time.Time, err error) {
	if since, err = in.instant("since"); err != nil {
		return since, until, err
	}
	until, err = in.instant("until")
	if v, ok, _ := in.one("until"); err == nil && ok && !since.Before(until) {
		err = v.refuse(fhir.Value, "must lie behind since")
	}
	return since, until, err
}

// mostRate is the highest pace that can be asked for, per second: beyond it there is no sense in one.
const mostRate = 10_000

// rate reads a pace per second; 0: as fast as the lane goes.
func (in inputs) rate() (float64, error) {
	v, ok, err := in.one("rate")
	if err != nil || !ok {
		return 0, err
	}
	rate, err := strconv.ParseFloat(v.text, 64)
	if err != nil || math.IsNaN(rate) || rate < 0.001 || rate > mostRate {
		return 0, v.refuse(fhir.Value, "%.60q is not a pace: notifications per second, from 0.001 to %d", v.text, mostRate)
	}
	return rate, nil
}

// span is a range of numbers, both ends included.
type span struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

func (s span) has(n uint64) bool { return s.From <= n && n <= s.To }

// sequence reads a number or a range of them: 7, 5-9 or 5-.
func (in inputs) sequence() (s span, given bool, err error) {
	v, ok, err := in.one("sequence")
	if err != nil || !ok {
		return span{}, false, err
	}
	from, to, ranged := strings.Cut(v.text, "-")
	s.From, err = strconv.ParseUint(from, 10, 63)
	s.To = s.From
	if err == nil && ranged {
		if s.To = math.MaxInt64; to != "" {
			s.To, err = strconv.ParseUint(to, 10, 63)
		}
	}
	if err != nil || s.From == 0 || s.To < s.From {
		return span{}, false, v.refuse(fhir.Value, "%.60q is neither a number nor a range of them: 7, 5-9 or 5-, counted from 1", v.text)
	}
	return s, true, nil
}

// resource reads a reference: Type/id, or Type/id/_history/version.
func (v input) resource(tenant, base string) (key fhir.Key, version uint64, err error) {
	text := strings.TrimPrefix(strings.TrimPrefix(v.text, base), "/")
	parts := strings.Split(text, "/")
	if len(parts) >= 2 {
		key = fhir.Key{Tenant: tenant, Type: fhir.Type(parts[0]), ID: parts[1]}
	}
	ok := key.Type.Known() && fhir.ValidID(key.ID)
	switch {
	case ok && len(parts) == 2:
		return key, 0, nil
	case ok && len(parts) == 4 && parts[2] == "_history":
		if version, err = strconv.ParseUint(parts[3], 10, 64); err == nil && version > 0 {
			return key, version, nil
		}
	}
	return fhir.Key{}, 0, v.refuse(fhir.Value, "%.100q is not a reference to a resource here: Type/id or Type/id/_history/version", v.text)
}
