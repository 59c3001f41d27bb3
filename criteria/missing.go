package criteria

import "fhirhook/fhir"

// missingValue is :missing, which asks whether there is a value at all. What a parameter cannot use (a
// string where it wants a date) is no value, and neither is an element that holds only extensions.
type missingValue struct{ missing bool }

func parseMissing(s string) (Value, *fhir.Error) {
	switch s {
	case "true":
		return missingValue{true}, nil
	case "false":
		return missingValue{false}, nil
	default:
		return nil, fhir.Errorf(fhir.Value, "", "%q is not what :missing takes: write true or false, once", clip(s))
	}
}

func (v missingValue) String() string {
	if v.missing {
		return "true"
	}
	return "false"
}

func (v missingValue) matches(_ *Subject, x *values) bool { return x.present != v.missing }
