package edge

import (
	"net/url"
	"strings"
	"testing"
)

// FuzzOrigin: an origin that is accepted is one that browsers send, letter for letter, and no host that is taken for known holds one
// that is not.
func FuzzOrigin(f *testing.F) {
	for _, s := range []string{"https://app.example.org", "http://[::1]:3000", "https://a.example@evil.com", "https://a.example:443#x", "*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if err := CheckOrigin(s); err == nil && s != AnyOrigin {
			u, err := url.Parse(s)
			if err != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || !strings.HasSuffix(s, "//"+u.Host) {
				t.Errorf("%q is accepted: %+v, %v", s, u, err)
			}
		}
		if knownHost(s, nil) && strings.HasSuffix(strings.ToLower(s), ".attacker.com") {
			t.Errorf("%q is taken for a name that nobody can register", s)
		}
	})
}
