package app

import (
	"path/filepath"
	"time"

	"fhirhook/fhir/audit"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/quota"
	"fhirhook/fhir/rest"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/bolt"
	"fhirhook/subscription/trail"
)

// auditFolder is where in a data folder the audit trail is.
const auditFolder = "audit"

// What of the requests is kept.
const (
	auditAuto   = "auto" // all, if callers authenticate, or else off
	auditOff    = "off"
	auditWrites = "writes"
	auditAll    = "all"
)

// Auditing says what of the requests is kept, and how; the zero value is the default.
type Auditing struct {
	Audit     string        // off, writes, all or auto; "" is auto
	AuditSync bool          // no request is answered before what it did is durable
	KeepAudit time.Duration // by whole days; 0: for ever
}

func (a Auditing) checkAudit(p *problems) {
	switch a.Audit {
	case "", auditAuto, auditOff, auditWrites, auditAll:
	default:
		p.add("--audit %s: write off, writes, all or auto", a.Audit)
	}
	if a.Audit == auditOff && a.AuditSync {
		p.add("--audit off keeps nothing that --audit-sync could make durable: leave one out, or write --audit all")
	}
	if a.KeepAudit < 0 {
		p.add("--keep-audit %s must not be below zero; 0 keeps the audit trail for ever", a.KeepAudit)
	}
}

// auditor opens the audit trail; nil where nothing is kept.
func (o Options) auditor(authenticated bool, sealing bolt.Sealing) (*audit.Log, error) {
	if o.offline || o.Audit == auditOff || !authenticated && (o.Audit == "" || o.Audit == auditAuto) {
		return nil, nil //nolint:nilnil // nobody asked for one
	}
	options := audit.Options{
		Dir: filepath.Join(o.Data, auditFolder), Writes: o.Audit == auditWrites, Sync: o.AuditSync, Keep: o.KeepAudit, Opens: sealing.Ring, Log: o.Log,
	}
	if o.EncryptResources {
		options.Ring = sealing.Ring
	}
	return audit.Open(options)
}

// keeper is who is told what requests do; nil: nobody.
func (s *Server) keeper() rest.Auditor {
	if s.audit == nil {
		return nil // and not a nil of another type
	}
	return s.audit
}

// events are the views of what is no resource.
func (s *Server) events(attempts *trail.Trail) []search.Virtual {
	if s.audit == nil {
		return []search.Virtual{attempts}
	}
	return []search.Virtual{attempts, s.audit.Shown(s.base)}
}

// bounded is the store for those who write on behalf of clients.
func (o Options) bounded(db store.DB) store.DB {
	if o.offline || !o.anyQuota(func(q auth.Quota) bool { return q.Resources > 0 || q.Subscriptions > 0 || q.StorageBytes > 0 }) {
		return db
	}
	return quota.Guard(db, o.Auth.QuotaOf)
}

// requestLimit bounds the requests of tenants; nil: nothing does.
func (o Options) requestLimit() rest.Limiter {
	if o.offline || !o.anyQuota(func(q auth.Quota) bool { return q.Requests > 0 }) {
		return nil
	}
	return auth.NewLimiter(func(tenant string) float64 { return o.Auth.QuotaOf(tenant).Requests })
}

// notificationRate bounds the notifications of tenants; nil: nothing does.
func (o Options) notificationRate() func(tenant string) float64 {
	if !o.anyQuota(func(q auth.Quota) bool { return q.Notifications > 0 }) {
		return nil
	}
	return func(tenant string) float64 { return o.Auth.QuotaOf(tenant).Notifications }
}

// anyQuota tells whether a quota of some tenant has something.
func (o Options) anyQuota(has func(auth.Quota) bool) bool {
	for _, q := range o.Auth.Tenants {
		if has(q) {
			return true
		}
	}
	return has(o.Auth.Quota)
}
