package edge

import (
	"net/http"
	"time"
)

// crowd bounds how many requests are under way. One too many is refused at once, for a queue would only hold memory
// until clients have given up. Those that exempt names, such as whether the server is well, always pass.
func crowd(limit int, exempt func(*http.Request) bool, next http.Handler) http.Handler {
	places := make(chan struct{}, limit)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if exempt != nil && exempt(r) {
			next.ServeHTTP(w, r)
			return
		}
		select {
		case places <- struct{}{}:
		default:
			refusal{http.StatusServiceUnavailable, "transient", "the server has as many requests under way as it takes (--max-requests): repeat this one later", time.Second}.write(w)
			return
		}
		defer func() { <-places }()
		next.ServeHTTP(w, r)
	})
}
