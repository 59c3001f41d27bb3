package resthook_test

import (
	"errors"
	"net/http"
	"strconv"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"pgregory.net/rapid"

	"fhirhook/channel/resthook"
)

// The vectors of the Standard Webhooks text and of its libraries.
func TestSignWebhook_publishedVectors(t *testing.T) {
	tests := []struct {
		name, secret, id string
		at               int64
		body, want       string
	}{
		{
			"ping", "whsec_plJ3nmyCDGBKInavdOK15jsl", "msg_loFOjxBNrRLzqYUf", 1731705121,
			`{"event_type":"ping","data":{"success":true}}`, "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
		},
		{
			"library", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
			`{"test": 2432232314}`, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			at := time.Unix(tt.at, 0)
			if got := resthook.SignWebhook([]string{tt.secret}, tt.id, at, []byte(tt.body)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if err := resthook.VerifyWebhook(tt.want, tt.id, strconv.FormatInt(tt.at, 10), []string{tt.secret}, []byte(tt.body), at, time.Minute); err != nil {
				t.Errorf("verify: %v", err)
			}
		})
	}
}

func TestSignWebhook_independentLibraryVerifies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.SliceOf(rapid.Byte()).Draw(t, "body")
		old, young := "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", rapid.StringMatching(`[ -~é]{1,40}`).Draw(t, "secret")
		now := time.Now()
		h := http.Header{}
		h.Set("webhook-id", "msg_1")
		h.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
		h.Set("webhook-signature", resthook.SignWebhook([]string{young, old}, "msg_1", now, body))
		decoded, err := standardwebhooks.NewWebhook(old)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := standardwebhooks.NewWebhookRaw([]byte(young))
		if err != nil {
			t.Fatal(err)
		}
		for _, receiver := range []*standardwebhooks.Webhook{decoded, raw} {
			if err := receiver.Verify(body, h); err != nil {
				t.Errorf("both secrets of a rotation must be verified: %v", err)
			}
			if err := receiver.Verify(append(body, '.'), h); err == nil {
				t.Error("a changed body is verified")
			}
		}
	})
}

// Recomputed with: printf '%s' BODY | openssl dgst -sha256 -hmac KEY.
func TestSign_formsOfTheSeeds(t *testing.T) {
	body := []byte(`{"resourceType":"DiagnosticReport","status":"final"}`)
	at := time.Unix(1700000000, 0)
	tests := []struct{ form, want string }{
		{resthook.FormBody, "4b01566990e822fa3f66ee55d27ec894d292bfb7cbd03feea04b4f92dca7502b"},
		{resthook.FormSHA256, "sha256=4b01566990e822fa3f66ee55d27ec894d292bfb7cbd03feea04b4f92dca7502b"},
		{resthook.FormTimestamped, "t=1700000000,v1=e04e6a51689332b04c290b763dd466de3cb6e0c29f9cd4a0893d96f11982fcad"},
	}
	for _, tt := range tests {
		t.Run(tt.form, func(t *testing.T) {
			got, err := resthook.Sign(tt.form, []string{"abc"}, body, at)
			if err != nil || got != tt.want {
				t.Errorf("got %s, %v, want %s", got, err, tt.want)
			}
			if err := resthook.Verify(got, []string{"other", "abc"}, body, at, time.Minute); err != nil {
				t.Errorf("verify: %v", err)
			}
		})
	}
}

// DESIGN §4.4: while two secrets live, headers that hold one signature stay with the old one.
func TestSign_rotationKeepsTheOldSecretWhereOneFits(t *testing.T) {
	body, at := []byte("{}"), time.Unix(1700000000, 0)
	both, old, young := []string{"young", "old"}, []string{"old"}, []string{"young"}
	for _, form := range []string{resthook.FormBody, resthook.FormSHA256} {
		got, err := resthook.Sign(form, both, body, at)
		if err != nil {
			t.Fatal(err)
		}
		if err := resthook.Verify(got, old, body, at, 0); err != nil {
			t.Errorf("%s: the old secret doesn't verify: %v", form, err)
		}
		if err := resthook.Verify(got, young, body, at, 0); !errors.Is(err, resthook.ErrSignatureWrong) {
			t.Errorf("%s: the new secret: %v", form, err)
		}
	}
	got, err := resthook.Sign(resthook.FormTimestamped, both, body, at)
	if err != nil {
		t.Fatal(err)
	}
	for _, secrets := range [][]string{old, young} {
		if err := resthook.Verify(got, secrets, body, at, time.Minute); err != nil {
			t.Errorf("timestamped, %s: %v", secrets, err)
		}
	}
}

