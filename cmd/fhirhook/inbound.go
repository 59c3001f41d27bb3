package main

import (
	"path/filepath"
	"time"

	"fhirhook/cmd/internal/app"
	"fhirhook/cmd/internal/edge"
)

// inboundFlags say how the server meets its clients.
type inboundFlags struct {
	TLSCert         string        `name:"tls-cert" help:"PEM file with the certificate and those that vouch for it; it is read again when it changes." placeholder:"FILE" type:"path"`
	TLSKey          string        `name:"tls-key" help:"PEM file with the certificate's key." placeholder:"FILE" type:"path"`
	TLSClientCA     string        `name:"tls-client-ca" help:"PEM file: only clients with a certificate of these authorities may connect." placeholder:"FILE" type:"path"`
	ACMEDomain      []string      `name:"acme-domain" help:"Fetch and renew a certificate for this name by ACME (repeatable); its port 443 has to lead here." placeholder:"HOST"`
	ACMEAcceptTerms bool          `name:"acme-accept-terms" help:"Accept the terms of service of the ACME authority."`
	ACMEEmail       string        `name:"acme-email" help:"Whom the ACME authority may write to." placeholder:"ADDRESS"`
	ACMECache       string        `name:"acme-cache" help:"Folder of the ACME account and its certificates. Default: acme in --data." placeholder:"DIR" type:"path"`
	ACMEDirectory   string        `name:"acme-directory" help:"Directory URL of the ACME authority. Default: Let's Encrypt." placeholder:"URL"`
	ACMECA          string        `name:"acme-ca" help:"PEM file with the authorities that the directory's own certificate is of, if it is a private one." placeholder:"FILE" type:"path"`
	AdminListen     string        `help:"Address for /metrics, /healthz and /readyz alone, without authentication, on this machine or in a private network. Default: they are at --listen, /metrics for administrators." placeholder:"ADDRESS"`
	CORSOrigin      []string      `name:"cors-origin" help:"Let web pages of this origin read answers, as in https://app.example.org, or * for all (repeatable)." placeholder:"ORIGIN"`
	MaxConnections  int           `help:"Connections at a time; one client may have a quarter of them." default:"10000"`
	MaxRequests     int           `help:"Requests at a time; those beyond are answered 503." default:"1000"`
	HeaderTimeout   time.Duration `help:"How long a TLS handshake, and then the head of a request, may take." default:"10s"`
	IdleTimeout     time.Duration `help:"How long a connection is kept between two requests." default:"2m"`
	StallTimeout    time.Duration `help:"How long a client may stand still while it sends a body or takes an answer." default:"30s"`
	BodyTimeout     time.Duration `help:"How long a body may take to arrive." default:"5m"`
	MinRate         int64         `help:"Bytes a second that a body has to arrive at, beyond --stall-timeout." default:"1024"`
}

// inbound turns the flags into what app takes.
func (f inboundFlags) inbound(data string) app.Inbound {
	cache := f.ACMECache
	if cache == "" {
		cache = filepath.Join(data, "acme")
	}
	return app.Inbound{
		TLS: edge.TLS{
			Cert: f.TLSCert, Key: f.TLSKey, ClientCA: f.TLSClientCA,
			ACME: edge.ACME{
				Domains: f.ACMEDomain, Email: f.ACMEEmail, Cache: cache, Directory: f.ACMEDirectory, CA: f.ACMECA, AcceptTerms: f.ACMEAcceptTerms,
			},
		},
		Limits: edge.Limits{
			MaxConnections: f.MaxConnections, MaxRequests: f.MaxRequests, HeaderTimeout: f.HeaderTimeout,
			IdleTimeout: f.IdleTimeout, StallTimeout: f.StallTimeout, BodyTimeout: f.BodyTimeout, MinRate: f.MinRate,
		},
		CORSOrigins: f.CORSOrigin,
		AdminListen: f.AdminListen,
	}
}
