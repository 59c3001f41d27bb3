package rest

import (
	"bytes"
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/store"
	"fhirhook/fhir/tape"
)

// Bounds of the collecting of all meta: a View reads so many resources, and the whole may take so long and find
// so many labels.
const (
	metaPage     = 512
	metaPatience = 30 * time.Second
	mostLabels   = 10_000
)

// metaInUse answers the profiles, security labels and tags that resources of a type, or all, carry now (R4
// resource-operation-meta.html). It looks at each of them.
func (s *Server) metaInUse(ctx context.Context, r OperationRequest) (OperationAnswer, error) {
	if err := r.noParameters("$meta"); err != nil {
		return OperationAnswer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, metaPatience)
	defer cancel()
	types := []fhir.Type{r.Type}
	if r.Type == "" {
		types = fhir.Types()
	}
	if !r.Who.Access().Entirely(auth.Search, r.Type) && r.Type != "" {
		return OperationAnswer{}, r.Who.Refuse(auth.Search, r.Type)
	}
	types = slices.DeleteFunc(types, func(t fhir.Type) bool { return !r.Who.Access().Entirely(auth.Search, t) })
	use := labels{}
	var at store.Seq
	for _, t := range types {
		after, more := "", true
		for more {
			if err := ctx.Err(); err != nil {
				return OperationAnswer{}, err
			}
			err := s.DB.View(ctx, func(tx store.Reader) error {
				if at == 0 {
					at = tx.Last()
				}
				seen := 0
				for found, err := range tx.Type(r.Tenant, t, after, at) {
					if err != nil {
						return err
					}
					if seen == metaPage {
						return nil
					}
					seen, after = seen+1, found.Key.ID
					use.take(found)
				}
				more = false
				return nil
			})
			if err != nil {
				return OperationAnswer{}, err
			}
			if use.count() > mostLabels {
				return OperationAnswer{}, fhir.Errorf(fhir.TooCostly, "", "more than %d profiles, security labels and tags are in use: ask for those of one type, as in Patient/$meta", mostLabels)
			}
		}
	}
	body := []byte(`{"resourceType":"Parameters","parameter":[{"name":"return","valueMeta":`)
	return OperationAnswer{Status: http.StatusOK, Body: append(use.json(body, time.Now()), `}]}`...)}, nil
}

// noParameters refuses parameters of an operation that has none.
func (r OperationRequest) noParameters(name string) error {
	if len(r.Query) > 0 {
		return fhir.Errorf(fhir.NotSupported, "http."+r.Query[0].Name, "%s has no parameter %s", name, clip(r.Query[0].Name))
	}
	if r.Body.Doc != nil && r.Body.Doc.Root().Get("parameter").Len() > 0 {
		return fhir.Errorf(fhir.NotSupported, "Parameters.parameter", "%s has no parameters", name)
	}
	return nil
}

// label is what tells profiles and codings apart.
type label struct{ system, code string }

// labels are those of each list of meta, as JSON.
type labels map[string]map[label][]byte

// take takes in what a resource carries.
func (l labels) take(r *fhir.Resource) {
	if !slices.ContainsFunc(metaLists, func(name string) bool { return bytes.Contains(r.JSON, []byte(`"`+name+`"`)) }) {
		return // most carry none, and need not be parsed
	}
	meta := r.Doc().Root().Get("meta")
	for _, name := range metaLists {
		for v := range meta.Get(name).Elements() {
			of := label{code: v.Text()}
			if v.Kind() == tape.Object {
				of = label{v.Get("system").Text(), v.Get("code").Text()}
			}
			if of == (label{}) {
				continue // an extension in the place of a value
			}
			if l[name] == nil {
				l[name] = map[label][]byte{}
			}
			if _, known := l[name][of]; !known {
				l[name][of] = bytes.Clone(v.Raw())
			}
		}
	}
}

func (l labels) count() int {
	n := 0
	for _, list := range l {
		n += len(list)
	}
	return n
}

// json appends them as a Meta, in order. It holds the time, too, for FHIR knows no empty object.
func (l labels) json(b []byte, now time.Time) []byte {
	b = append(append(b, `{"lastUpdated":`...), tape.Quote(fhir.Instant(now))...)
	for _, name := range metaLists {
		if len(l[name]) == 0 {
			continue
		}
		all := make([]label, 0, len(l[name]))
		for of := range l[name] {
			all = append(all, of)
		}
		slices.SortFunc(all, func(a, b label) int {
			return cmp.Or(cmp.Compare(a.system, b.system), cmp.Compare(a.code, b.code))
		})
		b = append(append(append(b, ','), tape.Quote(name)...), ':')
		for i, of := range all {
			b = append(b, "[,"[min(i, 1)])
			b = append(b, l[name][of]...)
		}
		b = append(b, ']')
	}
	return append(b, '}')
}
