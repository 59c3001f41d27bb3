package edge

import (
	"net/http"
)

// maxFields is how many header fields a request may have.
const maxFields = 128

// secured sets what browsers are told with every answer. Handlers may say more precisely what they know better:
// Cache-Control, and the policy of content that somebody else sent.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connKey{}).(*strict); ok && c.tls != nil {
			r.TLS = c.tls // net/http can't see through the connection
		}
		header := w.Header()
		header["X-Content-Type-Options"] = noSniff
		header["X-Frame-Options"] = deny
		header["Referrer-Policy"] = noReferrer
		header["Content-Security-Policy"] = nothing
		header["Cross-Origin-Resource-Policy"] = sameOrigin
		header["Cache-Control"] = noStore
		if r.TLS != nil {
			header["Strict-Transport-Security"] = aYear
		}
		fields := 0
		for _, values := range r.Header {
			fields += len(values)
		}
		if fields > maxFields {
			header.Set("Connection", "close")
			refusal{http.StatusRequestHeaderFieldsTooLarge, "too-long", "the request has too many header fields", 0}.write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Values that no request changes: a slice each would be garbage.
var (
	noSniff    = []string{"nosniff"}
	deny       = []string{"DENY"}
	noReferrer = []string{"no-referrer"}
	nothing    = []string{"default-src 'none'; frame-ancestors 'none'"}
	sameOrigin = []string{"same-origin"}
	noStore    = []string{"no-store"}
	aYear      = []string{"max-age=31536000"}
)
