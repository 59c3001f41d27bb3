package rest

import (
	"context"
	"net/http"

	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/store"
)

// write is a create, update, patch or delete that is checked as far as it can be without the store, and has its
// id drawn: it may be run in a transaction, twice.
type write struct {
	*call
	fresh string // the id of what may be created
}

// create stores a resource under a new id (R4 http.html#create).
func (s *Server) create(ctx context.Context, c *call) (answer, error) { return s.commit(ctx, c) }

// update stores the next version of a resource, or its first (R4 http.html#update).
func (s *Server) update(ctx context.Context, c *call) (answer, error) { return s.commit(ctx, c) }

// remove deletes a resource (R4 http.html#delete).
func (s *Server) remove(ctx context.Context, c *call) (answer, error) { return s.commit(ctx, c) }

// commit runs one write in a transaction of its own.
func (s *Server) commit(ctx context.Context, c *call) (a answer, err error) {
	w, err := newWrite(c)
	if err != nil {
		return answer{}, err
	}
	_, err = s.DB.Update(ctx, c.origin, func(tx store.Writer) error {
		c.spent = newSearchTime(c.within)
		a, err = s.run(ctx, tx, w)
		return err
	})
	return a, err
}

// newWrite checks what needs no store.
func newWrite(c *call) (write, error) {
	w := write{call: c}
	if c.code == create || c.target.id == "" {
		w.fresh = fhir.NewID()
	}
	if err := c.unasked(); err != nil {
		return w, err
	}
	if (c.code == create || c.code == update) && c.in.Type != c.target.typ {
		return w, fhir.Errorf(fhir.Invalid, "Resource.resourceType",
			"the resource is a %s, and the URL is about a %s: send it to [base]/%s", c.in.Type, c.target.typ, c.in.Type)
	}
	if c.code == update && subsetted(c.in) {
		return w, extract(c.in)
	}
	if c.code != create && c.target.id == "" {
		if len(c.target.query) == 0 {
			return w, fhir.Errorf(fhir.Required, "", "name the resource by its id, as in %s/123, or by a search, as in %s?identifier=x", c.target.typ, c.target.typ)
		}
		return w, c.cond.refuse(c.code, "If-Match")
	}
	switch c.code {
	case create:
		if c.cond.hasNoneExist && c.cond.ifNoneExist == "" {
			return w, fhir.Errorf(fhir.Value, "http.If-None-Exist", "If-None-Exist is empty: put the search there, as in identifier=x")
		}
		return w, c.cond.refuse(create, "If-None-Exist")
	case update:
		return w, checkUpdate(c)
	default:
		if !fhir.ValidID(c.target.id) {
			return w, invalidID(c)
		}
		return w, c.cond.refuse(c.code, "If-Match")
	}
}

// unasked refuses parameters where a write takes none: one that is meant as a condition must not be passed over.
func (c *call) unasked() error {
	for _, p := range c.target.query {
		switch {
		case p.Name == "_format" || p.Name == "_pretty": // of an entry
		case c.code == create:
			return fhir.Errorf(fhir.NotSupported, "http."+p.Name, "a create takes no parameter %s: a condition stands in If-None-Exist", clip(p.Name))
		case c.target.id != "":
			return fhir.Errorf(fhir.NotSupported, "http."+p.Name, "a write to %s takes no parameter %s: a condition selects instead of the id, as in %s?%s", c.key(), clip(p.Name), c.target.typ, clip(encodeQuery([]Pair{p})))
		}
	}
	return nil
}

func checkUpdate(c *call) error {
	switch {
	case !fhir.ValidID(c.target.id):
		return invalidID(c)
	case c.in.ID == "":
		return fhir.Errorf(fhir.Required, string(c.in.Type)+".id", `the resource has no id: put "id": %q into it, for the URL names %s`, c.target.id, c.key())
	case c.in.ID != c.target.id:
		return fhir.Errorf(fhir.Invalid, string(c.in.Type)+".id", "the resource has id %q, and the URL names %s: they must be equal", c.in.ID, c.key())
	case len(c.cond.ifNoneMatch) > 0 && c.cond.ifNoneMatch[0] != store.AnyVersion:
		return fhir.Errorf(fhir.NotSupported, "http.If-None-Match", "an update knows If-None-Match: * only, which lets it create and never replace")
	}
	return c.cond.refuse(update, "If-Match", "If-None-Match")
}

// subsetted tells the extracts that _summary and _elements answer (R4 search.html#summary).
func subsetted(in fhir.Incoming) bool {
	for tag := range in.Doc.Root().Path("meta", "tag").Elements() {
		if tag.Get("code").Is("SUBSETTED") && tag.Get("system").Is("http://terminology.hl7.org/CodeSystem/v3-ObservationValue") {
			return true
		}
	}
	return false
}

