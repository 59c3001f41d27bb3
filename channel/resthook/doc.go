// Package resthook is the rest-hook channel: it makes one HTTP request of a Message, and says what came of it.
//
// What a request looks like is data: a Dialect (dialects.go lists the built-in ones). Build turns Message and
// Dialect into a Request without touching anything else, so that requests are tested byte for byte. Where a
// request may go is the operator's Policy: it is asked when a Subscription is written (CheckURL, which needs no
// network) and again for the very address that is dialled, because names can change what they point to.
//
// The trap: everything that comes back was written by a stranger, and so was everything that goes out but the
// resource. Replies are bounded in bytes and time and never interpreted; error texts are built from known
// facts, not from what a library quoted, since a receiver may echo the very header that must stay secret.
package resthook
