// Package store is the storage contract, and the FHIR interactions written over it once for all engines.
//
// Two halves. The log half (DB, Reader, Writer) holds every version of every resource in commit order: a
// write appends rows, nothing is ever changed in place, and a reader may look at any place in the past that is
// kept (only Purge takes anything away: the content of old versions). The
// queue half (Queue) holds what follows from the log and is busier and smaller: who is owed which
// notification, what was tried, and how far each follower of the log has come. An engine may keep them in
// different files, so no transaction spans both; what needs both is made repeatable instead, by deriving
// from the log and storing the follower's cursor with what it derived. The Index is a third part, of the
// same kind as the queue but that nothing is lost with it.
//
// The trap: a function given to Update may run more than once and shares a group with strangers' functions.
// It must touch nothing but its Writer, and draw ids before.
package store

import (
	"context"
	"errors"
	"iter"
	"time"

	"fhirhook/fhir"
)

// Seq is a place in the change log: the number of a row, from 1, without gaps, in commit order.
// Zero is the place before the first row.
type Seq uint64

// ErrNotFound says that the key or version never existed. A deleted resource does exist, as a tombstone.
var ErrNotFound = errors.New("not in the store")

// ErrClosed says that the store is closed or closing.
var ErrClosed = errors.New("the store is closed")

// ErrFenced says that another holder has taken the lease since.
var ErrFenced = errors.New("the lease is held by another")

// ErrRepeated says that a commit with the same Origin.RequestKey stands already: Reader.Request finds it.
var ErrRepeated = errors.New("a commit with this request key was made before")

// Origin says who wrote and why. It is kept on each row of the log, outside the resource's bytes.
type Origin struct {
	Actor      string // who: a token's subject; "" while authentication is off
	RequestID  string // X-Request-Id of the request
	RequestKey string // unique to one commit; if set, Reader.Request finds its outcome later
	Cause      string // what led to it, where that isn't the request itself
	Server     bool   // a version that the server wrote by itself: it notifies nobody
}

// Change is one row of the log.
type Change struct {
	Seq         Seq
	End         Seq // the last row of the transaction that this row belongs to
	Interaction fhir.Interaction
	Origin      Origin
	Resource    *fhir.Resource // the version that the row wrote; a tombstone for Delete
	Purged      bool           // Resource has lost its JSON (Purge); only Changes yields such rows
}

// Commit is what became of an Update that wrote something: its last row, and lastUpdated of all it wrote.
// An Update that wrote nothing has the zero Seq.
type Commit struct {
	Seq  Seq
	Time time.Time
}

// Scope selects history: of one resource (Type and ID set), of a type (Type set) or of all.
type Scope struct {
	Tenant string
	Type   fhir.Type
	ID     string
}

// Reader reads one consistent state. It and what it yields hold only until the function returns, but for
// *fhir.Resource, which is the caller's to keep. Keep a View short (some hundred rows): a long one makes an
// embedded engine's file grow. To walk further, open another View and go on from a key at the same place.
// A walk shows what stood when it began, and not what its Writer writes meanwhile.
type Reader interface {
	// Last is the place of this state: its newest row.
	Last() Seq
	// Horizon is the place from which on every state can be read whole; before it versions may be purged.
	Horizon() Seq
	// Read returns the version of key that was current at a place, maybe a tombstone, or ErrNotFound; ErrPurged may
	// come from below the horizon.
	Read(key fhir.Key, at Seq) (*fhir.Resource, error)
	// Version returns a version by number, maybe a tombstone, or ErrNotFound, which may be an ErrPurged.
	Version(key fhir.Key, version uint64) (*fhir.Resource, error)
	// Type yields the versions current at a place of all resources of a type that were not deleted then,
	// in id order, from behind the id after ("" for the first). It fails with ErrPurged at one that is gone.
	Type(tenant string, t fhir.Type, after string, at Seq) iter.Seq2[*fhir.Resource, error]
	// Changes yields the rows behind a place, oldest first, of all tenants.
	Changes(after Seq) iter.Seq2[Change, error]
	// History yields the rows of a scope below a place (0: from the newest), newest first, but for those that
	// are purged.
	History(scope Scope, before Seq) iter.Seq2[Change, error]
	// Held yields the versions that a Purge left for later and that are there still, behind one, in order of
	// tenant, type, id and number.
	Held(after Version) iter.Seq2[Version, error]
	// Request finds the commit that was made with Origin.RequestKey, or ErrNotFound.
	Request(key string) (Seq, error)
	// Usage tells what a tenant has in this state; one that never wrote has nothing.
	Usage(tenant string) (Usage, error)
}

// Writer writes a transaction. It reads its own writes and those of the functions before it in its group.
type Writer interface {
	Reader
	// Now is meta.lastUpdated of everything that this transaction writes. It never goes back along Seq.
	Now() time.Time
	// Append writes a version. r.Updated must be Now, and r.Version one above the newest of its key. The
	// End of the transaction's own rows grows with each Append. It fails with ErrRepeated. Readers may get r itself, so
	// nothing in it may change any more.
	Append(r *fhir.Resource, i fhir.Interaction) error
}

// Lease is the right to work on a lane alone. The embedded engine grants it always, for it has one process.
type Lease struct {
	Name  string
	Token uint64 // fencing token: rises with each grant
}

// DB is a storage engine. storetest.Run proves one.
type DB interface {
	// Epoch is a random name that the store got when it was made; it is part of each notification's identity.
	Epoch() string
	// View runs fn on the newest state.
	View(ctx context.Context, fn func(Reader) error) error
	// Update runs fn as one transaction and returns when it is durable. Concurrent calls are committed in
	// groups. If fn fails, what it wrote is dropped, its group goes on, and its error is returned as it is.
	Update(ctx context.Context, origin Origin, fn func(Writer) error) (Commit, error)
	// LastOf returns a place at or behind the newest row of a type, of all tenants. While it stays the same,
	// nothing of that type was written. It has risen when the Update that wrote returns, and is cheaper than a View.
	LastOf(ctx context.Context, t fhir.Type) (Seq, error)
	// Wait returns when there is a row behind the place, or ctx ends.
	Wait(ctx context.Context, after Seq) error
	// Lease grants a lane to the caller until ctx ends.
	Lease(ctx context.Context, name string) (Lease, error)
	// Purge removes the content of versions that were replaced, and returns when that is durable. What it can't do
	// it does none of. Whether anybody needs a version still is its caller's business (package retention).
	Purge(ctx context.Context, p Purge) (Purged, error)
	// Queue is the other half.
	Queue() Queue
	// Index is what searches look things up in, made from the log.
	Index() Index
	// Check walks everything and returns what is wrong with it, joined, with progress reported in rows.
	Check(ctx context.Context, progress func(done, total uint64)) error
	// Close waits for commits under way. Calling it again does nothing.
	Close() error
}