func extract(in fhir.Incoming) *fhir.Error {
	return fhir.Errorf(fhir.BusinessRule, string(in.Type)+".meta.tag", "the resource is tagged SUBSETTED: it is an extract, and storing it would lose the rest; read it in full, change that, and take the tag out")
}

func invalidID(c *call) error {
	return fhir.Errorf(fhir.Value, "", "%q is not a FHIR id: 1 to 64 of A-Z, a-z, 0-9, - and .", clip(c.target.id))
}

// run carries a write out in a transaction.
func (s *Server) run(ctx context.Context, tx store.Writer, w write) (answer, error) {
	switch {
	case w.code == create && w.cond.hasNoneExist:
		return s.createOnce(ctx, tx, w)
	case w.code == create:
		key := w.key()
		key.ID = w.fresh
		return s.make(tx, w, key, w.in)
	case w.target.id == "" && w.code == remove:
		keys, err := s.selected(ctx, tx, w)
		if err != nil {
			return answer{}, err
		}
		return s.removeAll(tx, w, keys)
	case w.target.id == "":
		key, err := s.conditionalKey(ctx, tx, w)
		if err != nil {
			return answer{}, err
		}
		if w.code == patchOne {
			return s.patchIn(tx, w, key)
		}
		return s.put(tx, w, key)
	case w.code == patchOne:
		return s.patchIn(tx, w, w.key())
	case w.code == update:
		return s.put(tx, w, w.key())
	default:
		return s.removeAll(tx, w, []fhir.Key{w.key()})
	}
}

// put is an update of a known key.
func (s *Server) put(tx store.Writer, w write, key fhir.Key) (answer, error) {
	if err := s.writable(key); err != nil {
		return answer{}, err
	}
	prior, err := s.prior(tx, w.call, key)
	if err != nil {
		return answer{}, err
	}
	if len(w.cond.ifNoneMatch) > 0 {
		there, err := current(tx, key)
		if err != nil {
			return answer{}, err
		}
		if there != nil {
			return answer{}, fhir.Errorf(fhir.PreconditionFailed, "http.If-None-Match", "%s exists already (version %s)", key, there.VersionID())
		}
	}
	return s.replace(tx, w, key, prior, w.in)
}

// make writes the first version of a resource under an id that was drawn.
func (s *Server) make(tx store.Writer, w write, key fhir.Key, in fhir.Incoming) (answer, error) {
	if err := w.permit(auth.Create, key.Type); err != nil {
		return answer{}, err
	}
	saved, err := store.Create(tx, key, in, s.admit(tx, w.call))
	if err == nil {
		err = s.permitChange(w.call, nil, saved)
	}
	return s.saved(w.call, saved), err
}

// replace writes the next version of a resource; prior tells what stands there.
func (s *Server) replace(tx store.Writer, w write, key fhir.Key, prior *fhir.Resource, in fhir.Incoming) (answer, error) {
	saved, err := store.Update(tx, key, in, w.cond.ifMatch, s.admit(tx, w.call))
	if err == nil {
		err = s.permitChange(w.call, prior, saved)
	}
	return s.saved(w.call, saved), err
}

// saved is the answer to a create or update. An answer that shows the resource is the default: many clients
// read it (R4 leaves the choice to the server).
func (s *Server) saved(c *call, saved store.Saved) answer {
	r := saved.Resource
	if r == nil {
		return answer{}
	}
	a := answer{status: http.StatusOK, resource: r, located: saved.Created}
	if saved.Created {
		a.status = http.StatusCreated
	}
	switch {
	case c.prefer.ret == minimal:
	case c.code != create && c.code != update && !c.access().Sees(r, s.Env): // who may patch may not read for that
	case c.prefer.ret == asOutcome:
		text := r.Key.String() + " is unchanged, version " + r.VersionID()
		if saved.Changed {
			text = r.Key.String() + " is stored as version " + r.VersionID()
		}
		a.outcome, a.body = true, operationOutcome(newIssue("information", "informational", text, ""))
	case c.code == create && saved.Changed:
		a.body = s.Gate.Echo(r, c.in)
	default:
		a.body = s.Gate.Redact(r)
	}
	return a
}

// deleted is the answer to a delete; r is the tombstone, nil if there never was a resource.
func (s *Server) deleted(c *call, r *fhir.Resource) answer {
	a := answer{status: http.StatusNoContent, resource: r}
	if c.prefer.ret == asOutcome {
		a.status = http.StatusOK
		a.outcome, a.body = true, operationOutcome(newIssue("information", "informational", "it is deleted", ""))
	}
	return a
}
