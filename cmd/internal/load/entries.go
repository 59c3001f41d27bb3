package load

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// place is where something stands in the input.
type place struct {
	path  string
	line  int
	entry int // of a Bundle; none if it is no entry
	what  string
}

const none = -1

func (p place) String() string {
	text := p.path + ":" + strconv.Itoa(p.line)
	if p.entry != none {
		text += ": entry " + strconv.Itoa(p.entry)
	}
	if p.what != "" {
		text += ": " + p.what
	}
	return text
}

// entry is an entry of a transaction, ready to be sent.
type entry struct {
	place    place
	key      string // Type/id that it writes; "" if that isn't known
	resource bool   // it writes a resource
	json     []byte
}

// group are entries that belong together: with atomic set, all are carried out or none.
type group struct {
	atomic  bool
	entries []entry
}

// reader turns the records of a file into entries.
type reader struct {
	path  string
	depth int
}

// group reads a record: a resource, or a Bundle of many. Of the n-th record of the file.
func (r reader) group(rec record, n int) (group, error) {
	in, err := fhir.Read(rec.text, r.depth)
	if err != nil {
		return group{}, err
	}
	if in.Type != fhir.Bundle {
		e, err := r.put(in, place{r.path, rec.line, none, ""}, n, "")
		return group{entries: []entry{e}}, err
	}
	switch kind := in.Doc.Root().Get("type").Text(); kind {
	case "transaction", "batch":
		g, err := r.requests(in, rec.line, n)
		g.atomic = kind == "transaction"
		return g, err
	case "collection", "searchset":
		return r.collection(in, rec.line, n)
	case "document", "message":
		e, err := r.put(in, place{r.path, rec.line, none, ""}, n, "")
		return group{entries: []entry{e}}, err
	default:
		return group{}, fhir.Errorf(fhir.NotSupported, "Bundle.type",
			"a Bundle of type %q can't be imported: transaction, batch, collection, searchset, document and message can", kind)
	}
}

// collection reads the resources of a Bundle. If they know each other by URNs, they have to go together.
func (r reader) collection(in fhir.Incoming, line, n int) (group, error) {
	var g group
	i := 0
	for e := range in.Doc.Root().Get("entry").Elements() {
		at := place{r.path, line, i, ""}
		i++
		node := e.Get("resource")
		if !node.Exists() || e.Path("search", "mode").Is("outcome") {
			continue
		}
		resource, err := fhir.Read(node.Raw(), r.depth)
		if err != nil {
			return g, fmt.Errorf("entry %d: %w", at.entry, err)
		}
		fullURL := e.Get("fullUrl").Text()
		if strings.HasPrefix(fullURL, "urn:") {
			g.atomic = true
		} else {
			fullURL = "" // what it is elsewhere
		}
		made, err := r.put(resource, at, n, fullURL)
		if err != nil {
			return g, err
		}
		g.entries = append(g.entries, made)
	}
	return g, nil
}

// requests reads the entries of a transaction or batch. A create becomes a PUT under an id that the input
// determines; all else stays as it is.
func (r reader) requests(in fhir.Incoming, line, n int) (group, error) {
	var g group
	i := 0
	for e := range in.Doc.Root().Get("entry").Elements() {
		at := place{r.path, line, i, ""}
		i++
		request := e.Get("request")
		url := request.Get("url").Text()
		if !request.Get("method").Is("POST") || request.Get("ifNoneExist").Exists() || !fhir.Type(url).Known() {
			at.what = clip(request.Get("method").Text() + " " + url)
			g.entries = append(g.entries, entry{place: at, json: e.Raw(), resource: e.Get("resource").Exists() && !request.Get("method").Is("PATCH")})
			continue
		}
		resource, err := fhir.Read(e.Get("resource").Raw(), r.depth)
		if err != nil {
			return g, fmt.Errorf("entry %d: %w", at.entry, err)
		}
		fullURL := e.Get("fullUrl").Text()
		if id, ok := strings.CutPrefix(fullURL, "urn:uuid:"); ok && fhir.ValidID(id) {
			resource, err = named(resource, id, r.depth)
		} else {
			resource, err = named(resource, r.derived(resource, at, n), r.depth) // a create ignores the id (R4 http.html#create)
		}
		if err != nil {
			return g, err
		}
		made, err := r.put(resource, at, n, fullURL)
		if err != nil {
			return g, err
		}
		g.entries = append(g.entries, made)
	}
	return g, nil
}

// put makes the entry that writes a resource under its own id, or if it has none, under one that follows from
// where it stands.
func (r reader) put(in fhir.Incoming, at place, n int, fullURL string) (entry, error) {
	if in.ID == "" {
		var err error
		if in, err = named(in, r.derived(in, at, n), r.depth); err != nil {
			return entry{}, err
		}
	}
	key := string(in.Type) + "/" + in.ID
	at.what = key
	body := in.Doc.Bytes()
	out := make([]byte, 0, len(body)+len(fullURL)+128)
	out = append(out, '{')
	if fullURL != "" {
		quoted, err := json.Marshal(fullURL)
		if err != nil {
			return entry{}, err
		}
		out = append(append(append(out, `"fullUrl":`...), quoted...), ',')
	}
	out = append(append(out, `"resource":`...), body...)
	out = append(append(append(out, `,"request":{"method":"PUT","url":"`...), key...), `"}}`...)
	return entry{place: at, key: key, resource: true, json: out}, nil
}

// derived is an id that is the same each time the same file is read, and different for each place: so that a
// repeated import finds what it has written.
func (r reader) derived(in fhir.Incoming, at place, n int) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%d\x00%d\x00", filepath.Base(r.path), n, at.entry)
	h.Write(in.Doc.Bytes())
	id := uuid.UUID(h.Sum(nil)[:16])
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80 // version 8: made by a rule of our own (RFC 9562)
	return id.String()
}

// named is the resource with an id.
func named(in fhir.Incoming, id string, depth int) (fhir.Incoming, error) {
	root := in.Doc.Root()
	edit := tape.Edit{With: []byte(`"` + id + `"`)}
	if old := root.Get("id"); old.Exists() {
		if in.ID == id {
			return in, nil
		}
		edit.Start, edit.End = old.Span()
	} else {
		_, end, _ := root.MemberSpan("resourceType")
		edit.Start, edit.End, edit.With = end, end, []byte(`,"id":"`+id+`"`)
	}
	return fhir.Read(in.Doc.Splice(edit), depth)
}

func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
