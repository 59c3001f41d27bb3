package resthook_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"fhirhook/channel"
	"fhirhook/channel/resthook"
)

// vector is one row of testdata/vectors/signatures.json.
type vector struct {
	Name       string            `json:"name"`
	Secrets    []string          `json:"secrets"`
	ID         string            `json:"id"`
	Time       int64             `json:"time"`
	Body       *string           `json:"body"` // null: no text
	BodyBase64 string            `json:"bodyBase64"`
	Headers    map[string]string `json:"headers"`
	Signature  map[string]string `json:"signature"`
	// Accepts are the secrets, by their places, that a receiver may know and be content with each value.
	Accepts map[string][]int `json:"accepts"`
}

// vectorFile is outside of the package, for it is for others.
var vectorFile = filepath.Join("..", "..", "testdata", "vectors", "signatures.json")

// vectorInputs is what the vectors are about.
func vectorInputs() []vector {
	text := func(name, body string, secrets ...string) vector {
		return vector{Name: name, Secrets: secrets, ID: "0192f2d0-6f3a-7c1e-8000-5d1c9a2b7e44", Time: 1700000000, BodyBase64: base64.StdEncoding.EncodeToString([]byte(body))}
	}
	report := `{"resourceType":"DiagnosticReport","id":"dr-1","status":"final"}`
	early, late := text("a time of nine digits", report, "abc"), text("a time after 2038", report, "abc")
	early.Time, late.Time = 999999999, 4102444800
	other := text("another id", report, "abc")
	other.ID = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"
	return []vector{
		text("a resource", report, "abc"),
		text("an empty object, as of a delete or a ping", "{}", "abc"),
		text("no body, as of a ping in the dialect fhir", "", "abc"),
		text("letters beyond ASCII", `{"text":"Žofie – 5 °C 🩺 \u00e9 <b>&amp;</b>"}`, "abc"),
		text("blanks and line ends that must stay", "{ \"a\" : 1.0 ,\r\n\t\"b\":1e2}\n", "abc"),
		text("bytes that are no text", "\xff\x00\xfe", "abc"),
		text("numbers that a parser would change", `{"value":1.00,"big":12345678901234567890}`, "abc"),
		early, late, other,
		text("a secret of Standard Webhooks", report, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
		text("a secret of Standard Webhooks without padding", report, "whsec_c2VjcmV0LWtleQ"),
		text("the same secret with padding", report, "whsec_c2VjcmV0LWtleQ=="),
		text("a secret beyond ASCII", report, "ключ-ž"),
		text("a secret with blanks, which count", report, " abc "),
		text("a secret that looks like hex, and isn't read as it", report, "00ff00ff"),
		text("a secret longer than the hash's block", report, strings.Repeat("0123456789", 7)),
		text("two secrets while one replaces the other", report, "new-key", "old-key"),
		text("a secret of Standard Webhooks replaces a plain one", report, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "abc"),
		text("two secrets and no body", "", "new-key", "old-key"),
	}
}

// TestVectors_areWhatWeSend makes the vectors by building requests; -update writes them.
func TestVectors_areWhatWeSend(t *testing.T) {
	got := vectorInputs()
	for i := range got {
		got[i].fill(t)
	}
	if *update {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(got); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(vectorFile, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(vectors(t), got); diff != "" {
		t.Error(diff)
	}
}

// fill takes the headers from requests with the body.
func (v *vector) fill(t *testing.T) {
	t.Helper()
	body := v.bytes(t)
	if utf8.Valid(body) {
		text := string(body)
		v.Body = &text
	}
	v.Headers, v.Signature = map[string]string{}, map[string]string{}
	v.Accepts = map[string][]int{"body": {len(v.Secrets) - 1}, "sha256": {len(v.Secrets) - 1}}
	for i := range v.Secrets {
		v.Accepts["timestamped"] = append(v.Accepts["timestamped"], i)
		v.Accepts["webhook-signature"] = append(v.Accepts["webhook-signature"], i)
	}
	for _, form := range resthook.Forms() {
		m := messages()["create"]
		m.ID, m.Target.Secrets, m.Target.Signature, m.Body = v.ID, v.Secrets, form, body
		r, err := resthook.Build(m, dialect(t, "kit"), time.Unix(v.Time, 0))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(r.Body, body) {
			t.Fatalf("%s: sent %q", v.Name, r.Body)
		}
		v.Signature[form] = values(r, "X-Signature")[0]
		for _, name := range []string{"webhook-id", "webhook-timestamp", "webhook-signature"} {
			v.Headers[name] = values(r, name)[0]
		}
	}
}

func (v *vector) bytes(t *testing.T) []byte {
	t.Helper()
	body, err := base64.StdEncoding.DecodeString(v.BodyBase64)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func vectors(t *testing.T) []vector {
	t.Helper()
	text, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestVectors_byTheDefinitions computes every value anew, from the words of the forms alone.
func TestVectors_byTheDefinitions(t *testing.T) {
	mac := func(key []byte, message string) []byte {
		h := hmac.New(sha256.New, key)
		fmt.Fprint(h, message)
		return h.Sum(nil)
	}
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			body := string(v.bytes(t))
			if v.Body != nil && *v.Body != body {
				t.Errorf("body and bodyBase64 differ: %q, %q", *v.Body, body)
			}
			unix := strconv.FormatInt(v.Time, 10)
			oldest := hex.EncodeToString(mac([]byte(v.Secrets[len(v.Secrets)-1]), body))
			stamped := "t=" + unix
			var webhook []string
			for _, s := range v.Secrets {
				stamped += ",v1=" + hex.EncodeToString(mac([]byte(s), unix+"."+body))
				key := []byte(s)
				if text, ok := strings.CutPrefix(s, "whsec_"); ok {
					var err error
					if key, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "=")); err != nil {
						t.Fatal(err)
					}
				}
				webhook = append(webhook, "v1,"+base64.StdEncoding.EncodeToString(mac(key, v.ID+"."+unix+"."+body)))
			}
			want := map[string]string{"body": oldest, "sha256": "sha256=" + oldest, "timestamped": stamped}
			if diff := cmp.Diff(want, v.Signature); diff != "" {
				t.Error(diff)
			}
			want = map[string]string{"webhook-id": v.ID, "webhook-timestamp": unix, "webhook-signature": strings.Join(webhook, " ")}
			if diff := cmp.Diff(want, v.Headers); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestVectors_accepted: each secret that is named is enough, by the library of Standard Webhooks where that is
// the form, and a changed body or secret never passes.
func TestVectors_accepted(t *testing.T) {
	for _, v := range vectors(t) {
		body := v.bytes(t)
		at := time.Unix(v.Time, 0)
		for form, places := range v.Accepts {
			for _, place := range places {
				for _, changed := range []string{"", "body", "secret"} {
					t.Run(v.Name+"/"+form+"/"+strconv.Itoa(place)+"/"+changed, func(t *testing.T) {
						body, secret := body, v.Secrets[place]
						switch changed {
						case "body":
							body = append(bytes.Clone(body), '\n')
						case "secret":
							rest, prefixed := strings.CutPrefix(secret, "whsec_")
							secret = "QUJD" + rest // in front: zeros behind a key are the same key to HMAC
							if prefixed {
								secret = "whsec_" + secret
							}
						}
						if ours := v.verify(form, secret, body, at); (ours == nil) != (changed == "") {
							t.Errorf("Verify says %v", ours)
						}
						if form != "webhook-signature" || strings.HasPrefix(secret, "whsec_") && len(strings.TrimPrefix(secret, "whsec_"))%4 != 0 {
							return // the library takes no base64 without its padding
						}
						if theirs := v.library(t, secret, body); (theirs == nil) != (changed == "") {
							t.Errorf("the library says %v", theirs)
						}
					})
				}
			}
		}
	}
}

func (v *vector) verify(form, secret string, body []byte, at time.Time) error {
	if form == "webhook-signature" {
		return resthook.VerifyWebhook(v.Headers[form], v.ID, v.Headers["webhook-timestamp"], []string{secret}, body, at, time.Minute)
	}
	return resthook.Verify(v.Signature[form], []string{secret}, body, at, time.Minute)
}

func (v *vector) library(t *testing.T, secret string, body []byte) error {
	t.Helper()
	var w *standardwebhooks.Webhook
	var err error
	if strings.HasPrefix(secret, "whsec_") {
		w, err = standardwebhooks.NewWebhook(secret)
	} else {
		w, err = standardwebhooks.NewWebhookRaw([]byte(secret))
	}
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	for name, value := range v.Headers {
		h.Set(name, value)
	}
	return w.VerifyIgnoringTimestamp(body, h)
}

// Without a secret nothing is signed, in any form.
func TestVectors_noSecretNoValue(t *testing.T) {
	for _, form := range resthook.Forms() {
		m := messages()["create"]
		m.Target = channel.Target{Endpoint: "https://receiver.example/", Signature: form}
		r, err := resthook.Build(m, dialect(t, "kit"), time.Unix(1700000000, 0))
		if err != nil {
			t.Fatal(err)
		}
		if got := append(values(r, "X-Signature"), values(r, "webhook-signature")...); got != nil {
			t.Errorf("%s: %q", form, got)
		}
	}
}
