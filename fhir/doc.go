// Package fhir is the vocabulary that every other package speaks: resource types, keys, resources as
// bytes, interactions and errors. It imports nothing but its own JSON reader and knows no storage,
// no HTTP and no search.
//
// The one idea: the bytes are the resource. A Resource carries the compact JSON that a client sent;
// only id, meta.versionId and meta.lastUpdated are ever put in (Stamp). Typed models are views for
// resources that the server itself writes.
package fhir
