package receiver

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// What Verify and VerifySignature find wrong.
var (
	ErrMissing   = errors.New("webhook-id, webhook-timestamp or webhook-signature is missing")
	ErrMalformed = errors.New("the signature is not of a known form")
	ErrNoMatch   = errors.New("no signature matches: another secret, or the body was changed on its way")
	ErrOld       = errors.New("sent too long ago: a replay, or a wrong clock")
	ErrEarly     = errors.New("sent in the future: a wrong clock")
)

// Verify checks webhook-signature, which every dialect sends (Standard Webhooks): an HMAC-SHA256 over
// "id.timestamp.body", one for each secret that is good at the time. body are the bytes as they came, never JSON
// written anew. While a secret is being changed, give both; one match is enough.
func Verify(header http.Header, body []byte, secrets []string, now time.Time, tolerance time.Duration) error {
	id, stamp, value := header.Get("webhook-id"), header.Get("webhook-timestamp"), header.Get("webhook-signature")
	if id == "" || stamp == "" || value == "" {
		return ErrMissing
	}
	var signatures [][]byte
	for _, s := range strings.Fields(value) {
		// What is not v1 belongs to a later version of the form, and is not for us.
		if text, ok := strings.CutPrefix(s, "v1,"); ok {
			if signature, err := base64.StdEncoding.DecodeString(text); err == nil && len(signature) == sha256.Size {
				signatures = append(signatures, signature)
			}
		}
	}
	var keys [][]byte
	for _, s := range secrets {
		keys = append(keys, webhookKey(s))
	}
	if err := match(signatures, keys, id+"."+stamp+".", body); err != nil {
		return err
	}
	return recent(stamp, now, tolerance)
}

// VerifySignature checks the header of the dialect alone, such as X-Signature: "<hex>" and "sha256=<hex>" are
// over the body, "t=<unix>,v1=<hex>" is over "<unix>.<body>". The first two know no time, so what was recorded
// once can be replayed for ever: prefer Verify.
func VerifySignature(value string, body []byte, secrets []string, now time.Time, tolerance time.Duration) error {
	var signatures [][]byte
	add := func(text string) {
		if signature, err := hex.DecodeString(text); err == nil && len(signature) == sha256.Size {
			signatures = append(signatures, signature)
		}
	}
	stamp, head := "", ""
	if rest, ok := strings.CutPrefix(value, "t="); ok {
		first, others, _ := strings.Cut(rest, ",")
		stamp, head = first, first+"."
		for part := range strings.SplitSeq(others, ",") {
			if text, ok := strings.CutPrefix(part, "v1="); ok {
				add(text)
			}
		}
	} else {
		add(strings.TrimPrefix(value, "sha256="))
	}
	var keys [][]byte
	for _, s := range secrets {
		keys = append(keys, []byte(s))
	}
	if err := match(signatures, keys, head, body); err != nil || head == "" {
		return err
	}
	return recent(stamp, now, tolerance)
}

// match compares every signature with what every key gives, in constant time.
func match(signatures, keys [][]byte, head string, body []byte) error {
	if len(signatures) == 0 {
		return ErrMalformed
	}
	found := false
	for _, key := range keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(head))
		mac.Write(body)
		want := mac.Sum(nil)
		for _, signature := range signatures {
			found = hmac.Equal(signature, want) || found
		}
	}
	if !found {
		return ErrNoMatch
	}
	return nil
}

// recent is asked last: who can't sign learns nothing about our clock. Each retry carries a time of its own,
// so that a narrow tolerance never refuses what is merely retried.
func recent(stamp string, now time.Time, tolerance time.Duration) error {
	unix, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return ErrMalformed
	}
	switch age := now.Sub(time.Unix(unix, 0)); {
	case age > tolerance:
		return ErrOld
	case age < -tolerance:
		return ErrEarly
	}
	return nil
}

// webhookKey is the key for webhook-signature: behind whsec_ stands base64, any other secret is its own bytes.
func webhookKey(secret string) []byte {
	if text, ok := strings.CutPrefix(secret, "whsec_"); ok {
		if key, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "=")); err == nil {
			return key
		}
	}
	return []byte(secret)
}
