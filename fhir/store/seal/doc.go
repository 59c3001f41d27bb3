// Package seal encrypts what a store keeps of resources, so that a copied disk or backup gives no secret away.
//
// Two layers of keys. A master key comes from the operator and is never stored here. It wraps data keys, which
// stand in a file beside the store and encrypt the rows. A new master key therefore means wrapping a few keys
// anew, not writing the store again, and a data key is replaced by a new one now and then: what it has sealed
// stays readable for as long as the file names it.
//
// AES-256-GCM throughout (NIST SP 800-38D). What is sealed is bound to where it stands: moved to another
// resource, version or tenant, it does not open.
package seal
