// Package audit keeps who did what, and shows it as AuditEvents.
//
// A rest.Deed becomes a line of a file, one file for each day (UTC). Lines are only ever appended, and a day goes as a
// whole when it is old. A Log writes within 20 ms, or at once if somebody wants to read, and makes durable twice a second:
// a crash of the machine loses the last second at most, and a crash of the process what was not written yet; with Sync every answer waits until its line is
// durable. Nothing is dropped silently: while the disk is slow, requests wait; while it refuses, Ready says so, what is
// recorded already is kept in memory, and nothing further is done that would have to be recorded.
//
// A line is
//
//	9f2c01aa 1769860800000 default {"r":"…","m":"GET","i":"read","k":"Patient/7",…}
//
// the CRC-32 of what follows, milliseconds since 1970, the tenant (- if nobody found out whose), and the deed; with a
// Ring, the deed is encrypted and stands in base64. Times never go back, so a stretch of time is found by halving. A line
// whose sum is wrong is no line: a crash may leave one, which Open cuts off if it is the last.
//
// The AuditEvents are a view (search.Virtual): what is asked for is made of its line. The id is the day and the place of
// the line in its file, so one is read without a search.
//
// The trap: a line belongs to a tenant, and what is read by id may name another's place. Whoever reads compares.
package audit
