package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"fhirhook/channel"
	"fhirhook/channel/resthook"
	"fhirhook/fhir"
	"fhirhook/fhir/rest"
)

// Outbound says how the server meets endpoints, beside what Options opens of them; the zero value is the default.
type Outbound struct {
	DenyEndpoints []string
	CAFiles       []string
	Proxy         string // URL; "": straight
	ProxyAuthFile string
	ProxyAuth     string            `json:"-"` // of an environment variable: name:password
	Endpoints     []resthook.Origin // single origins, from the configuration file
}

// readOutbound makes the network that requests leave by, nil if it can't be made.
func (o Options) readOutbound(p *problems) *resthook.Network {
	policy, err := resthook.PolicyOptions{Dev: o.Dev, Endpoints: o.AllowEndpoints, HTTP: o.AllowHTTP, Deny: o.DenyEndpoints}.Policy()
	if err != nil {
		p.add("%w", err)
	}
	proxy := o.readProxy(p)
	if err != nil {
		return nil // by another policy, endpoints would have other problems
	}
	network, err := resthook.NewNetwork(resthook.NetworkOptions{
		Policy: policy, CAFiles: o.CAFiles, Proxy: proxy, Origins: o.Endpoints, Log: o.Log,
	})
	if err != nil {
		p.add("%w", err)
	}
	return network
}

func (o Options) readProxy(p *problems) *resthook.Proxy {
	credentials := o.ProxyAuth
	switch {
	case o.Proxy == "" && o.ProxyAuthFile != "":
		p.add("--proxy-auth-file %s holds credentials for no proxy: name it with --proxy, or leave the file out", o.ProxyAuthFile)
		return nil
	case o.Proxy == "":
		return nil
	case o.ProxyAuth != "" && o.ProxyAuthFile != "":
		p.add("--proxy-auth-file and FHIRHOOK_PROXY_AUTH both hold the proxy's credentials: leave one out")
		return nil
	case o.ProxyAuthFile != "":
		text, err := os.ReadFile(o.ProxyAuthFile)
		if err != nil {
			p.add("--proxy-auth-file: %w", err)
			return nil
		}
		if credentials = strings.TrimSpace(string(text)); credentials == "" {
			p.add("--proxy-auth-file %s is empty: write name:password into it", o.ProxyAuthFile)
			return nil
		}
	}
	proxy, err := resthook.ParseProxy(o.Proxy, credentials)
	if err != nil {
		p.add("--proxy: %w", err) // the value itself may hold credentials
	}
	return proxy
}

// mostLookAhead bounds the Subscriptions whose endpoint is looked at before they are judged.
const mostLookAhead = 1 << 20

// lookup asks for the name of an endpoint; a *resthook.Network does.
type lookup interface {
	LookUp(ctx context.Context, endpoint string)
}

// lookAhead asks for the name of an endpoint while the Subscription that names it comes in: it is judged inside the
// store's transaction, where nobody may wait for a name server. Only what a client sends as one Subscription is looked
// at; Bundles and patches are judged by what is known, and everything again when it is dialled.
func lookAhead(network lookup, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if writesSubscription(r) && r.Body != nil {
			body := &foreseen{body: r.Body, look: func(endpoint string) { network.LookUp(r.Context(), endpoint) }}
			r = r.WithContext(r.Context()) // a copy: the caller's stays as it is
			r.Body = body
		}
		next.ServeHTTP(w, r)
	})
}

func writesSubscription(r *http.Request) bool {
	path, ok := strings.CutPrefix(r.URL.Path, rest.Prefix+"/"+string(fhir.Subscription))
	if !ok {
		return false
	}
	path = strings.Trim(path, "/")
	return r.Method == http.MethodPost && path == "" || r.Method == http.MethodPut && !strings.Contains(path, "/")
}

// foreseen is a body that is looked at when it has been read to its end. Nobody reads the body of a client that isn't
// let in, so that strangers make no name server work.
type foreseen struct {
	body io.ReadCloser
	read []byte
	over bool // too much to be looked at, or looked at already
	look func(endpoint string)
}

// Read implements io.Reader.
func (f *foreseen) Read(p []byte) (int, error) {
	n, err := f.body.Read(p)
	if f.over {
		return n, err
	}
	if f.read = append(f.read, p[:n]...); len(f.read) > mostLookAhead {
		f.read, f.over = nil, true
	}
	if errors.Is(err, io.EOF) && !f.over {
		f.over = true
		var s struct {
			Channel struct {
				Endpoint string `json:"endpoint"`
			} `json:"channel"`
		}
		if json.Unmarshal(f.read, &s) == nil && s.Channel.Endpoint != "" {
			f.look(s.Channel.Endpoint)
		}
		f.read = nil
	}
	return n, err
}

// Close implements io.Closer.
func (f *foreseen) Close() error { return f.body.Close() }

// fitsEndpoint refuses a Subscription that contradicts what the operator has set up for its endpoint's origin.
func fitsEndpoint(network *resthook.Network, in fhir.Incoming) error {
	ch := in.Doc.Root().Get("channel")
	t := channel.Target{Endpoint: ch.Get("endpoint").Text()}
	for line := range ch.Get("header").Elements() {
		name, _, _ := strings.Cut(line.Text(), ":")
		t.Headers = append(t.Headers, channel.Header{Name: name})
	}
	i, err := network.CheckTarget(t)
	if err == nil {
		return nil
	}
	return fhir.Errorf(fhir.BusinessRule, fmt.Sprintf("Subscription.channel.header[%d]", i), "%s", err)
}
