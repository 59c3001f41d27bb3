package main

import (
	"os"

	"fhirhook/channel/resthook"
	"fhirhook/cmd/internal/app"
)

// originsKey is the section of the configuration file that says what single origins of endpoints need.
const originsKey = "endpoints"

// origins are those of that section.
type origins []resthook.Origin

// outboundFlags say how the server meets endpoints. The proxy's credentials are no flag, for the command lines of
// processes are seen by all.
type outboundFlags struct {
	DenyEndpoint  []string `help:"Let Subscriptions not reach this address range or host, whatever else is allowed (repeatable)." placeholder:"CIDR|HOST[:PORT]"`
	CAFile        []string `name:"ca-file" help:"PEM file with authorities of endpoints' certificates beside the machine's (repeatable); it is read again when it changes." placeholder:"FILE" type:"path"`
	Proxy         string   `help:"Forward proxy that all notifications leave through, as in http://proxy.example:3128. HTTP_PROXY and the like are not asked." placeholder:"URL"`
	ProxyAuthFile string   `help:"File with the proxy's name:password; or put it into FHIRHOOK_PROXY_AUTH." placeholder:"FILE" type:"path"`
}

// outbound turns the flags into what app takes.
func (f outboundFlags) outbound(own origins) app.Outbound {
	o := app.Outbound{DenyEndpoints: f.DenyEndpoint, CAFiles: f.CAFile, Proxy: f.Proxy, ProxyAuthFile: f.ProxyAuthFile, Endpoints: own}
	if f.Proxy != "" {
		o.ProxyAuth = os.Getenv("FHIRHOOK_PROXY_AUTH")
	}
	return o
}
