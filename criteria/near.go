package criteria

import (
	"math"
	"strconv"

	"fhirhook/fhir"
)

// nearValue is a value of Location's near: latitude|longitude|distance|units, in degrees of WGS84
// (R4 location.html#search). Distances are along great circles of a sphere, within 0.6 % of the true ones.
type nearValue struct {
	text                string // as it was written
	latitude, longitude float64
	kilometres          float64
}

const (
	earthRadius     = 6371.0088 // km, the mean of WGS84
	defaultDistance = 50        // km: R4 leaves to the server what is near if no distance is given
)

// kilometres are the lengths of the units that near understands, UCUM codes and what people write for them.
var kilometres = map[string]float64{
	"": 1, "km": 1, "kms": 1, "m": 0.001,
	"[mi_i]": 1.609344, "mi": 1.609344, "[nmi_i]": 1.852, "[ft_i]": 0.0003048, "ft": 0.0003048, "[yd_i]": 0.0009144,
}

func parseNear(s string) (Value, *fhir.Error) {
	parts := split(s, '|')
	if len(parts) < 2 || len(parts) > 4 {
		return nil, fhir.Errorf(fhir.Value, "", "%q is not a place: write latitude|longitude|distance|units, as in 52.37|4.89|10|km", clip(s))
	}
	v := &nearValue{text: s, kilometres: defaultDistance}
	var err *fhir.Error
	if v.latitude, err = degrees(parts[0], 90, "latitude"); err != nil {
		return nil, err
	}
	if v.longitude, err = degrees(parts[1], 180, "longitude"); err != nil {
		return nil, err
	}
	unit := ""
	if len(parts) == 4 {
		unit = unescape(parts[3])
	}
	length, known := kilometres[unit]
	if !known {
		return nil, fhir.Errorf(fhir.Value, "", "%q is no unit of length that is known here: km, m, [mi_i], [nmi_i], [ft_i] and [yd_i] are", clip(unit))
	}
	if len(parts) > 2 && parts[2] != "" {
		n, ok := plainNumber(parts[2])
		if !ok || n < 0 {
			return nil, fhir.Errorf(fhir.Value, "", "%q is not a distance: write a number from 0", clip(parts[2]))
		}
		v.kilometres = n * length
	}
	return v, nil
}

func degrees(s string, most float64, what string) (float64, *fhir.Error) {
	n, ok := plainNumber(s)
	if !ok || math.Abs(n) > most {
		return 0, fhir.Errorf(fhir.Value, "", "%q is not a %s: write degrees from -%g to %g", clip(s), what, most, most)
	}
	return n, nil
}

// plainNumber reads a decimal number as JSON has it.
func plainNumber(s string) (float64, bool) {
	if _, err := parseNumberTest(s); err != nil {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil
}

func (v *nearValue) String() string { return v.text }

func (v *nearValue) matches(s *Subject, x *values) bool {
	for l := range x.param.Leaves(s.root) {
		latitude, ok := plainNumber(l.Node.Get("latitude").Text())
		longitude, too := plainNumber(l.Node.Get("longitude").Text())
		if ok && too && distanceKm(v.latitude, v.longitude, latitude, longitude) <= v.kilometres {
			return true
		}
	}
	return false
}

// distanceKm is the haversine formula.
func distanceKm(latA, lonA, latB, lonB float64) float64 {
	const rad = math.Pi / 180
	sinLat := math.Sin((latB - latA) * rad / 2)
	sinLon := math.Sin((lonB - lonA) * rad / 2)
	h := sinLat*sinLat + math.Cos(latA*rad)*math.Cos(latB*rad)*sinLon*sinLon
	return 2 * earthRadius * math.Asin(math.Sqrt(min(h, 1)))
}
