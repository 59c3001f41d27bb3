// Package auth says who calls and what they may do. It knows tokens, scopes and grants, and nothing of HTTP
// handlers or of the store: callers ask it, and act on its answer.
//
//   - An Authenticator makes a Principal of an Authorization header: of a static token, of which only the SHA-256
//     is known here, or of a JWT that a configured issuer signed.
//   - A Principal has an Access: its scopes (SMART on FHIR v2), compiled. Access answers for a type (May), for one
//     version (Allows, Sees) and for a change (AllowsChange). It is safe for concurrent use and looks at
//     nothing but the version that it is asked about.
//   - A Grant is what remains of a Principal in what it made: the Subscription that it wrote is evaluated within it long
//     after the token has expired.
//   - Quota and Limiter bound what a tenant may use.
//
// Everything fails closed: the zero Access allows nothing, a scope that can't be evaluated gives nothing, a nil Grant
// sees nothing. The two exceptions are by choice: a nil *Authenticator (no authentication configured) makes Principals that
// are Open, and a nil *Access, which only those have, allows everything.
//
// Search restrictions of scopes and the patient compartment are evaluated with definitions that the operator vouches for
// (R4's own, and those of the configuration), never with SearchParameters that clients wrote: whoever may write
// those could else redefine what a scope means. For the same reason restrictions can't look at other resources.
//
// The trap: a search that only filters what it returns still leaks, by the order, the total, a chain or an
// include. Whatever looks at a resource on behalf of a caller has to ask Sees.
//
// No error of this package holds a token, or a part of one.
package auth
