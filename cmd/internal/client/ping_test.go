package client

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPing_printsTheAttemptAndWhatAReceiverVerifies(t *testing.T) {
	t.Parallel()
	s := &server{}
	s.answer("POST /fhir/R4/Subscription/labs/$ping", `{"parameter":[{"name":"id","valueId":"i1"},{"name":"try","valueInteger":1},{"name":"time","valueInstant":"2026-01-31T11:00:00.000Z"},`+
		`{"name":"status","valueInteger":200},{"name":"duration-ms","valueInteger":3},{"name":"reply","valueString":"thanks"},{"name":"state","valueCode":"delivered"},`+
		`{"name":"header","part":[{"name":"name","valueString":"webhook-signature"},{"name":"value","valueString":"v1,abc="}]}]}`)
	c, out, _ := open(t, s, nil)
	if err := c.Ping(t.Context(), "labs"); err != nil {
		t.Fatal(err)
	}
	want := `Subscription/labs  delivered  200 in 3 ms
  id                  i1
  reply               thanks
  webhook-signature   v1,abc=
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	c, out, _ = open(t, s, func(c *Client) { c.JSON = true })
	if err := c.Ping(t.Context(), "labs"); err != nil {
		t.Fatal(err)
	}
	want = `{"id":"i1","subscription":"labs","try":1,"time":"2026-01-31T11:00:00.000Z","status":200,"durationMs":3,"reply":"thanks","state":"delivered","headers":[{"name":"webhook-signature","value":"v1,abc="}]}` + "\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestPing_thatIsNotTakenIsAFailureWithAHint(t *testing.T) {
	t.Parallel()
	for class, want := range map[string]string{
		`{"name":"error-class","valueCode":"tls"},{"name":"hint","valueString":"the certificate has expired"}`: "the certificate has expired",
		`{"name":"error-class","valueCode":"status-4xx"},{"name":"status","valueInteger":403}`:                 "look at channel.header and the secret",
		`{"name":"error-class","valueCode":"status-4xx"},{"name":"status","valueInteger":404}`:                 "knows no such path",
		`{"name":"error-class","valueCode":"status-4xx"},{"name":"status","valueInteger":422}`:                 "does not take the request (422)",
		`{"name":"error-class","valueCode":"timeout-reply"}`:                                                   "answer first and work afterwards",
	} {
		s := &server{}
		s.answer("POST /", `{"parameter":[{"name":"id","valueId":"i1"},{"name":"try","valueInteger":1},{"name":"state","valueCode":"failed"},`+class+`]}`)
		c, out, _ := open(t, s, nil)
		err := c.Ping(t.Context(), "labs")
		if err == nil || errors.Is(err, ErrUsage) || !strings.Contains(out.String(), "hint") || !strings.Contains(out.String(), want) {
			t.Errorf("%s: %v, %s", class, err, out)
		}
	}
}
