package resthook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The forms of a dialect's signature header. The key is the secret's UTF-8 bytes, the message is exactly the
// bytes that are sent.
const (
	FormBody        = "body"        // hex HMAC-SHA256 of the body
	FormSHA256      = "sha256"      // sha256=<the same>
	FormTimestamped = "timestamped" // t=<unix>,v1=<hex HMAC-SHA256 of "<unix>.<body>">, a v1 for each secret
)

// Forms lists the forms.
func Forms() []string { return []string{FormBody, FormSHA256, FormTimestamped} }

// What Verify and VerifyWebhook find wrong with a signature.
var (
	ErrSignatureMalformed = errors.New("the signature is not of a known form")
	ErrSignatureWrong     = errors.New("no signature matches: another secret, or the body was changed")
	ErrSignatureOld       = errors.New("the signature's time is too long ago")
	ErrSignatureEarly     = errors.New("the signature's time lies in the future")
)

// webhookPrefix marks a secret that Standard Webhooks libraries decode from base64.
const webhookPrefix = "whsec_"

// CheckSecret tells what is wrong with a secret as a Subscription brings it, never quoting it.
func CheckSecret(secret string) error {
	if secret == "" {
		return errors.New("the secret is empty")
	}
	if rest, ok := strings.CutPrefix(secret, webhookPrefix); ok {
		if key, err := decodeKey(rest); err != nil || len(key) == 0 {
			return errors.New("a secret that begins with whsec_ must go on in base64, as Standard Webhooks has it")
		}
	}
	return nil
}

// Sign returns the value of a dialect's signature header for secrets, the newest first. Forms that hold one
// signature stay with the oldest secret, which a receiver knows until the overlap of a rotation ends.
func Sign(form string, secrets []string, body []byte, at time.Time) (string, error) {
	if len(secrets) == 0 {
		return "", errors.New("sign without a secret")
	}
	oldest := secrets[len(secrets)-1]
	switch form {
	case FormBody:
		return hex.EncodeToString(sum([]byte(oldest), body)), nil
	case FormSHA256:
		return "sha256=" + hex.EncodeToString(sum([]byte(oldest), body)), nil
	case FormTimestamped:
		unix := strconv.FormatInt(at.Unix(), 10)
		value := "t=" + unix
		for _, s := range secrets {
			value += ",v1=" + hex.EncodeToString(sum([]byte(s), []byte(unix+"."), body))
		}
		return value, nil
	default:
		return "", fmt.Errorf("unknown signature form %q", form)
	}
}

// SignWebhook returns the value of webhook-signature (Standard Webhooks, v1): one signature for each secret.
func SignWebhook(secrets []string, id string, at time.Time, body []byte) string {
	head := []byte(id + "." + strconv.FormatInt(at.Unix(), 10) + ".")
	values := make([]string, len(secrets))
	for i, s := range secrets {
		values[i] = "v1," + base64.StdEncoding.EncodeToString(sum(webhookKey(s), head, body))
	}
	return strings.Join(values, " ")
}

// Verify checks the value of a dialect's signature header, whichever form it has, against each of the secrets.
// A time in it may be tolerance away from now; tolerance 0 doesn't look at it.
func Verify(value string, secrets []string, body []byte, now time.Time, tolerance time.Duration) error {
	if strings.HasPrefix(value, "t=") {
		return verifyTimestamped(value, secrets, body, now, tolerance)
	}
	got, err := hex.DecodeString(strings.TrimPrefix(value, "sha256="))
	if err != nil || len(got) != sha256.Size {
		return ErrSignatureMalformed
	}
	match := false
	for _, s := range secrets { // all of them, so that the time tells nothing
		match = hmac.Equal(got, sum([]byte(s), body)) || match
	}
	if !match {
		return ErrSignatureWrong
	}
	return nil
}

func verifyTimestamped(value string, secrets []string, body []byte, now time.Time, tolerance time.Duration) error {
	first, rest, _ := strings.Cut(value, ",")
	unix := strings.TrimPrefix(first, "t=")
	at, err := strconv.ParseInt(unix, 10, 64)
	if err != nil {
		return ErrSignatureMalformed
	}
	match, known := false, false
	for part := range strings.SplitSeq(rest, ",") {
		text, ok := strings.CutPrefix(part, "v1=")
		if !ok {
			continue // a later version of the form
		}
		known = true
		got, err := hex.DecodeString(text)
		if err != nil {
			return ErrSignatureMalformed
		}
		for _, s := range secrets {
			match = hmac.Equal(got, sum([]byte(s), []byte(unix+"."), body)) || match
		}
	}
	return verdict(known, match, time.Unix(at, 0), now, tolerance)
}

// VerifyWebhook checks webhook-signature against webhook-id, webhook-timestamp, the body and each of the
// secrets; tolerance as for Verify.
func VerifyWebhook(value, id, timestamp string, secrets []string, body []byte, now time.Time, tolerance time.Duration) error {
	at, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || id == "" {
		return ErrSignatureMalformed
	}
	head := []byte(id + "." + timestamp + ".")
	match, known := false, false
	for _, part := range strings.Fields(value) {
		text, ok := strings.CutPrefix(part, "v1,")
		if !ok {
			continue
		}
		known = true
		got, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return ErrSignatureMalformed
		}
		for _, s := range secrets {
			match = hmac.Equal(got, sum(webhookKey(s), head, body)) || match
		}
	}
	return verdict(known, match, time.Unix(at, 0), now, tolerance)
}

// verdict looks at the time last: who can't sign learns nothing about the clock.
func verdict(known, match bool, at, now time.Time, tolerance time.Duration) error {
	switch {
	case !known:
		return ErrSignatureMalformed
	case !match:
		return ErrSignatureWrong
	case tolerance > 0 && now.Sub(at) > tolerance:
		return ErrSignatureOld
	case tolerance > 0 && at.Sub(now) > tolerance:
		return ErrSignatureEarly
	default:
		return nil
	}
}

// webhookKey is the key for webhook-signature: what follows whsec_ decoded from base64, any other secret's
// bytes. A whsec_ secret that isn't base64 is refused by CheckSecret when it is written; its bytes stand in here.
func webhookKey(secret string) []byte {
	if rest, ok := strings.CutPrefix(secret, webhookPrefix); ok {
		if key, err := decodeKey(rest); err == nil {
			return key
		}
	}
	return []byte(secret)
}

// decodeKey takes base64 with and without padding.
func decodeKey(s string) ([]byte, error) {
	return base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
}

func sum(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}
