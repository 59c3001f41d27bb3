// Package subscription turns Subscription resources and the change log into delivered notifications.
//
// Three parts, each a fold over something durable. Admission (Gate) checks what a client writes and what it
// may read back. The Matcher follows the change log from a cursor: at each row the active set is what the
// log says up to that row, and the verdicts (who is owed which version, under which number) are durable
// before anything is sent. The Deliverer gives each Subscription a lane: it sends what is owed, records each
// attempt, and decides by pure functions (retry.go, breaker.go, status.go) what follows.
//
// The trap: a verdict is never taken twice. Numbers and cursor are committed together, so that a restart, a
// new binary or a changed definition can't renumber.
package subscription

import (
	"time"

	"fhirhook/channel"
	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/auth"
)

// Status is Subscription.status.
type Status string

// The statuses (R4 valueset-subscription-status).
const (
	Requested Status = "requested"
	Active    Status = "active"
	Erroneous Status = "error"
	Off       Status = "off"
)

// Order says what must be finished before a notification may go.
type Order uint8

// The orders.
const (
	Unordered      Order = iota // none: whatever is due
	ByResource                  // resource: at most one unfinished notification per resource, versions in order
	BySubscription              // subscription: one at a time, strictly in order
)

// Subscription is a compiled Subscription resource.
type Subscription struct {
	Key           fhir.Key
	Version       uint64
	Status        Status
	End           time.Time // zero: never
	Criteria      string    // as the resource has it
	Query         *criteria.Query
	Trigger       Trigger
	Parameters    []string // codes of the search parameters that Changes looks at
	Expression    string   // FHIRPath that must hold, too; "": none
	Interactions  Interactions
	Target        channel.Target // see TargetAt
	Previous      string         // the HMAC key before the last rotation; "": none
	PreviousUntil time.Time      // when it ends
	Ladder        Ladder
	Order         Order
	SkipBacklog   bool    // subscription-backlog = skip
	LastOnDelete  bool    // the message of a deletion carries the version that it ended
	Names         *Names  // of changes, as the dialect has them
	Events        *Events // patterns of the events that notify; nil: all
	EventName     string  // what all its events are called on the wire; "": as Names says
	Latest        bool    // the newest version is sent, whichever is owed
	Unversioned   bool    // what is sent doesn't say which version it is
	Audit         Audit
	Grant         *auth.Grant // by whose leave it sees what it sees; nil: there is none
	View          View        // what that is, as of now (Options.Grants)
}

// Audit says where attempts are recorded beside the attempt log (subscription-audit-event-destination).
type Audit struct {
	Resource bool // as AuditEvent
	Log      bool // in the server's log
}

// Interactions is the set of interactions that notify.
type Interactions struct{ Create, Update, Delete bool }

// Has tells whether i is in the set.
func (s Interactions) Has(i fhir.Interaction) bool {
	switch i {
	case fhir.Create:
		return s.Create
	case fhir.Update:
		return s.Update
	case fhir.Delete:
		return s.Delete
	default:
		return false
	}
}

func (s *Interactions) add(i fhir.Interaction) {
	switch i {
	case fhir.Create:
		s.Create = true
	case fhir.Update:
		s.Update = true
	case fhir.Delete:
		s.Delete = true
	}
}

func (s Interactions) or(o Interactions) Interactions {
	return Interactions{s.Create || o.Create, s.Update || o.Update, s.Delete || o.Delete}
}

func (s Interactions) and(o Interactions) Interactions {
	return Interactions{s.Create && o.Create, s.Update && o.Update, s.Delete && o.Delete}
}

// Ladder says how long to wait before each retry and when to give up. Either Waits is set (n waits allow n+1
// requests, no jitter), or the exponential form (waits of First, First*Factor, … at most Cap, ±10 %, until
// GiveUp has passed since the notification's clock began).
type Ladder struct {
	Waits  []time.Duration
	First  time.Duration
	Factor float64
	Cap    time.Duration
	GiveUp time.Duration
	Most   int // requests at most; 0: as the ladder says
}
