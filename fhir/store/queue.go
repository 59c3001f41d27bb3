package store

import (
	"context"
	"iter"
	"time"

	"fhirhook/fhir"
)

// Lane names the notifications of one Subscription. It outlives the Subscription's deletion, so that
// numbers are never given twice.
type Lane struct {
	Tenant       string
	Subscription string // id
}

// LaneRecord is what a lane remembers.
type LaneRecord struct {
	Lane Lane
	Next uint64 // the number that the next owed notification gets, from 1
	Head uint64 // every owed notification below Head is waiting for a retry; at or above it, untried or in flight
	Owed uint64 // how many are owed: the engine counts, PutLane ignores it

	Failures     int       // consecutive failed attempts
	FailingSince time.Time // the first of them; zero while healthy
	BreakerOpen  bool
	BreakerStep  int       // how many waits of the breaker have passed since it opened
	ProbeAt      time.Time // when the open breaker lets the next attempt through
	OpenedAt     time.Time // when the breaker opened; kept after it closed for those that it deferred untried
	ClosedAt     time.Time // when it closed again; zero while it is open or if it never opened
	Armed        time.Time // the Subscription's re-arming that this record has taken in; zero: it was never off
	Cancelling   bool      // the Subscription ended or was deleted: everything owed becomes cancelled, in steps
}

// State is what has become of a notification (DESIGN: states of a notification).
type State uint8

// The states. Owed is the only one that is not final.
const (
	Owed State = iota + 1
	Delivered
	Failed
	Withheld
	Cancelled
	Skipped
)

// String is the state's code in $deliveries.
func (s State) String() string {
	switch s {
	case Owed:
		return "owed"
	case Delivered:
		return "delivered"
	case Failed:
		return "failed"
	case Withheld:
		return "withheld"
	case Cancelled:
		return "cancelled"
	case Skipped:
		return "skipped"
	default:
		return "unknown"
	}
}

// Notification is one that is owed. What is fixed at the match is above the blank line.
type Notification struct {
	Lane        Lane
	Number      uint64 // from 1, without gaps
	Focus       fhir.Key
	Version     uint64
	Interaction fhir.Interaction
	Cause       string    // "" for the version's own change
	Updated     time.Time // lastUpdated of the change

	Tries  int       // attempts since the ladder began
	Spared int       // how many of them do not count against the ladder
	Began  time.Time // when the give-up clock began; zero before the first attempt or deferral
	Next   time.Time // not before; zero: never tried, due now
}

// Attempt is a line of the attempt log: one request and its answer, or a change of state without a request.
type Attempt struct {
	Lane        Lane
	Number      uint64
	ID          string // the notification's identity
	Focus       fhir.Key
	Version     uint64
	Interaction fhir.Interaction
	Cause       string // of the notification; "" for the version's own change, and on rows from before it was kept
	Try         int    // from 1; 0 where no request was made
	Time        time.Time
	Duration    time.Duration
	Status      int    // HTTP status; 0 if no answer came
	Class       string // error class; "" for a success
	Reply       string // the beginning of the answer's body, or what went wrong
	State       State  // of the notification after it
	Next        time.Time
}

// Cursor is how far a follower of the log has come: everything up to Seq is done, and Step steps of the next row.
type Cursor struct {
	Seq  Seq
	Step uint64
}

// AttemptScope selects attempts of a lane: those at or after Since and before Until, of numbers from From on and
// below Below (zero: no bound).
type AttemptScope struct {
	Lane         Lane
	Since, Until time.Time
	From, Below  uint64
}

// Numbered says that a notification of a version got a number.
type Numbered struct {
	Lane   Lane
	Number uint64
	Cause  string
}

// Job is work on a lane that goes on by itself once it was asked for. What it is stands in Data, which is its
// owner's business.
type Job struct {
	Lane Lane
	ID   string
	Data []byte
}

// QueueReader reads one consistent state of the queue; the same rules as for Reader hold.
type QueueReader interface {
	// Cursor returns a follower's cursor, the zero Cursor if it never set one.
	Cursor(name string) (Cursor, error)
	// Lane returns a lane's record; a lane that was never written has Next and Head 1.
	Lane(lane Lane) (LaneRecord, error)
	// Lanes yields all records behind a lane, in order of tenant and subscription.
	Lanes(after Lane) iter.Seq2[LaneRecord, error]
	// Owed yields what a lane owes, from a number on, in order of numbers.
	Owed(lane Lane, from uint64) iter.Seq2[Notification, error]
	// Waiting yields what a lane owes and has tried or deferred (Next is set), in order of Next.
	Waiting(lane Lane) iter.Seq2[Notification, error]
	// Attempts yields a lane's attempts in order of time by day, then number, then time.
	Attempts(scope AttemptScope) iter.Seq2[Attempt, error]
	// Numbers yields the numbers that notifications of a version ever got, whatever has become of them, in order
	// of subscription and cause. updated is Notification.Updated, by which they are found: the version's lastUpdated
	// where its own change was the cause. The zero time finds those of other causes, whenever they were.
	Numbers(focus fhir.Key, version uint64, updated time.Time) iter.Seq2[Numbered, error]
	// Job returns a job, or ErrNotFound.
	Job(lane Lane, id string) (Job, error)
	// Jobs yields all jobs, in order of tenant, subscription and id.
	Jobs() iter.Seq2[Job, error]
}

// QueueWriter writes a transaction of the queue.
type QueueWriter interface {
	QueueReader
	SetCursor(name string, c Cursor) error
	PutLane(r LaneRecord) error
	// Owe writes a notification, replacing what stands under its lane and number. Numbers remembers it.
	Owe(n Notification) error
	// Settle removes a notification that is no longer owed. Settling one that isn't there does nothing.
	Settle(lane Lane, number uint64) error
	// Record appends to the attempt log.
	Record(a Attempt) error
	// PutJob writes a job, replacing what stands under its lane and id.
	PutJob(j Job) error
	// DropJob forgets a job. Dropping one that isn't there does nothing.
	DropJob(lane Lane, id string) error
	// Expire drops the attempts of whole days (UTC) that ended at or before a time, and returns how many days went.
	Expire(before time.Time) (int, error)
}

// Queue is the half of the store that follows from the log.
type Queue interface {
	View(ctx context.Context, fn func(QueueReader) error) error
	// Update is DB.Update for the queue. It fails with ErrFenced if the lease has gone to another.
	Update(ctx context.Context, lease Lease, fn func(QueueWriter) error) error
}
