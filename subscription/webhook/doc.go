// Package webhook serves webhooks to people who don't speak FHIR: a URL, the events that go there, a secret.
//
// A webhook is a Subscription with the criteria [*] and extensions subscription-event, and nothing else is stored
// of it. So this package is a translation: a request becomes one or a few requests to the FHIR endpoint, made in
// this process as the same client, and what that answers becomes the answer. Admission, masking of secrets,
// versions, limits and authorisation are therefore the FHIR endpoint's, and there is one place for each.
//
// Reading goes view.go (Subscription → webhook); writing goes field.go (JSON → form) and draft.go (form →
// Subscription). A write changes of a Subscription only what differs in the form, and keeps everything that a
// form can't express: an end, headers, other extensions.
//
// The trap: what is read carries masks in the place of secrets, and is written back with them. The FHIR endpoint
// restores what they stand for, or refuses; a secret is never known here, unless the request brought it.
package webhook
