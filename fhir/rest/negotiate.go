package rest

import (
	"mime"
	"slices"
	"strconv"
	"strings"

	"fhirhook/fhir"
)

// FHIRJSON is the media type of FHIR in JSON.
const FHIRJSON = "application/fhir+json"

// fhirVersion is the only value of the MIME parameter fhirVersion that is served (R4 http.html#version-parameter).
const fhirVersion = "4.0"

const onlyJSON = "this server speaks FHIR in JSON only, not XML or Turtle"

// jsonTypes are the media types that mean FHIR in JSON, with the one that is answered for each: itself, for who asks for
// one need not accept the others (R4 http.html#mime-type).
var jsonTypes = map[string]string{
	FHIRJSON:                FHIRJSON,
	"application/json+fhir": "application/json+fhir", // DSTU2's name
	"application/json":      "application/json",
	"text/json":             "text/json",
}

// answers are those types, from the one that is liked best.
var answers = []string{FHIRJSON, "application/json", "text/json", "application/json+fhir"}

// parseFormat reads _format, which overrides Accept. A plus arrives as a space where a client did not escape it.
func parseFormat(value string) (contentType string, err error) {
	media, params, parseErr := mime.ParseMediaType(strings.ReplaceAll(value, " ", "+"))
	if parseErr == nil {
		if media == "json" {
			return FHIRJSON, nil
		}
		if answer, ok := jsonTypes[media]; ok {
			return answer, checkVersion(params, fhir.NotAcceptable, "http._format")
		}
	}
	return "", fhir.Errorf(fhir.NotAcceptable, "http._format", "_format=%s can't be served: %s; ask for json", clip(value), onlyJSON)
}

// accept chooses the media type of the answer by the Accept header. No header at all means anything.
func accept(lines []string) (contentType string, err error) {
	all := strings.Join(lines, ",")
	if strings.TrimSpace(all) == "" || all == "*/*" {
		return FHIRJSON, nil
	}
	if answer, ok := jsonTypes[all]; ok { // as most clients ask
		return answer, nil
	}
	var ranges []mediaRange
	var versionErr error
	for part := range strings.SplitSeq(all, ",") {
		media, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue // one broken range does not spoil the others
		}
		q := 1.0
		if s, ok := params["q"]; ok {
			if q, err = strconv.ParseFloat(s, 64); err != nil || q < 0 || q > 1 {
				continue
			}
		}
		if err := checkVersion(params, fhir.NotAcceptable, "http.Accept"); err != nil {
			versionErr = err
			continue
		}
		ranges = append(ranges, mediaRange{media, q, len(ranges)})
	}
	best, liked := "", mediaRange{}
	for _, answer := range answers {
		if r := closest(ranges, answer); r.q > liked.q || r.q == liked.q && r.q > 0 && r.place < liked.place {
			best, liked = answer, r
		}
	}
	switch {
	case best != "":
		return best, nil
	case versionErr != nil:
		return "", versionErr
	default:
		return "", fhir.Errorf(fhir.NotAcceptable, "http.Accept", "Accept: %s can't be served: %s; ask for %s", clip(all), onlyJSON, FHIRJSON)
	}
}

// mediaRange is one of Accept's, in its order.
type mediaRange struct {
	media string
	q     float64
	place int
}

// closest is the range that says most about a type (RFC 9110 section 12.5.1), one of quality 0 if none does.
func closest(ranges []mediaRange, media string) mediaRange {
	kind, _, _ := strings.Cut(media, "/")
	for _, name := range []string{media, kind + "/*", "*/*"} {
		if i := slices.IndexFunc(ranges, func(r mediaRange) bool { return r.media == name }); i >= 0 {
			return ranges[i]
		}
	}
	return mediaRange{}
}

// checkConsumable judges the Content-Type of a resource that is sent. No header is taken as JSON (RFC 9110
// section 8.3 lets a recipient look); what the body is shows at once.
func checkConsumable(contentType string) error {
	if contentType == "" || contentType == FHIRJSON {
		return nil
	}
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return fhir.Errorf(fhir.UnsupportedMedia, "http.Content-Type", "Content-Type %q is malformed: send %s", clip(contentType), FHIRJSON)
	}
	if _, ok := jsonTypes[media]; !ok {
		return fhir.Errorf(fhir.UnsupportedMedia, "http.Content-Type", "a body of type %s can't be read: %s; send %s", clip(media), onlyJSON, FHIRJSON)
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "utf8") {
		return fhir.Errorf(fhir.UnsupportedMedia, "http.Content-Type", "charset %s can't be read: FHIR is UTF-8", clip(charset))
	}
	return checkVersion(params, fhir.UnsupportedMedia, "http.Content-Type")
}

// checkVersion refuses another FHIR version than this server's; 4.0.1 is tolerated for 4.0.
func checkVersion(params map[string]string, kind fhir.Kind, where string) error {
	v, ok := params["fhirversion"]
	if !ok || v == fhirVersion || v == "4.0.1" {
		return nil
	}
	return fhir.Errorf(kind, where, "fhirVersion=%s is not served: this is FHIR R4, fhirVersion=%s", clip(v), fhirVersion)
}
