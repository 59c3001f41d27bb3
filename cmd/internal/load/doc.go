// Package load brings data that people already have into a server: NDJSON files and Bundles, plain or
// compressed, into a FHIR endpoint, which may be that of a running server or of a data folder.
//
// A file is a row of records (records.go), a record becomes entries of transactions (entries.go), and these are
// sent in batches of many, one commit each (send.go). If the endpoint refuses a batch, its entries are sent once
// more as a FHIR batch, in which each stands for itself, so that one bad resource costs only itself; those that
// fail are told with file and line.
//
// Everything is written by PUT under an id that follows from the input alone: the resource's own, else that of a
// urn:uuid, else a hash of where it stands. That makes an import repeatable: a batch whose outcome is unknown is
// sent again and changes nothing. The state file (state.go) only saves the time of doing so.
//
// Memory is bounded by the size of a batch and of the largest record, not by the files.
package load
