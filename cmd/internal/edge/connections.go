package edge

import (
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
)

// connections is a listener that bounds how many connections there are at a time: while there are as many as there
// may be, new ones wait in the kernel's queue, and those of one client that has a quarter of them are closed at once.
type connections struct {
	net.Listener
	free  chan struct{} // a token each
	most  int           // of one client
	admit func(netip.Addr) bool
	equal func(netip.Addr) bool // clients that stand for many

	done chan struct{}
	shut sync.Once

	mu sync.Mutex // guards by
	by map[netip.Prefix]int
}

func newConnections(l net.Listener, limit int, admit, equal func(netip.Addr) bool) *connections {
	return &connections{
		Listener: l, free: make(chan struct{}, limit), most: max(1, limit/4), admit: admit, equal: equal,
		done: make(chan struct{}), by: map[netip.Prefix]int{},
	}
}

// Accept implements net.Listener.
func (c *connections) Accept() (net.Conn, error) {
	for {
		select {
		case c.free <- struct{}{}:
		case <-c.done:
			return nil, net.ErrClosed
		}
		conn, err := c.Listener.Accept()
		if err != nil {
			<-c.free
			return nil, err
		}
		addr := addressOf(conn.RemoteAddr())
		if client, ok := c.enter(addr); ok {
			return &counted{Conn: conn, leave: func() { c.leave(client) }}, nil
		}
		_ = conn.Close() // there is nobody to tell
		<-c.free
	}
}

// Close implements net.Listener.
func (c *connections) Close() error {
	c.shut.Do(func() { close(c.done) })
	return c.Listener.Close()
}

// enter counts a client's connection, if it may have one more.
func (c *connections) enter(addr netip.Addr) (client netip.Prefix, ok bool) {
	if !c.admit(addr) {
		return client, false
	}
	client = clientOf(addr)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by[client] >= c.most && !c.equal(addr) {
		return client, false
	}
	c.by[client]++
	return client, true
}

func (c *connections) leave(client netip.Prefix) {
	<-c.free
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by[client]--; c.by[client] == 0 {
		delete(c.by, client)
	}
}

// counted is a connection that is counted until it is closed.
type counted struct {
	net.Conn
	leave func()
	once  sync.Once
}

func (c *counted) Close() error {
	c.once.Do(c.leave)
	return c.Conn.Close()
}

// CloseWrite lets net/http end an answer without losing it to what the client still sends.
func (c *counted) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// strict is an HTTP/1 connection, in the clear or within TLS, whose requests a framer follows.
type strict struct {
	net.Conn
	tls     *tls.ConnectionState // nil: in the clear
	frames  framer
	problem error
}

func newStrict(c net.Conn, state *tls.ConnectionState, maxHead int) *strict {
	return &strict{Conn: c, tls: state, frames: framer{limit: 2*maxHead + 8<<10}} // net/http answers 431 long before
}

// Read implements net.Conn. Of a request that breaks the rules it returns no more than net/http finds incomplete, and then
// an error that net/http answers with 400 before it closes.
func (s *strict) Read(p []byte) (int, error) {
	if s.problem != nil {
		return 0, s.problem
	}
	n, err := s.Conn.Read(p)
	passed, problem := s.frames.feed(p[:n])
	if problem != nil {
		s.problem = problem
		if passed == 0 {
			return 0, problem
		}
		return passed, nil
	}
	return n, err
}

// CloseWrite passes net/http's wish on.
func (s *strict) CloseWrite() error { return closeWrite(s.Conn) }

// inTheClear makes the connections of a listener without TLS strict.
type inTheClear struct {
	net.Listener
	maxHead int
}

// Accept implements net.Listener.
func (l inTheClear) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newStrict(c, nil, l.maxHead), nil
}
