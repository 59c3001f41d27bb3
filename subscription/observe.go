package subscription

import (
	"context"
	"log/slog"
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
)

// Stats is a picture of the Deliverer's work.
type Stats struct {
	Lanes     int       // lanes with work: sending, waiting for a retry, or held back
	InFlight  int       // requests
	OldestDue time.Time // since when the oldest notification that may be sent has waited for it; zero: none waits
	Stuck     bool      // results can't be stored
}

// logAttempt writes one line per attempt: ids and types, never a body, an endpoint or a patient's name.
func logAttempt(log *slog.Logger, a store.Attempt) {
	level := slog.LevelInfo
	if a.Class != "" {
		level = slog.LevelWarn
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

func laneAttrs(lane store.Lane) slog.Attr {
	return slog.Group("lane", slog.String("tenant", lane.Tenant), slog.String("subscription", lane.Subscription))
}
