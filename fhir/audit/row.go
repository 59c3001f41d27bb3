package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"hash/crc32"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/rest"
	"fhirhook/fhir/tape"
)

// Bounds of what a line holds of a request.
const (
	mostQuery = 8 << 10
	mostText  = 1 << 10
)

// row is a deed as it is kept. The names are short because there are many.
type row struct {
	Request     string     `json:"r,omitempty"`
	Entry       int        `json:"n,omitempty"`
	Issuer      string     `json:"iss,omitempty"`
	Subject     string     `json:"sub,omitempty"`
	From        string     `json:"from,omitempty"`
	Admin       bool       `json:"adm,omitempty"`
	Open        bool       `json:"open,omitempty"`
	Address     netip.Addr `json:"ip,omitzero"`
	Method      string     `json:"m,omitempty"`
	Interaction string     `json:"i"`
	About       string     `json:"k,omitempty"` // Type/id, or Type
	Version     uint64     `json:"v,omitempty"`
	Query       string     `json:"q,omitempty"`
	Clipped     bool       `json:"clip,omitempty"` // the query was longer
	Status      int        `json:"s"`
	Issue       string     `json:"c,omitempty"`
	Reason      string     `json:"x,omitempty"`
	Micros      int64      `json:"d,omitempty"`
}

// nobody stands for the tenant where it was not found out. It is no tenant's name.
const nobody = "-"

// rowOf is what is kept of a deed, and its tenant.
func rowOf(d rest.Deed) (r row, tenant string) {
	r = row{
		Request: clip(d.RequestID, mostText), Entry: d.Entry, Address: d.Address, Method: d.Method, Interaction: d.Interaction,
		Version: d.Version, Status: d.Status, Issue: d.Issue, Reason: clip(d.Reason, mostText), Micros: d.Took.Microseconds(),
	}
	switch {
	case !d.Type.Known(): // whatever the client wrote there
		r.Version = 0
	case fhir.ValidID(d.ID) && d.Who != nil:
		r.About = string(d.Type) + "/" + d.ID
	default:
		r.About, r.Version = string(d.Type), 0
	}
	if d.Who == nil {
		return r, nobody // of any tenant, and so may be what was asked for: it is left out
	}
	r.Query = clip(d.Query, mostQuery)
	r.Clipped = len(d.Query) > mostQuery
	r.Open, r.Admin = d.Who.Open(), d.Who.Admin
	r.Issuer, r.Subject = clip(d.Who.Issuer, mostText), clip(d.Who.Subject, mostText)
	if d.From != d.Who.Tenant {
		r.From = d.From
	}
	return r, d.Who.Tenant
}

// clip leaves at most so many bytes, all of them text.
func clip(s string, most int) string {
	if len(s) > most {
		s = s[:most]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// Ring encrypts and decrypts; seal.Ring does.
type Ring interface {
	Seal(plain, about []byte) []byte
	Open(sealed, about []byte) ([]byte, error)
}

// payload is the last field of a line.
func (r row) payload(tenant string, ring Ring) []byte {
	text := r.append(make([]byte, 0, 256+len(r.Query)))
	if ring == nil {
		return text
	}
	sealed := ring.Seal(text, about(tenant))
	return base64.RawStdEncoding.AppendEncode(nil, sealed)
}

// append writes the row as encoding/json would, and quicker: every request pays for it.
func (r row) append(b []byte) []byte {
	b = append(b, `{"i":`...)
	b = appendText(b, r.Interaction)
	b = strconv.AppendInt(append(b, `,"s":`...), int64(r.Status), 10)
	for _, member := range [...]struct{ name, value string }{
		{"r", r.Request},
		{"iss", r.Issuer},
		{"sub", r.Subject},
		{"from", r.From},
		{"m", r.Method},
		{"k", r.About},
		{"q", r.Query},
		{"c", r.Issue},
		{"x", r.Reason},
	} {
		if member.value != "" {
			b = append(append(append(b, `,"`...), member.name...), `":`...)
			b = appendText(b, member.value)
		}
	}
	if r.Address.IsValid() {
		b = append(r.Address.AppendTo(append(b, `,"ip":"`...)), '"')
	}
	if r.Version > 0 {
		b = strconv.AppendUint(append(b, `,"v":`...), r.Version, 10)
	}
	for _, member := range [...]struct {
		name  string
		value int64
	}{{"n", int64(r.Entry)}, {"d", r.Micros}} {
		if member.value != 0 {
			b = append(append(append(b, `,"`...), member.name...), `":`...)
			b = strconv.AppendInt(b, member.value, 10)
		}
	}
	for _, member := range [...]struct {
		name  string
		value bool
	}{{"adm", r.Admin}, {"open", r.Open}, {"clip", r.Clipped}} {
		if member.value {
			b = append(append(append(b, `,"`...), member.name...), `":true`...)
		}
	}
	return append(b, '}')
}

// appendText writes a string. Nearly all are plain.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return append(b, tape.Quote(s)...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// about is what an encrypted deed belongs to.
func about(tenant string) []byte { return []byte("audit\x00" + tenant) }

// The fields of a line: sum, space, time, space, tenant, space, payload.
const (
	sumDigits  = 8
	timeDigits = 13
	lineHead   = sumDigits + 1 + timeDigits + 1
)

// appendLine writes a line.
func appendLine(b []byte, at time.Time, tenant string, payload []byte) []byte {
	start := len(b)
	b = append(b, "00000000 0000000000000 "...)
	for i, n := start+lineHead-2, max(at.UnixMilli(), 0); n > 0; i, n = i-1, n/10 {
		b[i] = byte('0' + n%10)
	}
	b = append(append(b, tenant...), ' ')
	b = append(b, payload...)
	const digits = "0123456789abcdef"
	sum := crc32.ChecksumIEEE(b[start+sumDigits+1:])
	for i := range sumDigits {
		b[start+i] = digits[sum>>(28-4*i)&15]
	}
	return append(b, '\n')
}

// line is one that was read. Its payload is not looked into yet.
type line struct {
	at      time.Time
	tenant  string
	payload []byte // of the reader's buffer
}

// parseLine reads a line without its end; false if it isn't one.
func parseLine(b []byte) (line, bool) {
	if len(b) < lineHead || b[sumDigits] != ' ' || b[lineHead-1] != ' ' {
		return line{}, false
	}
	sum, err := strconv.ParseUint(string(b[:sumDigits]), 16, 32)
	if err != nil || uint32(sum) != crc32.ChecksumIEEE(b[sumDigits+1:]) {
		return line{}, false
	}
	millis, err := strconv.ParseInt(string(b[sumDigits+1:lineHead-1]), 10, 64)
	tenant, payload, ok := bytes.Cut(b[lineHead:], []byte(" "))
	return line{at: time.UnixMilli(millis).UTC(), tenant: string(tenant), payload: payload}, err == nil && ok
}

// row reads the payload.
func (l line) row(ring Ring) (r row, err error) {
	text := l.payload
	if len(text) > 0 && text[0] != '{' {
		if text, err = base64.RawStdEncoding.AppendDecode(nil, l.payload); err != nil {
			return r, err
		}
		if ring == nil {
			return r, errSealed
		}
		if text, err = ring.Open(text, about(l.tenant)); err != nil {
			return r, err
		}
	}
	return r, json.Unmarshal(text, &r)
}
