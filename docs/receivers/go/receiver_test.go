package receiver_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	receiver "fhirhook/docs/receivers/go"
)

// The vector that the Standard Webhooks libraries publish.
const (
	secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	body   = `{"test": 2432232314}`
)

var sentAt = time.Unix(1614265330, 0)

func published() http.Header {
	h := http.Header{}
	h.Set("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
	h.Set("webhook-timestamp", "1614265330")
	h.Set("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
	return h
}

func TestVerify_tellsWhatIsWrong(t *testing.T) {
	with := func(name, value string) http.Header {
		h := published()
		h.Set(name, value)
		return h
	}
	const right = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	tests := []struct {
		name    string
		header  http.Header
		body    string
		secrets []string
		now     time.Time
		want    error
	}{
		{"right", published(), body, []string{secret}, sentAt, nil},
		{"one of several secrets", published(), body, []string{"newer", secret}, sentAt, nil},
		{"one of several signatures", with("webhook-signature", "v1a,x v1,"+strings.Repeat("A", 43)+"= "+right), body, []string{secret}, sentAt, nil},
		{"at the edge", published(), body, []string{secret}, sentAt.Add(5 * time.Minute), nil},
		{"another secret", published(), body, []string{"abc"}, sentAt, receiver.ErrNoMatch},
		{"no secret", published(), body, nil, sentAt, receiver.ErrNoMatch},
		{"body written anew", published(), `{"test":2432232314}`, []string{secret}, sentAt, receiver.ErrNoMatch},
		{"another id", with("webhook-id", "msg_q"), body, []string{secret}, sentAt, receiver.ErrNoMatch},
		{"another time", with("webhook-timestamp", "1614265331"), body, []string{secret}, sentAt, receiver.ErrNoMatch},
		{"old", published(), body, []string{secret}, sentAt.Add(5*time.Minute + time.Second), receiver.ErrOld},
		{"early", published(), body, []string{secret}, sentAt.Add(-6 * time.Minute), receiver.ErrEarly},
		{"unsigned", with("webhook-signature", ""), body, []string{secret}, sentAt, receiver.ErrMissing},
		{"only a later version", with("webhook-signature", "v1a,AAAA"), body, []string{secret}, sentAt, receiver.ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := receiver.Verify(tt.header, []byte(tt.body), tt.secrets, tt.now, 5*time.Minute); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// Computed with: printf '%s' BODY | openssl dgst -sha256 -hmac abc.
func TestVerifySignature_readsEveryForm(t *testing.T) {
	const (
		text = `{"resourceType":"DiagnosticReport","status":"final"}`
		hex  = "4b01566990e822fa3f66ee55d27ec894d292bfb7cbd03feea04b4f92dca7502b"
		timd = "t=1700000000,v1=e04e6a51689332b04c290b763dd466de3cb6e0c29f9cd4a0893d96f11982fcad"
	)
	at := time.Unix(1700000000, 0)
	tests := []struct {
		value, body, secret string
		now                 time.Time
		want                error
	}{
		{hex, text, "abc", at.Add(time.Hour), nil},
		{"sha256=" + hex, text, "abc", at, nil},
		{timd, text, "abc", at, nil},
		{timd + ",v1=" + hex, text, "abc", at, nil},
		{hex, text + " ", "abc", at, receiver.ErrNoMatch},
		{hex, text, "abd", at, receiver.ErrNoMatch},
		{timd, text, "abc", at.Add(time.Hour), receiver.ErrOld},
		{strings.Replace(timd, "t=17", "t=18", 1), text, "abc", at, receiver.ErrNoMatch},
		{"", text, "abc", at, receiver.ErrMalformed},
		{"sha256=", text, "abc", at, receiver.ErrMalformed},
		{"t=1700000000", text, "abc", at, receiver.ErrMalformed},
	}
	for _, tt := range tests {
		if err := receiver.VerifySignature(tt.value, []byte(tt.body), []string{"other", tt.secret}, tt.now, time.Minute); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.value, err, tt.want)
		}
	}
}

func TestGaps_areTheNumbersThatHaveNotCome(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		came, highest, gaps := map[uint64]bool{}, uint64(0), receiver.Gaps{}
		for range rapid.IntRange(0, 60).Draw(t, "many") {
			n := rapid.Uint64Range(1, 40).Draw(t, "number")
			came[n] = true
			highest = max(highest, n)
			gaps.Note(n)
		}
		var want, got []uint64
		for n := uint64(1); n < highest; n++ {
			if !came[n] {
				want = append(want, n)
			}
		}
		for _, r := range gaps.Missing {
			for n := r.From; n <= r.To; n++ {
				got = append(got, n)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || gaps.Last != highest {
			t.Errorf("last %d, want %d; missing (-want +got):\n%s", gaps.Last, highest, diff)
		}
	})
}

func TestSeen_forgetsTheOldest(t *testing.T) {
	s := receiver.NewSeen(3)
	for _, id := range []string{"a", "b", "c", "b", "d", "e"} {
		s.Add(id)
	}
	for id, want := range map[string]bool{"a": false, "b": false, "c": true, "d": true, "e": true} {
		if s.Has(id) != want {
			t.Errorf("%s is remembered: %v", id, !want)
		}
	}
}

// What could not be kept is not remembered, and so the retry is taken.
func TestReceiver_whatCouldNotBeKeptComesAgain(t *testing.T) {
	full := true
	var kept []string
	var verdicts []string
	r := receiver.New([]string{secret}, func(n receiver.Notification) error {
		if full {
			return errors.New("disk full: /var/lib/hooks")
		}
		kept = append(kept, n.ID+" "+string(n.Body))
		return nil
	}, func(v receiver.Verdict) { verdicts = append(verdicts, v.Verdict+v.Missing) })
	r.Now = func() time.Time { return sentAt }
	var statuses []int
	send := func(test string) {
		q := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/hook/Patient/1", strings.NewReader(body))
		q.Header = published()
		if test != "" {
			q.Header.Set("X-Fhirhook-Test", test)
		} else {
			q.Header.Set("X-Fhirhook-Sequence", "3")
		}
		w := httptest.NewRecorder()
		r.ServeHTTP(w, q)
		if strings.Contains(w.Body.String(), "disk") {
			t.Errorf("the sender reads %q", w.Body)
		}
		statuses = append(statuses, w.Code)
	}
	send("true")
	send("")
	full = false
	send("")
	send("")
	if diff := cmp.Diff([]string{"test", "failed", "accepted1-2", "duplicate"}, verdicts); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
	if got := fmt.Sprint(statuses); got != "[200 500 200 200]" {
		t.Errorf("statuses %s", got)
	}
	if len(kept) != 1 || kept[0] != "msg_p5jXN8AQM9LWM0D4loKWxJek "+body {
		t.Errorf("kept %q", kept)
	}
}

func TestReceiver_endlessBodiesAreCutOff(t *testing.T) {
	r := receiver.New([]string{secret}, nil, func(v receiver.Verdict) { t.Errorf("verdict %+v", v) })
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", endless{}))
	if w.Code != http.StatusBadRequest {
		t.Errorf("status %d", w.Code)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }
