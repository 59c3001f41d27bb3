package rest

import (
	"net/http"

	"fhirhook/fhir"
	"fhirhook/fhir/auth"
)

// NotifyHeader says whether the versions that a request writes notify Subscriptions: yes, the default, or no. It
// is for administrators who bring data that is old news, and goes with Options.AllowQuiet.
const NotifyHeader = "X-Fhirhook-Notify"

// QuietCause is store.Origin.Cause of what was written quietly: it tells a client's versions from the server's own.
const QuietCause = "quiet"

// quiet tells whether the request's writes are to notify nobody; in the log they stand like those of the server
// itself.
func (s *Server) quiet(header http.Header, who *auth.Principal) (bool, error) {
	switch text := header.Get(NotifyHeader); {
	case text == "" || text == "yes":
		return false, nil
	case text != "no":
		return false, fhir.Errorf(fhir.Value, "http."+NotifyHeader, "%s: %s: write yes or no", NotifyHeader, clip(text))
	case !s.AllowQuiet:
		return false, fhir.Errorf(fhir.Forbidden, "http."+NotifyHeader, "writing without notifying Subscriptions is not allowed here: leave %s out", NotifyHeader)
	case !who.Open() && (who == nil || !who.Admin):
		refused := auth.RefuseAdmin() // or else whoever may write could hide it from those who subscribed
		refused.Text = "only an administrator may write without notifying Subscriptions: leave " + NotifyHeader + " out, as fhirhook import --notify does"
		return false, refused
	default:
		return true, nil
	}
}
