package webhook

import (
	"errors"
	"net/http"
	"strings"
)

// mostTries is how often a change is tried again that another one overtook.
const mostTries = 8

// current is a webhook as it stands.
type current struct {
	reply
	tag string // its entity tag
}

// read returns the webhook that the URL names, or the problem that there is none.
func (x *exchange) read(id string) (current, error) {
	r, err := x.call(http.MethodGet, "/Subscription/"+id, nil, nil, "")
	switch status := statusOf(err); {
	case status == http.StatusNotFound:
		return current{}, unknown(id)
	case status == http.StatusGone:
		return current{}, refuse(status, "the webhook "+id+" was deleted; GET /webhooks/"+id+"/deliveries still tells what became of its events")
	case err != nil:
		return current{}, err
	case !isWebhook(r.root()):
		return current{}, refuse(http.StatusNotFound, "there is no webhook "+id+", but a Subscription with that id, which this form can't express: read it at the FHIR endpoint, under Subscription/"+id)
	}
	return current{r, r.header.Get("Etag")}, nil
}

// create makes a webhook.
func (x *exchange) create() (answer, error) {
	body, err := x.body(false)
	if err != nil {
		return answer{}, err
	}
	f := blank(standard)
	if err := readForm(body, &f, blank(standard), creating); err != nil {
		return answer{}, err
	}
	return x.store(f)
}

// store makes a webhook of a form.
func (x *exchange) store(f form) (answer, error) {
	if err := x.belongs(f); err != nil {
		return answer{}, err
	}
	was := form{active: true}
	f.events = x.meant(f, was)
	doc := draft(parsed([]byte(fresh)), was, f)
	r, err := x.call(http.MethodPost, "/Subscription", nil, doc.Bytes(), "")
	if p, refused := errors.AsType[*problem](err); refused {
		p.locate(doc, f.listed)
		return answer{}, p
	} else if err != nil {
		return answer{}, err
	}
	a := x.shows(http.StatusCreated, r, f)
	a.header.Set("Location", root(r.header.Get("Location"))+"/webhooks/"+r.root().Get("id").Text())
	return a, nil
}

// show answers a webhook.
func (x *exchange) show() (answer, error) {
	now, err := x.read(x.id)
	if err != nil {
		return answer{}, err
	}
	a := x.shows(http.StatusOK, now.reply, form{})
	if known := x.r.Header.Values("If-None-Match"); len(known) > 0 && matches(strings.Join(known, ","), now.tag) {
		a.status, a.body = http.StatusNotModified, nil
	}
	return a, nil
}

// replace writes a webhook anew: what isn't said gets its default. What the form can't express stays.
func (x *exchange) replace() (answer, error) {
	body, err := x.body(false)
	if err != nil {
		return answer{}, err
	}
	if id := body.Get("id"); id.Exists() && !id.Is(x.id) {
		return answer{}, refuse(http.StatusUnprocessableEntity, "", fault{Pointer: "/id", Code: "invalid", Detail: "is not the one that the URL names: they must be equal"})
	}
	f := blank(standard)
	if err := readForm(body, &f, blank(standard), replacing); err != nil {
		return answer{}, err
	}
	said := body.Get("organization").Exists()
	return x.change(func(form) (form, bool, error) { return f, said, nil })
}

// patch changes members of a webhook by a JSON merge patch (RFC 7396).
func (x *exchange) patch() (answer, error) {
	body, err := x.body(true)
	if err != nil {
		return answer{}, err
	}
	said := body.Get("organization").Exists()
	return x.change(func(f form) (form, bool, error) {
		err := readForm(body, &f, blank(standard), patching)
		return f, said, err
	})
}

// change writes what next makes of the form as it stands; said tells whether the request named an organization.
// A change that came between reading and writing is taken into account, unless the client named the version.
func (x *exchange) change(next func(form) (f form, said bool, err error)) (answer, error) {
	for range mostTries {
		now, err := x.read(x.id)
		if err != nil {
			return answer{}, err
		}
		if err := x.expects(now.tag); err != nil {
			return answer{}, err
		}
		was := formOf(now.root(), x.o.Dialect)
		f, said, err := next(was)
		if err == nil && said {
			err = x.belongs(f)
		}
		if err != nil {
			return answer{}, err
		}
		f.events = x.meant(f, was)
		doc := draft(now.doc, was, f)
		r, err := x.call(http.MethodPut, "/Subscription/"+x.id, nil, doc.Bytes(), now.tag)
		switch p, refused := errors.AsType[*problem](err); {
		case err != nil && !refused:
			return answer{}, err
		case refused && p.status == http.StatusPreconditionFailed && !x.versioned():
		case refused && p.status == http.StatusPreconditionFailed:
			return answer{}, changed()
		case refused:
			p.locate(doc, f.listed)
			return answer{}, p
		default:
			return x.shows(http.StatusOK, r, f), nil
		}
	}
	return answer{}, refuse(http.StatusConflict, "others keep changing this webhook: try again in a while")
}

// remove deletes a webhook.
func (x *exchange) remove() (answer, error) {
	now, err := x.read(x.id)
	if err != nil {
		return answer{}, err
	}
	if err := x.expects(now.tag); err != nil {
		return answer{}, err
	}
	tag := ""
	if x.versioned() {
		tag = now.tag
	}
	if _, err := x.call(http.MethodDelete, "/Subscription/"+x.id, nil, nil, tag); statusOf(err) == http.StatusPreconditionFailed {
		return answer{}, changed()
	} else if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, nil
}

func changed() *problem {
	return refuse(http.StatusPreconditionFailed, "the webhook was changed meanwhile: read it again", fault{Header: "If-Match", Detail: "is not the current version"})
}
