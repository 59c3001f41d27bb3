// Package search answers GET [base]/Type?… from the store: it finds the resources that a search expression
// matches, sorts them, cuts them into pages and brings along what they refer to.
//
// Two ideas. First, package criteria alone says what matches: whatever finds candidates (the index, a
// walk over the type, or the ids that _id names) may offer too many, and each is verified by Query.Match, so that a
// search and a subscription can't disagree. Second, a search happens at one place in the log: its first page
// takes the newest, and its links carry that place on, so that pages neither lose nor repeat anything while
// others write.
//
// An Index follows the log into the third part of the store (docs/storage.md); an Engine plans by it
// (docs/search-plans.md) and is right without it. The trap: a View must be short, so every walk is cut into batches, each in a View of its
// own at the same place, and matching happens between them.
package search
