// Package criteria is FHIR search, as far as it can be decided by looking at resources: it parses search
// expressions, extracts the values that they speak of, and tells whether a resource matches. The same
// engine answers GET [base]/Type?… and decides which Subscriptions a write concerns, so both mean the same.
//
// It is pure: no I/O, no clock, no goroutines; what it needs to know of its surroundings comes as an Env.
//
// SearchParameters are a table (r4.tsv, generated from HL7's definitions by cmd/internal/generate), and
// every expression in it is compiled to fixed paths over the resource's JSON (compile.go), with the help of
// the elements that each type has (fhir/schema). What FHIRPath the compiler does not know is refused.
//
// Parse and ParseParams make a Query of an expression; it is held against a Subject, which extracts and
// normalises a parameter's values once for all queries; a Set finds those of many queries that match.
//
// Chains, _has, lists, terminology and hierarchies look at other resources, through the Lookup of the Env, which
// asks a Resolver that the caller provides. So such queries can fail, and the trap is to take that for a "no":
// after Query.Matches look at Subject.Err.
//
// Where R4 leaves a choice, this is it: codes and identifiers are compared with their case, texts without;
// each word of a person's name can be sought, other strings by how they begin; a Quantity with a comparator
// is a range; ge and le mean gt or eq, lt or eq; dates without a zone are in Env.Zone.
package criteria
