// Package bolt is the embedded storage engine: one folder, three bbolt files, no other process.
//
// resources.db is the log: rows are only ever appended, and small indexes lead to them. queue.db is what
// follows from the log: smaller, busier, and made for deleting. Both carry the format's version and the
// store's epoch; files that don't fit together are refused and left alone. index.db is what searches look
// things up in: it follows from the log, so it may be deleted, and one that can't be used is made anew.
//
// A write is grouped. One committer per file takes all functions that were queued while the disk was busy
// with the group before, runs them one by one over an overlay of the committed state, and makes what they
// wrote durable by one fsync. A function that fails is undone alone. Nobody waits for a timer.
//
// What stands under which key, for a first write, Patient/7 of tenant default, at row 1 ("0" is a zero
// byte, numbers take 8 bytes with the highest first):
//
//	resources.db
//	log      1                             encoding, rows behind it in its transaction, interaction,
//	                                       lastUpdated, version, key, origin, JSON (row.go)
//	version  default 0 Patient 0 7 0 1     row 1, create
//	type     default 0 Patient 0 1         nothing
//	tenant   default 0 1                   nothing
//	request  the origin's request key      row 1; only if it has one
//
//	queue.db, when lane s1 owes it as number 4 and one attempt failed
//	owed     default 0 s1 0 4              version, key, cause, lastUpdated, tries, clock, next try
//	waiting  default 0 s1 0 next try, 4    nothing
//	lane     default 0 s1                  how many are owed, next number 5, failures, breaker
//	attempt  20260131 / default 0 s1 0 4, time, ordinal   what was answered; a nested bucket for each day
//	cursor   matcher                       row 1, step 0
//
// docs/storage.md goes through the same example at more length.
//
// The trap: bbolt keeps pages that a reader may see. A View that stays open makes the file grow with each
// commit, so walk in pages (store.Reader).
package bolt
