package subscription

import (
	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// Shown is a resource as anyone may see it, which is what FHIRPath expressions are about: whether one holds must
// not tell a secret.
func Shown(r *fhir.Resource) *tape.Doc { return shown(r) }

// ExtensionName is an extension's URL as it is looked up here: two URLs with the same name mean the same.
func ExtensionName(url string) string { return extensionName(url) }

// SecretExtension tells whether the value of an extension is a key, so that it is masked.
func SecretExtension(url string) bool { return secretNames[extensionName(url)] }
