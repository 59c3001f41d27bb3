package subscription

import (
	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// Shown is a resource as anyone may see it, which is what FHIRPath expressions are about: whether one holds must
// not tell a secret.
func Shown(r *fhir.Resource) *tape.Doc { return shown(r) }

// masked is a version as anyone may see it, which is what criteria are held against: whether they find it must not tell
// a secret. A search shows the same (search.Options.Show).
func masked(r *fhir.Resource) *fhir.Resource {
	if r == nil || r.Deleted || r.Key.Type != fhir.Subscription || len(r.JSON) == 0 {
		return r
	}
	return &fhir.Resource{Key: r.Key, Version: r.Version, Updated: r.Updated, JSON: redact(r.Doc(), nil)}
}

// Masked is a version as criteria see it.
func Masked(r *fhir.Resource) *fhir.Resource { return masked(r) }

// ExtensionName is an extension's URL as it is looked up here: two URLs with the same name mean the same.
func ExtensionName(url string) string { return extensionName(url) }

// SecretExtension tells whether an extension is about a key: it holds one, or says until when that is good.
func SecretExtension(url string) bool {
	name := extensionName(url)
	return secretNames[name] || name == previousUntil
}
