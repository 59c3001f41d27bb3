package rest

import (
	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/patch"
	"fhirhook/fhir/store"
)

// call is one interaction, as a request of its own or as an entry of a Bundle.
type call struct {
	code   interaction
	who    *auth.Principal // who calls; nil: nobody found out, and nothing is allowed
	tenant string
	base   string // [base], for absolute URLs
	target target
	cond   conditions
	prefer prefer
	origin store.Origin
	in     fhir.Incoming // of create and update: the resource; of a FHIRPath Patch: its Parameters
	patch  patch.Patch   // of patch
	bundle fhir.Incoming // of process
	native []string      // Accept, of a read of a Binary that does not name FHIR
	spent  *searchTime   // of a write: what its conditions may take
	within *searchTime   // of an entry: what is left to its Bundle; nil: it came alone
	extra  []Pair        // what the links of a page carry besides the search's own parameters

	home    string   // the caller's own tenant
	admin   bool     // only administrators may
	account *account // nil: nobody keeps one
}

func (c *call) key() fhir.Key {
	return fhir.Key{Tenant: c.tenant, Type: c.target.typ, ID: c.target.id}
}

// answer is what came of a call that did not fail.
type answer struct {
	status   int
	resource *fhir.Resource // gives ETag and Last-Modified; may be nil
	located  bool           // Location names the resource's version
	body     []byte         // JSON; nil for none
	outcome  bool           // body is an OperationOutcome about the call, not what it asked for
	etag     string         // instead of the resource's
	also     []fhir.Key     // what was written besides the resource
}
