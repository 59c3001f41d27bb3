package edge

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func request(t *testing.T, method, target string, header ...string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	r.RemoteAddr = "192.0.2.7:1234"
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func do(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestFailures_slowDownWhoTriesTokens has a neighbour behind the same address, who was let in before.
func TestFailures_slowDownWhoTriesTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFailures()
		proxies := []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32")}
		h := f.around(proxies, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer good" {
				w.WriteHeader(http.StatusUnauthorized)
			}
		}))
		try := func(from, token string) int {
			return do(h, request(t, http.MethodGet, "/", "X-Forwarded-For", "203.0.113.9, "+from, "Authorization", "Bearer "+token)).Code
		}
		if got := try("198.51.100.1", "good"); got != http.StatusOK {
			t.Fatalf("a good token: %d", got)
		}
		for i := range failuresAtOnce {
			if got := try("198.51.100.1", "bad"); got != http.StatusUnauthorized {
				t.Fatalf("failure %d: %d", i, got)
			}
		}
		if got := try("198.51.100.1", "bad"); got != http.StatusUnauthorized {
			t.Errorf("the last that is free: %d", got)
		}
		for range 100 {
			if got := try("198.51.100.1", "bad"); got != http.StatusTooManyRequests {
				t.Fatalf("one too many: %d", got)
			}
		}
		if got := try("198.51.100.1", "good"); got != http.StatusOK {
			t.Errorf("a neighbour who was let in before: %d", got)
		}
		if got := try("198.51.100.2", "bad"); got != http.StatusUnauthorized {
			t.Errorf("another address: %d", got)
		}
		time.Sleep(failureEvery)
		if got := try("198.51.100.1", "bad"); got != http.StatusUnauthorized {
			t.Errorf("after it has waited: %d", got)
		}
		if got := try("198.51.100.1", "bad"); got != http.StatusTooManyRequests {
			t.Errorf("at once again: %d", got)
		}
	})
}

func TestFailures_rememberABoundedNumberOfClients(t *testing.T) {
	f := newFailures()
	for i := range 3 * knownClients {
		addr := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		f.saw(clientOf(addr), nil, http.StatusUnauthorized)
		f.saw(clientOf(addr), []string{"Bearer x"}, http.StatusOK)
	}
	if f.failed.Len() > knownClients || f.good.Len() > knownClients {
		t.Errorf("%d and %d are remembered", f.failed.Len(), f.good.Len())
	}
}

func TestClientOf_countsANetworkOfIPv6AsOne(t *testing.T) {
	if a, b := clientOf(netip.MustParseAddr("2001:db8::1")), clientOf(netip.MustParseAddr("2001:db8::ffff:1")); a != b {
		t.Errorf("one IPv6 network is counted as two: %s, %s", a, b)
	}
}

func TestCrowd_refusesAtOnceWhatIsTooMuch(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	h := crowd(1, func(r *http.Request) bool { return r.URL.Path == "/healthz" }, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			entered <- struct{}{}
			<-leave
		}
	}))
	ended := make(chan struct{})
	go func() { // stops when it may leave
		do(h, request(t, http.MethodGet, "/slow"))
		close(ended)
	}()
	<-entered
	if w := do(h, request(t, http.MethodGet, "/")); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), "OperationOutcome") {
		t.Errorf("one too many: %d %v %s", w.Code, w.Header(), w.Body)
	}
	if w := do(h, request(t, http.MethodGet, "/healthz")); w.Code != http.StatusOK {
		t.Errorf("health: %d", w.Code)
	}
	close(leave)
	<-ended
	if w := do(h, request(t, http.MethodGet, "/")); w.Code != http.StatusOK {
		t.Errorf("when there is a place again: %d", w.Code)
	}
}

// fakeConns is a listener of connections from addresses.
type fakeConns struct {
	net.Listener
	from chan string
}

type fakeConn struct {
	net.Conn
	from   string
	closed bool
}

func (c *fakeConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(c.from), 1))
}

func (c *fakeConn) Close() error {
	c.closed = true
	return nil
}

func (l *fakeConns) Accept() (net.Conn, error) {
	from, ok := <-l.from
	if !ok {
		return nil, io.EOF
	}
	return &fakeConn{from: from}, nil
}

func TestConnections_leaveRoomForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &fakeConns{from: make(chan string, 100)}
		refused := netip.MustParsePrefix("203.0.113.0/24")
		c := newConnections(l, 8, func(a netip.Addr) bool { return !refused.Contains(a) }, netip.Addr.IsLoopback)
		for _, from := range []string{"203.0.113.1", "198.51.100.1", "198.51.100.1", "198.51.100.1", "127.0.0.1", "127.0.0.1", "127.0.0.1", "198.51.100.2", "2001:db8::1", "2001:db8::2", "2001:db8::3"} {
			l.from <- from
		}
		var got []net.Conn
		accepted := make(chan net.Conn)
		go func() { // stops when the listener ends
			defer close(accepted)
			for {
				conn, err := c.Accept()
				if err != nil {
					return
				}
				accepted <- conn
			}
		}()
		take := func() (froms []string) {
			for {
				synctest.Wait()
				select {
				case conn, ok := <-accepted:
					if !ok {
						return froms
					}
					got = append(got, conn)
					froms = append(froms, addressOf(conn.RemoteAddr()).String())
				default:
					return froms
				}
			}
		}
		want := "198.51.100.1 198.51.100.1 127.0.0.1 127.0.0.1 127.0.0.1 198.51.100.2 2001:db8::1 2001:db8::2"
		if froms := strings.Join(take(), " "); froms != want {
			t.Errorf("accepted %s, want %s", froms, want)
		}
		l.from <- "198.51.100.3"
		if froms := take(); len(froms) > 0 {
			t.Errorf("more than there may be: %v", froms)
		}
		for range 2 {
			_ = got[0].Close() // twice counts once
		}
		if froms := strings.Join(take(), " "); froms != "198.51.100.3" {
			t.Errorf("when there is room again: %s", froms)
		}
		if len(c.by) != 5 {
			t.Errorf("clients that are counted: %v", c.by)
		}
		close(l.from)
		for _, conn := range got[1:] {
			_ = conn.Close()
		}
		take()
		if len(c.by) != 0 || len(c.free) != 0 {
			t.Errorf("after all have left: %v, %d", c.by, len(c.free))
		}
	})
}

func TestLimits_zeroIsTheDefaultAndLessIsRefused(t *testing.T) {
	if err := (Limits{}).Check(); err != nil {
		t.Errorf("the zero value: %v", err)
	}
	err := Limits{MaxConnections: -1, MaxRequests: -1, HeaderTimeout: -1, IdleTimeout: -1, StallTimeout: -1, BodyTimeout: -1, MinRate: -1}.Check()
	if err == nil || strings.Count(err.Error(), "--") != 7 {
		t.Errorf("below zero: %v", err)
	}
	if d := (Limits{}).orDefaults(); d.MaxConnections == 0 || d.MaxRequests == 0 || d.HeaderTimeout == 0 || d.IdleTimeout == 0 || d.StallTimeout == 0 || d.BodyTimeout == 0 || d.MinRate == 0 {
		t.Errorf("defaults: %+v", d)
	}
}
