package listen

import (
	"net/http"
	"net/url"
	"testing"
	"time"
)

// FuzzNotification: whoever calls the receiver with whatever headers is printed, and no forged signature is taken for good.
func FuzzNotification(f *testing.F) {
	f.Add("webhook-signature", "v1,AAAA", "X-Fhirhook-Sequence", "7", []byte("{}"))
	f.Add("X-Signature", "sha256=00", "X-Fhirhook-Attempt", "-1", []byte(nil))
	f.Add("webhook-id", "a.b", "webhook-timestamp", "9999999999999999999", []byte("\x00"))
	o := Options{Secrets: []string{"a secret that nobody guesses, 7f21c0"}}
	f.Fuzz(func(t *testing.T, name, value, name2, value2 string, body []byte) {
		r := &http.Request{Method: http.MethodPost, URL: &url.URL{Path: "/"}, Header: http.Header{}}
		r.Header.Set(name, value)
		r.Header.Set(name2, value2)
		n := read(r, body, o, time.Unix(1_800_000_000, 0))
		for _, s := range n.Signatures {
			if s.Verdict == "ok" {
				t.Errorf("%q: %q, %q: %q of %q is taken for good", name, value, name2, value2, body)
			}
		}
	})
}
