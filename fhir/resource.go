package fhir

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"fhirhook/fhir/tape"
)

// DefaultTenant owns everything while authentication is off.
const DefaultTenant = "default"

// Key names a resource. Tenants never share one (invariant 9).
type Key struct {
	Tenant string
	Type   Type
	ID     string
}

// String is the relative reference, Type/id, without the tenant.
func (k Key) String() string { return string(k.Type) + "/" + k.ID }

// Interaction is what a write did to a resource.
type Interaction uint8

// The interactions of the change log. Update-as-create and the revival of a deleted resource are Create.
const (
	Create Interaction = iota + 1
	Update
	Delete
)

// String is the FHIR restful-interaction code.
func (i Interaction) String() string {
	switch i {
	case Create:
		return "create"
	case Update:
		return "update"
	case Delete:
		return "delete"
	default:
		return "unknown"
	}
}

// Resource is one version of a resource. It is immutable once it is shared, and safe for concurrent use.
type Resource struct {
	Key     Key
	Version uint64    // meta.versionId, from 1, counted through deletes
	Updated time.Time // meta.lastUpdated, UTC, milliseconds
	Deleted bool      // a tombstone: it has no JSON
	JSON    []byte    // compact, stamped

	once sync.Once
	doc  atomic.Pointer[tape.Doc] // nil until it is asked for
}

// storedDepth is the nesting that Doc reads: how deep is too deep was decided when the resource came in.
const storedDepth = 1 << 16

// Doc returns the JSON parsed, which happens once, at the first call at the latest. A tombstone, and JSON that the store
// should never have held, give an empty document.
func (r *Resource) Doc() *tape.Doc {
	if doc := r.doc.Load(); doc != nil {
		return doc
	}
	r.once.Do(func() {
		doc, err := tape.Parse(r.JSON, storedDepth)
		if err != nil {
			doc = &tape.Doc{}
		}
		r.doc.Store(doc)
	})
	return r.doc.Load()
}

// Footprint is how many bytes of memory the resource takes at most, as it is or once it is parsed.
func (r *Resource) Footprint() int {
	const itself = 512 // with its key, and what holds it
	if doc := r.doc.Load(); doc != nil {
		return itself + doc.Footprint()
	}
	return itself + tape.MaxFootprint(len(r.JSON))
}

// VersionID is Version as FHIR writes it.
func (r *Resource) VersionID() string { return strconv.FormatUint(r.Version, 10) }

// ETag is the weak entity tag of the version (R4 http.html#versioning).
func (r *Resource) ETag() string { return `W/"` + r.VersionID() + `"` }

// VersionedReference is Type/id/_history/version.
func (r *Resource) VersionedReference() string {
	return r.Key.String() + "/_history/" + r.VersionID()
}
