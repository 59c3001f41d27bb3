// Package storetest says what a storage engine must do, three times over: Run is the conformance suite
// that every engine passes, NewModel is the obvious engine in memory that others are compared with, and
// Rerun makes a caller's transactions run twice, as the contract in fhir/store allows any engine to do.
//
// An engine's test is short:
//
//	func TestDB(t *testing.T) { storetest.Run(t, open, reopen) }
//
// Tests of what stands on a store use Rerun(NewModel()): it is quick, and a function that keeps state
// outside its Writer shows at once.
//
// The model keeps everything for as long as it lives and looks most things up by walking; it is for
// tests of up to some ten thousand rows.
package storetest
