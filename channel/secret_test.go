package channel_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"fhirhook/channel"
)

// TestTarget_printsNoSecrets, whoever prints it however, by itself or as a part.
func TestTarget_printsNoSecrets(t *testing.T) {
	t.Parallel()
	target := channel.Target{
		Endpoint: "https://a.example/hook?token=planted", Payload: "application/fhir+json", Dialect: "kit",
		Headers: []channel.Header{{Name: "Authorization", Value: "Bearer planted"}}, Secrets: []string{"planted"},
	}
	message := channel.Message{Target: target}
	var texts []string
	for _, v := range []any{target, &target, []channel.Target{target}, message, &message, target.Headers, target.Headers[0], map[string]channel.Target{"x": target}, struct{ T *channel.Target }{&target}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			texts = append(texts, fmt.Sprintf(verb, v))
		}
		text, err := json.Marshal(v)
		texts = append(texts, string(text), fmt.Sprint(err), errors.Join(fmt.Errorf("send: %v", v)).Error())
		for _, h := range []func(*bytes.Buffer) slog.Handler{
			func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
			func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		} {
			var b bytes.Buffer
			slog.New(h(&b)).Error("x", "v", v)
			texts = append(texts, b.String())
		}
	}
	for _, text := range texts {
		if strings.Contains(text, "planted") || strings.Contains(text, "706c616e746564") {
			t.Errorf("%s", text)
		}
	}
	if got, want := target.String(), `{https://a.example/hook application/fhir+json, dialect "kit", 1 headers, 1 keys}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
