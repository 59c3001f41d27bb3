// Package client is what commands do against a running server, over the same HTTP that everybody uses: they
// need no rights that a FHIR client has not.
//
// What is printed for people is a table whose times are short and local; with JSON it is one object on a line for
// each row, with times as the server tells them. Texts that come from outside, such as what a receiver answered,
// are printed without control characters.
package client
