// Package criteria is FHIR search, as far as it can be decided by looking at resources: it parses search
// expressions, extracts the values that they speak of, and tells whether a resource matches. The same
// engine answers GET [base]/Type?… and decides which Subscriptions a write concerns, so both mean the same.
//
// It is pure: no I/O, no clock, no goroutines; what it needs to know of its surroundings comes as an Env.
//
// SearchParameters are a table (r4.tsv, generated from HL7's definitions by cmd/internal/generate), and
// every expression in it is compiled to fixed paths over the resource's JSON (compile.go), with the help of
// the elements that each type has (fhir/schema). What FHIRPath the compiler does not know is refused.
package criteria
