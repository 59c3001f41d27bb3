// Package channeltest has the other end of a channel for tests: a Receiver, a real HTTP server on loopback that
// records what arrives, byte for byte, and misbehaves on demand; and the verdicts that every HTTP channel must
// reach (Statuses) and the promise that it must keep (Secrets).
//
// The server is written over bare connections: net/http would tidy up the order and spelling of headers that a
// test wants to see, and refuses to send what a broken receiver sends.
package channeltest
