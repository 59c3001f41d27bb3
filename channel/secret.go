package channel

import (
	"fmt"
	"log/slog"
	"strings"
)

// A Target holds secrets, and whoever prints one means to see where it leads: no way to print or log it shows a
// header's value, a key, or the query of the endpoint.

// String says where the target is, and how much it holds.
func (t Target) String() string {
	endpoint, _, _ := strings.Cut(t.Endpoint, "?")
	return fmt.Sprintf("{%s %s, dialect %q, %d headers, %d keys}", endpoint, t.Payload, t.Dialect, len(t.Headers), len(t.Secrets))
}

// Format implements fmt.Formatter for every verb.
func (t Target) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, t.String()) }

// LogValue implements slog.LogValuer.
func (t Target) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText implements encoding.TextMarshaler, by which JSON is written, too.
func (t Target) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// String shows the name alone.
func (h Header) String() string { return h.Name + ": ********" }

// Format implements fmt.Formatter for every verb.
func (h Header) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, h.String()) }

// LogValue implements slog.LogValuer.
func (h Header) LogValue() slog.Value { return slog.StringValue(h.String()) }

// MarshalText implements encoding.TextMarshaler.
func (h Header) MarshalText() ([]byte, error) { return []byte(h.String()), nil }
