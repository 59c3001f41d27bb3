package edge

import (
	"net/http"
	"time"
)

// Unready refuses every request because the server can't answer any yet, for a reason that may change.
func Unready(reason func() string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		refusal{http.StatusServiceUnavailable, "transient", reason(), time.Second}.write(w)
	})
}
