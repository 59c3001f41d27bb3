// Package channel is the contract between what decides that a notification is sent and what sends it.
//
// A Channel takes a Message, makes exactly one attempt and says what came of it: the Reply, or a SendError
// that also tells whether trying again makes sense. It keeps nothing between attempts; the ladder, the
// breaker and the record of attempts belong to its caller.
package channel

import (
	"context"
	"time"
)

// Header is one line of Subscription.channel.header.
type Header struct{ Name, Value string }

// Target is where and how a Subscription wants its notifications now: it is read again for each attempt.
type Target struct {
	Endpoint  string
	Payload   string   // MIME type, "" if the Subscription names none
	Headers   []Header // in order; names may repeat
	Secrets   []string // HMAC keys as the client gave them, the newest first; none: unsigned
	Dialect   string   // name of a dialect; "" is the server's default
	Signature string   // body, sha256 or timestamped; "" is the dialect's own
	Success   string   // statuses that count as success, as in 200,201,410-599; "": as the dialect says
	Timeout   time.Duration
}

// Message is one notification at one attempt.
type Message struct {
	Target       Target
	ID           string // identity: the same at every attempt; never holds a dot
	Tenant       string
	Subscription string // id
	Sequence     uint64 // gap-free number of the notification; 0 on a test
	Attempt      int    // from 1
	Event        string // event name, as in diagnostic-report.created
	Interaction  string // create, update or delete; "" on a test
	Type, Focus  string // resource type and id; "" on a test
	Version      string // versionId; "" on a test
	Updated      time.Time
	Body         []byte // the version's bytes; nil for a test, and for a delete unless its dialect sends the version that ended
	Test         bool
}

// Reply is what an endpoint answered.
type Reply struct {
	Status   int
	Duration time.Duration
	Body     []byte // the beginning of it, never interpreted
	// Note tells, for a person, what is remarkable about a success; "" for nothing.
	Note string
	// Signed are the headers of the request by which its receiver can verify it, as they were sent. Only of a test.
	Signed []Header
}

// SendError says that an attempt did not deliver. Its text never holds header values, secrets, or more of
// an endpoint than scheme, host and path.
type SendError struct {
	Class      string        // one word for the kind of failure: see the classes of the channel
	Hint       string        // for a person: what to look at
	Unbuilt    bool          // no request could be made of the message: nothing was tried, and the endpoint is not to blame
	Gone       bool          // the endpoint asked to be switched off (410)
	Spared     bool          // the endpoint asked to wait (429, 503): on exponential ladders it costs no attempt
	RetryAfter time.Duration // how long the endpoint asked to wait; 0 if it didn't
	Err        error
}

func (e *SendError) Error() string {
	s := e.Class
	if e.Hint != "" {
		s += ": " + e.Hint
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *SendError) Unwrap() error { return e.Err }

// Channel sends. A failed attempt returns a *SendError, with the Reply as far as there was one; so does a
// Message that can't be built (SendError.Unbuilt), which would fail again at once. An error of another type means that ctx ended:
// the attempt doesn't count and is due again.
type Channel interface {
	Send(ctx context.Context, m Message) (Reply, error)
}
