package resthook

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Limits on asking for names ahead of time.
const (
	mostAsk    = 2 * time.Second  // how long a write may wait for the name server
	rememberAs = 30 * time.Second // how long an answer counts
	silence    = 30 * time.Second // how long nobody asks a name server that didn't answer
	askers     = 4
	mostNames  = 1024
)

// names remembers what names resolved to lately. A Subscription is judged inside the store's transaction, where nobody
// may wait for a name server: so that is asked before, and its answer looked up there. What isn't known there is
// judged when it is dialled, as everything is.
type names struct {
	resolver *net.Resolver
	turns    chan struct{} // capacity askers: whoever asks holds one; never closed

	mu     sync.Mutex // guards what follows
	known  map[string]answered
	silent time.Time // until then nobody asks
}

// answered is what a name resolved to; no addresses if it didn't.
type answered struct {
	addrs []netip.Addr
	until time.Time
}

func newNames(r *net.Resolver) *names {
	return &names{resolver: r, turns: make(chan struct{}, askers), known: map[string]answered{}}
}

// of returns the addresses of a name as far as they are known.
func (n *names) of(host string, now time.Time) (addrs []netip.Addr, known bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a, ok := n.known[host]
	if !ok || !now.Before(a.until) {
		return nil, false
	}
	return a.addrs, true
}

// ask looks a name up unless its addresses are known. It gives up when the name server is slow or many ask: the answer
// is a courtesy, and not worth making a client wait.
func (n *names) ask(ctx context.Context, host string) {
	now := time.Now()
	if _, known := n.of(host, now); known || n.isSilent(now) {
		return
	}
	select {
	case n.turns <- struct{}{}:
		defer func() { <-n.turns }()
	default:
		return
	}
	limited, cancel := context.WithTimeout(ctx, mostAsk)
	defer cancel()
	addrs, err := resolve(limited, n.resolver, host)
	now = time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	d, isDNS := errors.AsType[*net.DNSError](err)
	switch {
	case ctx.Err() != nil:
		return // the client went away: nothing is known
	case err != nil && (limited.Err() != nil || isDNS && d.IsTimeout):
		n.silent = now.Add(silence)
	}
	if len(n.known) >= mostNames {
		clear(n.known)
	}
	n.known[host] = answered{addrs: addrs, until: now.Add(rememberAs)}
}

func (n *names) isSilent(now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return now.Before(n.silent)
}

// LookUp asks the name server for an endpoint's host, so that CheckURL can tell what it stands for. It waits two
// seconds at most and tells nothing: a name that has no address now may have one when it is needed.
func (n *Network) LookUp(ctx context.Context, raw string) {
	e, err := parseEndpoint(raw)
	if err != nil || e.addr.IsValid() || localName(e.host) || n.policy.endpoint(e) != nil {
		return
	}
	n.names.ask(ctx, e.host)
}

// CheckURL judges an endpoint as Policy.CheckURL does, and if LookUp was asked for it lately by the addresses of its
// name as well: if none of them may be reached, the endpoint can't be either. It asks nobody.
func (n *Network) CheckURL(raw string) error {
	e, err := parseEndpoint(raw)
	if err != nil {
		return err
	}
	if err := n.policy.endpoint(e); err != nil || e.addr.IsValid() {
		return err
	}
	addrs, _ := n.names.of(e.host, time.Now())
	var refused error
	for _, a := range addrs {
		err := n.policy.reached(e.host, e.port, a, e.secure)
		if err == nil {
			return nil
		}
		refused = firstOf(refused, err)
	}
	return refused
}
