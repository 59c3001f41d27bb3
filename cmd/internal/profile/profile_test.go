package profile_test

import (
	"io"
	"net/http"
	"testing"

	"fhirhook/cmd/internal/profile"
)

func TestServe_refusesWhatIsReachableFromOutside(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"0.0.0.0:0", ":6060", "192.0.2.1:6060", "[::]:6060", "example.org:6060", "127.0.0.1"} {
		if s, err := profile.Serve(t.Context(), addr); err == nil {
			s.Close()
			t.Errorf("profiles are served on %s", addr)
		}
	}
}

// Not parallel: rates of sampling are the process's.
func TestServe_givesEachProfile(t *testing.T) {
	s, err := profile.Serve(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"heap", "block", "mutex", "goroutine"} {
		response, err := http.Get(s.URL + name)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK || len(body) == 0 {
			t.Errorf("%s: status %d, %d bytes, %v", name, response.StatusCode, len(body), err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := http.Get(s.URL); err == nil {
		t.Error("profiles are served after Close")
	}
}
