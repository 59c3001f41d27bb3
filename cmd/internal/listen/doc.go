// Package listen is the receiver behind "fhirhook listen": for people who write a Subscription and want to see
// what comes of it before their own receiver exists.
//
// It prints each notification with the verdict on every signature that it finds, and misbehaves on request, so
// that retries can be watched. It keeps nothing, and prints neither secrets nor headers that a Subscription set.
package listen
