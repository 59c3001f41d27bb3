package search

import (
	"errors"
	"fmt"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// mostWritten is how far back Lost looks among the changes of SearchParameters.
const mostWritten = 1000

// Lost tells in words for a person which definition that uses is true for (it is asked with codes) has gone or
// changed up to a place; "" if there is none. One that has no effect any more comes before one that changed.
func (c *Catalogue) Lost(r store.Reader, tenant string, at store.Seq, uses func(code string) bool) (string, error) {
	seen, changed, rows := map[fhir.Key]bool{}, "", 0
	for change, err := range r.History(store.Scope{Tenant: tenant, Type: fhir.SearchParameter}, at+1) {
		if err != nil {
			return "", err
		}
		if rows++; rows > mostWritten {
			break
		}
		res := change.Resource
		if res.Deleted || seen[res.Key] {
			continue
		}
		root := res.Doc().Root()
		code := root.Get("code").Text()
		if code == "" || !criteria.InForce(root) || !uses(code) {
			continue
		}
		seen[res.Key] = true
		text, gone, err := c.fate(r, res.Key, code, at)
		if err != nil || gone {
			return text, err
		}
		if changed == "" {
			changed = text
		}
	}
	return changed, nil
}

// fate tells what became of a definition that was in force before a place.
func (c *Catalogue) fate(r store.Reader, key fhir.Key, code string, at store.Seq) (text string, gone bool, err error) {
	now, err := r.Read(key, at)
	if err != nil {
		return "", false, err
	}
	name := fmt.Sprintf("%s, which defined %s, ", key, code)
	if now.Deleted {
		return name + "was deleted", true, nil
	}
	root := now.Doc().Root()
	switch {
	case !criteria.InForce(root):
		return name + "has status " + root.Get("status").Text() + " now", true, nil
	case !root.Get("code").Is(code):
		return name + "defines " + root.Get("code").Text() + " now", true, nil
	}
	t, err := c.at(r, key.Tenant, at)
	if err != nil {
		return "", false, err
	}
	for _, f := range t.faults {
		if f.Key == key {
			return name + "has no effect any more (" + diagnostic(f.Err) + ")", true, nil
		}
	}
	return name + "was changed", false, nil
}

func diagnostic(err error) string {
	if e, ok := errors.AsType[*fhir.Error](err); ok {
		return e.Diagnostic
	}
	return err.Error()
}
