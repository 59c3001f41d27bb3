package subscription

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"fhirhook/fhir/store"
)

// Observation is something that happened in the Deliverer, for metrics. It names no patient.
type Observation struct {
	Kind     ObservationKind
	Lane     store.Lane
	State    store.State   // of the notification after an attempt
	Class    string        // error class of an attempt; "" for a success
	Duration time.Duration // of an attempt, or of the commit of results
	Count    int           // results in a commit
}

// ObservationKind is the kind of an Observation.
type ObservationKind uint8

// The kinds.
const (
	Attempted       ObservationKind = iota + 1 // a request was made
	ResultsStored                              // results of attempts are durable
	ResultsStuck                               // results can't be stored: nothing is sent until they can
	BreakerOpened                              // a lane's breaker opened
	BreakerClosed                              // and closed
	StatusWritten                              // the Subscription shows another status
	UntriedGivenUp                             // a notification's time ran out behind an open breaker
	LaneCannotBeRun                            // a lane can't be worked on: see the log
	LaneHeldBack                               // a lane has something to send and waits for its turn at the endpoint
	LaneThrottled                              // the same, until its tenant may send more
)

// Wait is what a lane waits for that could send.
type Wait uint8

// The waits.
const (
	NoWait      Wait = iota
	ForEndpoint      // its turn at the endpoint, which is at its limit
	ForQuota         // that its tenant may send more
)

// String is the code in $status; "" for NoWait.
func (w Wait) String() string {
	switch w {
	case ForEndpoint:
		return "endpoint"
	case ForQuota:
		return "quota"
	default:
		return ""
	}
}

// Stats is a picture of the Deliverer's work.
type Stats struct {
	Lanes     int       // lanes with work: sending, waiting for a retry, or held back
	InFlight  int       // requests
	Waiting   int       // lanes that wait for their turn at an endpoint
	Throttled int       // lanes that wait until their tenant may send more
	OldestDue time.Time // since when the oldest notification that may be sent has waited for it; zero: none waits
	Stuck     bool      // results can't be stored
}

// logAttempt writes one line per attempt: ids and types, never a body, an endpoint or a patient's name. What was
// delivered is on the record, and in the log for who wants to see everything.
func logAttempt(log *slog.Logger, a store.Attempt) {
	level := slog.LevelDebug
	if a.Class != "" {
		level = slog.LevelWarn
	}
	if !log.Enabled(context.Background(), level) {
		return
	}
	log.LogAttrs(context.Background(), level, "delivery.attempted",
		slog.String("tenant", a.Lane.Tenant),
		slog.String("subscription", a.Lane.Subscription),
		slog.String("notification", a.ID),
		slog.Uint64("number", a.Number),
		slog.String("resource", a.Focus.String()),
		slog.Uint64("version", a.Version),
		slog.Int("try", a.Try),
		slog.Int("status", a.Status),
		slog.String("class", a.Class),
		slog.String("state", a.State.String()),
		slog.Duration("duration", a.Duration),
		slog.Time("next", a.Next),
	)
}

// Outcomes of an AuditEvent (R4 valueset-audit-event-outcome).
const (
	auditSuccess = "0"
	auditMinor   = "4" // it is tried again
	auditSerious = "8" // it is not
)

// logAudit writes an attempt in the words of an AuditEvent, for a Subscription whose audit destination is the log
// (Medplum): what was shown to whom, and how it ended. Its level is the same whatever the outcome, so that nothing
// of the trail is filtered out.
func logAudit(log *slog.Logger, a store.Attempt) {
	outcome := auditSuccess
	switch {
	case a.Class != "" && a.State == store.Owed:
		outcome = auditMinor
	case a.Class != "":
		outcome = auditSerious
	}
	log.LogAttrs(context.Background(), slog.LevelInfo, "delivery.audit",
		slog.String("type", "transmit"),
		slog.String("outcome", outcome),
		slog.Time("recorded", a.Time),
		slog.String("tenant", a.Lane.Tenant),
		slog.String("agent", "Subscription/"+a.Lane.Subscription),
		slog.String("entity", a.Focus.String()+"/_history/"+strconv.FormatUint(a.Version, 10)),
		slog.String("interaction", a.Interaction.String()),
		slog.String("notification", a.ID),
		slog.Uint64("number", a.Number),
		slog.Int("try", a.Try),
		slog.Int("status", a.Status),
		slog.String("class", a.Class),
		slog.String("state", a.State.String()),
	)
}

func laneAttrs(lane store.Lane) slog.Attr {
	return slog.Group("lane", slog.String("tenant", lane.Tenant), slog.String("subscription", lane.Subscription))
}
