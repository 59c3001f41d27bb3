// Package patch changes a resource's bytes by JSON Patch (RFC 6902), JSON Merge Patch (RFC 7396) or FHIRPath
// Patch (R4 fhirpatch.html), and leaves every byte alone that the patch did not touch: number text, order and
// string escapes stay as they were sent.
//
// The idea: the document becomes a tree whose nodes are still the bytes they were parsed from, and only the
// objects and arrays on the way to a change are opened. Writing the tree joins bytes.
//
// A resource may hold secrets that its reader sees masked. A patch works on what the reader sees, so that no
// test and no condition of a path can ask for a secret, and an operation whose source is a masked place is
// refused. Result has both forms: Shown, with masks, and Full, with the secrets where they are now.
//
// Nothing is stored here, and nothing is known of HTTP. A Patch is immutable and may be applied many times.
package patch
