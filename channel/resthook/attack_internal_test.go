package resthook

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"

	"fhirhook/channel"
	"fhirhook/channel/channeltest"
)

// errWouldConnect ends a dial that the policy let pass: tests connect to loopback and nowhere else.
var errWouldConnect = errors.New("would connect")

// canary is a listener on loopback that nobody may reach, and a record of all addresses that a dial got leave to
// connect to.
type canary struct {
	port string

	mu       sync.Mutex // guards what follows
	reached  int
	admitted []netip.AddrPort
}

func newCanary(t *testing.T) *canary {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &canary{}
	_, c.port, _ = net.SplitHostPort(l.Addr().String())
	var serving sync.WaitGroup
	serving.Go(func() { // ends when the listener is closed
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.mu.Lock()
			c.reached++
			c.mu.Unlock()
			conn.Close()
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return c
}

// admit is a dialer's hook. What is on loopback is really connected to.
func (c *canary) admit(to netip.AddrPort) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.admitted = append(c.admitted, to)
	if to.Addr().IsLoopback() {
		return nil
	}
	return errWouldConnect
}

// look returns what happened since it was last called.
func (c *canary) look() (connections int, admitted []netip.AddrPort) {
	c.mu.Lock()
	defer c.mu.Unlock()
	connections, admitted = c.reached, c.admitted
	c.reached, c.admitted = 0, nil
	return connections, admitted
}

// opening is what an operator opened and closed, in the values of the flags.
type opening struct {
	dev               bool
	allow, http, deny string
}

func (o opening) policy(t *testing.T) Policy {
	t.Helper()
	p, err := PolicyOptions{Dev: o.dev, Endpoints: strings.Fields(o.allow), HTTP: strings.Fields(o.http), Deny: strings.Fields(o.deny)}.Policy()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// attack is a URL that a Subscription names, with what a name server answers. Either words are in its refusal
// and nothing is connected to, or reaches is all that is.
type attack struct {
	name    string
	url     string // PORT is the canary's port
	answers string // for victim.example and a.victim.example
	open    opening
	words   string
	reaches string
}

// TestAttack_ssrf: whatever a Subscription names, and whatever its name resolves to, is judged by the address that is
// really connected to. Each attack goes the whole way of an attempt.
func TestAttack_ssrf(t *testing.T) {
	c := newCanary(t)
	attacks := ssrfAttacks()
	seen := map[string]bool{}
	for _, a := range attacks {
		if seen[a.name] {
			t.Fatalf("there are two attacks %q", a.name)
		}
		seen[a.name] = true
		t.Run(a.name, func(t *testing.T) { a.run(t, c) })
	}
	refused := 0
	for _, a := range attacks {
		if a.words != "" {
			refused++
		}
	}
	if refused < 120 || len(attacks)-refused < 20 {
		t.Errorf("%d attacks and %d uses: too few to prove much", refused, len(attacks)-refused)
	}
}

func (a attack) run(t *testing.T, c *canary) {
	z := newZone(map[string][]string{"victim.example": {a.answers}, "a.victim.example": {a.answers}})
	n, err := NewNetwork(NetworkOptions{Policy: a.open.policy(t), Resolver: z.resolver(), admitted: c.admit})
	if err != nil {
		t.Fatal(err)
	}
	hook := New(Options{Network: n})
	defer hook.Close()
	c.look()
	url := strings.ReplaceAll(a.url, "PORT", c.port)
	_, err = hook.Send(t.Context(), channel.Message{
		Target: channel.Target{Endpoint: url}, ID: "1", Event: "ping", Test: true,
	})
	connections, admitted := c.look()
	e, ok := errors.AsType[*channel.SendError](err)
	if !ok {
		t.Fatalf("the attempt ended with %v", err)
	}
	if a.words == "" {
		if want := strings.ReplaceAll(a.reaches, "PORT", c.port); texts(admitted) != want {
			t.Errorf("reaches %q, want %q (%v)", texts(admitted), want, e)
		}
		return
	}
	if connections > 0 || len(admitted) > 0 {
		t.Errorf("%d connections, leave to connect to %s", connections, texts(admitted))
	}
	if e.Class != ClassBlocked && e.Class != ClassMessage || !strings.Contains(e.Hint, a.words) {
		t.Errorf("refused as %s: %s; want words %q", e.Class, e.Hint, a.words)
	}
}

func texts(all []netip.AddrPort) string {
	var s []string
	for _, a := range all {
		s = append(s, a.String())
	}
	return strings.Join(s, " ")
}

// TestAttack_ssrfRebinding: a name server that tells the judge one thing and the dial another gains nothing, however
// the two follow each other.
func TestAttack_ssrfRebinding(t *testing.T) {
	const public, loopback = "93.184.216.34", "127.0.0.1"
	for _, a := range []struct {
		name    string
		answers []string
		proxied bool
	}{
		{"between write and dial", []string{public, loopback}, false},
		{"at every second question", []string{public, loopback, public, loopback, public, loopback, public, loopback}, false},
		{"to a mix", []string{public, loopback + " ::1 10.0.0.5"}, false},
		{"to a mapped address", []string{public, "::ffff:" + loopback}, false},
		{"to metadata", []string{public, "169.254.169.254"}, false},
		{"behind an alias", []string{"a.example. " + public, "b.example. " + loopback}, false},
		{"between write and dial, through a proxy", []string{public, loopback}, true},
		{"at every second question, through a proxy", []string{public, loopback, public, loopback, public, loopback, public, loopback}, true},
		{"to a mix, through a proxy", []string{public, loopback + " ::1 10.0.0.5"}, true},
	} {
		t.Run(a.name, func(t *testing.T) {
			c := newCanary(t)
			z := newZone(map[string][]string{"victim.example": a.answers})
			o := NetworkOptions{Resolver: z.resolver(), admitted: c.admit}
			if a.proxied {
				p := newProxy(t)
				p.forbid()
				o.Proxy = p.proxy(t, "")
			}
			n, err := NewNetwork(o)
			if err != nil {
				t.Fatal(err)
			}
			hook := New(Options{Network: n})
			defer hook.Close()
			url := "https://victim.example:" + c.port + "/hook"
			n.LookUp(t.Context(), url)
			if err := n.CheckURL(url); err != nil {
				t.Fatalf("the public address is refused: %v", err)
			}
			for range 6 {
				_, err := hook.Send(t.Context(), channel.Message{Target: channel.Target{Endpoint: url}, ID: "1", Event: "ping", Test: true})
				if err == nil {
					t.Error("delivered")
				}
			}
			connections, admitted := c.look()
			for _, to := range admitted {
				if to.Addr().String() != public {
					t.Errorf("leave to connect to %s", to)
				}
			}
			if connections > 0 || z.questions("victim.example") < 2 {
				t.Errorf("%d connections after %d questions", connections, z.questions("victim.example"))
			}
		})
	}
}

// TestAttack_ssrfRedirects: an endpoint that may be reached leads nowhere else.
func TestAttack_ssrfRedirects(t *testing.T) {
	for _, status := range []int{201, 300, 301, 302, 303, 305, 307, 308, 399} {
		t.Run(http.StatusText(status)+" "+strconv.Itoa(status), func(t *testing.T) {
			c := newCanary(t)
			elsewhere := "http://127.0.0.1:" + c.port + "/"
			r := channeltest.New(t).Otherwise(channeltest.Reply(status, "", "Location: "+elsewhere, "Refresh: 0; url="+elsewhere, "Link: <"+elsewhere+">; rel=preload", "Alt-Svc: h2=\"127.0.0.1:"+c.port+"\""))
			n, err := NewNetwork(NetworkOptions{Policy: opening{allow: r.Addr(), http: "127.0.0.1"}.policy(t)})
			if err != nil {
				t.Fatal(err)
			}
			hook := New(Options{Network: n})
			defer hook.Close()
			for range 2 {
				_, err = hook.Send(t.Context(), channel.Message{Target: channel.Target{Endpoint: r.URL("/hook")}, ID: "1", Event: "ping", Test: true})
			}
			if connections, _ := c.look(); connections > 0 {
				t.Errorf("%d connections", connections)
			}
			if e, ok := errors.AsType[*channel.SendError](err); status >= 300 && (!ok || e.Class != ClassRedirect) {
				t.Errorf("got %v", err)
			}
			if len(r.Requests()) != 2 {
				t.Errorf("%d requests for 2 attempts", len(r.Requests()))
			}
		})
	}
}
