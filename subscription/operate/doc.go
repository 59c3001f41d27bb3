// Package operate is what people do to Subscriptions beside reading and writing them: see what was owed and
// tried ($deliveries), send it again ($redeliver, $resend), notify of what is stored already ($backfill), test an
// endpoint ($ping), ask why something did or did not notify ($explain) and change the key ($rotate-secret).
//
// Nothing is kept but jobs. What $deliveries shows is the queue's: what is owed, and the attempt log of what is
// finished, put together by number. Sending again means owing again: the notification gets back into its lane
// under its number and identity, with a new ladder, and the Deliverer treats it like any other, so that order,
// breaker and limits hold for it, too. A job does that for many: it is a record in the queue with a cursor, and
// each of its steps (what it owes, its new cursor) is one transaction, so that a crash neither loses nor repeats
// a step. It has only so many of its notifications owed at a time, which keeps it from burying a lane.
//
// The trap: a version gets its number once. Whoever owes has to look it up first (QueueReader.Numbers), and not
// before the Matcher has passed that version, or the Matcher would give it another.
package operate