// A whsec_ secret is decoded for webhook-signature alone.
func TestSign_whsecIsText(t *testing.T) {
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	at := time.Unix(1700000000, 0)
	got, err := resthook.Sign(resthook.FormBody, []string{secret}, []byte("{}"), at)
	if err != nil || got != "6cbbcdf2c8016ca85b50543b19e8e121ef16137967bdfa3ce660972922bafaeb" {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestVerify_refusals(t *testing.T) {
	body, at, s := []byte("{}"), time.Unix(1700000000, 0), []string{"abc"}
	sign := func(form string) string {
		v, err := resthook.Sign(form, s, body, at)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	hooks := resthook.SignWebhook(s, "id", at, body)
	tests := []struct {
		name  string
		value string
		now   time.Time
		body  string
		want  error
	}{
		{"body changed", sign(resthook.FormBody), at, "{ }", resthook.ErrSignatureWrong},
		{"sha256 changed", sign(resthook.FormSHA256), at, "{ }", resthook.ErrSignatureWrong},
		{"timestamped changed", sign(resthook.FormTimestamped), at, "{ }", resthook.ErrSignatureWrong},
		{"old", sign(resthook.FormTimestamped), at.Add(6 * time.Minute), "{}", resthook.ErrSignatureOld},
		{"early", sign(resthook.FormTimestamped), at.Add(-6 * time.Minute), "{}", resthook.ErrSignatureEarly},
		{"just in time", sign(resthook.FormTimestamped), at.Add(5 * time.Minute), "{}", nil},
		{"time changed", "t=1700000001" + sign(resthook.FormTimestamped)[12:], at, "{}", resthook.ErrSignatureWrong},
		{"empty", "", at, "{}", resthook.ErrSignatureMalformed},
		{"short", "abcd", at, "{}", resthook.ErrSignatureMalformed},
		{"not hex", "sha256=zz", at, "{}", resthook.ErrSignatureMalformed},
		{"time missing", "t=,v1=00", at, "{}", resthook.ErrSignatureMalformed},
		{"no version known", "t=1700000000,v9=00", at, "{}", resthook.ErrSignatureMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := resthook.Verify(tt.value, s, []byte(tt.body), tt.now, 5*time.Minute); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	webhook := []struct {
		name, value, id, at string
		now                 time.Time
		want                error
	}{
		{"right", hooks, "id", "1700000000", at, nil},
		{"right among others", "v1a,AAAA v1,AAAA " + hooks, "id", "1700000000", at, nil},
		{"other id", hooks, "di", "1700000000", at, resthook.ErrSignatureWrong},
		{"other time", hooks, "id", "1700000001", at, resthook.ErrSignatureWrong},
		{"old", hooks, "id", "1700000000", at.Add(time.Hour), resthook.ErrSignatureOld},
		{"early", hooks, "id", "1700000000", at.Add(-time.Hour), resthook.ErrSignatureEarly},
		{"no time", hooks, "id", "", at, resthook.ErrSignatureMalformed},
		{"no id", hooks, "", "1700000000", at, resthook.ErrSignatureMalformed},
		{"only later versions", "v1a,AAAA", "id", "1700000000", at, resthook.ErrSignatureMalformed},
	}
	for _, tt := range webhook {
		t.Run("webhook "+tt.name, func(t *testing.T) {
			if err := resthook.VerifyWebhook(tt.value, tt.id, tt.at, s, body, tt.now, 5*time.Minute); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestCheckSecret(t *testing.T) {
	for secret, ok := range map[string]bool{
		"abc": true, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw": true, "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD": true,
		"whsec_YWI=": true, "whsec_YWI": true, "": false, "whsec_": false, "whsec_not base64": false,
	} {
		if err := resthook.CheckSecret(secret); (err == nil) != ok {
			t.Errorf("%q: %v", secret, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("t=1700000000,v1=00", "{}", "abc")
	f.Add("sha256=aa", "", "whsec_aa")
	f.Add("v1,AAAA v1a,x", "x", "")
	f.Fuzz(func(t *testing.T, value, body, secret string) {
		at := time.Unix(1700000000, 0)
		_ = resthook.Verify(value, []string{secret}, []byte(body), at, time.Minute)
		_ = resthook.VerifyWebhook(value, "id", "1700000000", []string{secret}, []byte(body), at, time.Minute)
		signed := resthook.SignWebhook([]string{secret}, "id", at, []byte(body))
		if err := resthook.VerifyWebhook(signed, "id", "1700000000", []string{secret}, []byte(body), at, time.Minute); err != nil {
			t.Errorf("own signature: %v", err)
		}
	})
}
