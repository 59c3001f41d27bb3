// Package edge is what stands between the network and the handlers: TLS with certificates that are read again or come
// from ACME, limits that keep slow, many or broken clients from hurting the others, and what every answer says to browsers.
// It knows nothing of FHIR but the form of an error.
//
// A request comes in through these, in this order:
//
//   - connections: how many there may be, from whom (connections.go);
//   - the TLS handshake, with a deadline (handshake.go, tls.go, acme.go);
//   - framer: the bytes of HTTP/1 must be framed in the one way that nobody reads differently (framer.go). net/http is
//     more lenient, which is right for a server that is alone, and wrong behind a proxy with another opinion;
//   - headers and origins: security headers, names that the server answers to, CORS (headers.go, origins.go);
//   - failures: who was refused too often waits before the next try (failures.go);
//   - crowd: how many requests there may be at a time (crowd.go);
//   - pace: bodies and answers have to move (pace.go).
//
// The trap: deadlines of a connection outlive the request. A read deadline that is left behind cancels a handler that
// takes longer, for net/http reads ahead to notice clients that hang up.
package edge
