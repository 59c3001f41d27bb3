package resthook

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// zone is a name server: for each name the answers that it gives one after another, the last of them from then on.
// An answer is a list of addresses, and of names that end in a dot, which are aliases. It speaks DNS, so that what is
// tested is what a resolver makes of it.
type zone struct {
	names map[string][]string

	mu    sync.Mutex // guards asked
	asked map[string]int
}

func newZone(names map[string][]string) *zone { return &zone{names: names, asked: map[string]int{}} }

// resolver asks the zone and nobody else.
func (z *zone) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		go z.serve(there) // ends when the resolver closes its end
		return here, nil
	}}
}

func (z *zone) serve(conn net.Conn) {
	defer conn.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		reply := z.answer(query)
		if reply == nil {
			_, _ = io.Copy(io.Discard, conn) // until the resolver loses patience
			return
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return
		}
	}
}

// answer is nil where there is none.
func (z *zone) answer(query []byte) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	reply := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, RecursionAvailable: true}, Questions: m.Questions}
	answers := z.next(q)
	switch {
	case answers == "silence":
		return nil
	case answers == "fails":
		reply.RCode = dnsmessage.RCodeServerFailure
	case answers == "":
		reply.RCode = dnsmessage.RCodeNameError
	}
	owner := q.Name
	header := func(t dnsmessage.Type) dnsmessage.ResourceHeader {
		return dnsmessage.ResourceHeader{Name: owner, Type: t, Class: dnsmessage.ClassINET, TTL: 0}
	}
	for _, text := range strings.Fields(answers) {
		if strings.HasSuffix(text, ".") {
			alias := dnsmessage.MustNewName(text)
			reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: header(dnsmessage.TypeCNAME), Body: &dnsmessage.CNAMEResource{CNAME: alias}})
			owner = alias
			continue
		}
		a, err := netip.ParseAddr(text)
		switch {
		case err != nil:
		case a.Is4() && q.Type == dnsmessage.TypeA:
			reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: header(q.Type), Body: &dnsmessage.AResource{A: a.As4()}})
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: header(q.Type), Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	packed, err := reply.Pack()
	if err != nil {
		return nil
	}
	return packed
}

func (z *zone) next(q dnsmessage.Question) string {
	z.mu.Lock()
	defer z.mu.Unlock()
	name := strings.TrimSuffix(strings.ToLower(q.Name.String()), ".")
	list := z.names[name]
	if len(list) == 0 {
		return ""
	}
	key := name + " " + q.Type.String()
	n := z.asked[key]
	z.asked[key]++
	return list[min(n, len(list)-1)]
}

// questions is how often a name was asked for.
func (z *zone) questions(name string) int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return max(z.asked[name+" TypeA"], z.asked[name+" TypeAAAA"])
}

func TestZone_speaksDNS(t *testing.T) {
	z := newZone(map[string][]string{"a.example": {"192.0.2.1 2001:db8::1", "192.0.2.2"}, "b.example": {"c.example. 192.0.2.3"}, "d.example": {"fails"}})
	for i, want := range []string{"192.0.2.1 2001:db8::1", "192.0.2.2"} {
		got, err := resolve(t.Context(), z.resolver(), "a.example")
		if err != nil || joined(got) != want {
			t.Errorf("answer %d is %s, %v; want %s", i+1, joined(got), err, want)
		}
	}
	if got, err := resolve(t.Context(), z.resolver(), "b.example"); err != nil || joined(got) != "192.0.2.3" {
		t.Errorf("%v, %v", got, err)
	}
	for _, name := range []string{"d.example", "e.example"} {
		if got, err := resolve(t.Context(), z.resolver(), name); err == nil {
			t.Errorf("%s is %v", name, got)
		}
	}
}

func joined(addrs []netip.Addr) string {
	texts := make([]string, len(addrs))
	for i, a := range addrs {
		texts[i] = a.Unmap().String()
	}
	return strings.Join(texts, " ")
}
