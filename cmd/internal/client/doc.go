// Package client is what commands do against a running server, over the same HTTP that everybody uses: they
// need no rights that a FHIR client has not.
package client
