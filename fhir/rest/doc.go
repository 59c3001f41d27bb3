// Package rest is the FHIR R4 endpoint over HTTP. It is the only package of the server that knows Echo.
//
// An interaction is a call, whether it came as a request of its own or as an entry of a Bundle, and what comes
// of it is an answer or an error; request.go and entries.go turn the outer forms into calls, respond.go and
// bundle.go turn answers back. So a batch entry can't behave differently from the same request alone.
//
// Two tables carry what must agree with itself: routes.go with the operations (which interactions exist; the
// CapabilityStatement, /openapi.json and the Allow header come from them) and outcome.go (which status and issue code an error gets;
// docs/status-codes.md comes from it). Which elements a transaction may rewrite is read from package schema.
//
// Nothing is stored here. Bytes that go in and out are the resource's own: bodies are joined from the stored
// JSON, never decoded and encoded again.
//
// A patch is an update whose resource is made inside the transaction, of what a reader of the current version
// sees (package patch): a secret stays masked on the way, and the gate restores it.
//
// The trap: whatever runs inside store.DB.Update may run twice. Ids are drawn before it, and everything that
// a run computes is made new in each run.
package rest
