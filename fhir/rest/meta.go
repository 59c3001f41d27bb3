package rest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/patch"
	"fhirhook/fhir/store"
	"fhirhook/fhir/tape"
)

// meta answers a resource's meta (R4 resource-operation-meta.html).
func (s *Server) meta(ctx context.Context, r OperationRequest) (OperationAnswer, error) {
	if err := r.noParameters("$meta"); err != nil {
		return OperationAnswer{}, err
	}
	var a answer
	err := s.DB.View(ctx, func(tx store.Reader) (err error) {
		a, err = s.readIn(ctx, tx, &call{code: read, who: r.Who, tenant: r.Tenant, base: r.Base, target: target{typ: r.Type, id: r.ID}})
		return err
	})
	if err != nil {
		return OperationAnswer{}, err
	}
	return metaAnswer(a.resource), nil
}

func metaAnswer(r *fhir.Resource) OperationAnswer {
	body := []byte(`{"resourceType":"Parameters","parameter":[{"name":"return","valueMeta":`)
	body = append(body, r.Doc().Root().Get("meta").Raw()...)
	return OperationAnswer{Status: http.StatusOK, Resource: r, Body: append(body, `}]}`...)}
}

// metaAdd puts profiles, tags and security labels in (R4 resource-operation-meta-add.html). What changes makes a
// version, for a tag is something that others search and subscribe by.
func (s *Server) metaAdd(ctx context.Context, r OperationRequest) (OperationAnswer, error) {
	return s.changeMeta(ctx, r, additions)
}

// metaDelete takes them out (R4 resource-operation-meta-delete.html).
func (s *Server) metaDelete(ctx context.Context, r OperationRequest) (OperationAnswer, error) {
	return s.changeMeta(ctx, r, removals)
}

// metaLists are the elements of meta that these operations are about.
var metaLists = []string{"profile", "security", "tag"}

func (s *Server) changeMeta(ctx context.Context, r OperationRequest, change func(stored, given tape.Node) string) (OperationAnswer, error) {
	given, err := givenMeta(r.Body)
	if err != nil {
		return OperationAnswer{}, err
	}
	w := write{call: &call{code: patchOne, who: r.Who, tenant: r.Tenant, base: r.Base, target: target{typ: r.Type, id: r.ID}, origin: r.Origin}}
	var a answer
	_, err = s.DB.Update(ctx, r.Origin, func(tx store.Writer) error {
		stored, err := current(tx, r.Key())
		if err != nil {
			return err
		}
		if stored != nil && !r.Who.Access().Sees(stored, s.Env) {
			return r.Who.Refuse(auth.Read, r.Type) // the answer shows the meta that comes of it
		}
		text := "[]" // patchIn tells why there is nothing
		if stored != nil {
			text = change(stored.Doc().Root().Get("meta"), given)
		}
		doc, err := tape.Parse([]byte(text), s.MaxDepth)
		if err != nil {
			return err
		}
		run := w // a run changes nothing that another one sees
		one := *w.call
		run.call = &one
		if one.patch, err = patch.JSON(doc); err != nil {
			return err
		}
		a, err = s.patchIn(tx, run, r.Key())
		return err
	})
	if err != nil {
		return OperationAnswer{}, err
	}
	return metaAnswer(a.resource), nil
}

func givenMeta(in fhir.Incoming) (tape.Node, error) {
	if in.Doc == nil || in.Type != fhir.Parameters {
		return tape.Node{}, fhir.Errorf(fhir.Required, "", `send Parameters with a parameter named meta, as in {"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"tag":[…]}}]}`)
	}
	for p := range in.Doc.Root().Get("parameter").Elements() {
		if meta := p.Get("valueMeta"); p.Get("name").Is("meta") && meta.Kind() == tape.Object {
			return meta, nil
		}
	}
	return tape.Node{}, fhir.Errorf(fhir.Required, "Parameters.parameter", "there is no parameter named meta with a valueMeta")
}

// sameLabel compares codings by system and code, and profiles by their text.
func sameLabel(a, b tape.Node) bool {
	if a.Kind() == tape.Object && b.Kind() == tape.Object {
		return a.Get("system").Text() == b.Get("system").Text() && a.Get("code").Text() == b.Get("code").Text()
	}
	return a.Kind() == b.Kind() && a.Text() == b.Text()
}

func among(list, label tape.Node) bool {
	for v := range list.Elements() {
		if sameLabel(v, label) {
			return true
		}
	}
	return false
}

// additions is the JSON Patch that adds what isn't there.
func additions(stored, given tape.Node) string {
	var ops []string
	for _, name := range metaLists {
		var fresh [][]byte
		for v := range given.Get(name).Elements() {
			if !among(stored.Get(name), v) {
				fresh = append(fresh, v.Raw())
			}
		}
		switch {
		case len(fresh) == 0:
		case stored.Get(name).Exists():
			for _, v := range fresh {
				ops = append(ops, fmt.Sprintf(`{"op":"add","path":"/meta/%s/-","value":%s}`, name, v))
			}
		default:
			ops = append(ops, fmt.Sprintf(`{"op":"add","path":"/meta/%s","value":[%s]}`, name, bytes.Join(fresh, []byte(","))))
		}
	}
	return "[" + strings.Join(ops, ",") + "]"
}

// removals is the JSON Patch that removes what is there.
func removals(stored, given tape.Node) string {
	var ops []string
	for _, name := range metaLists {
		var places []int
		for i, v := range slices.Collect(stored.Get(name).Elements()) {
			if among(given.Get(name), v) {
				places = append(places, i)
			}
		}
		if len(places) > 0 && len(places) == stored.Get(name).Len() {
			ops = append(ops, fmt.Sprintf(`{"op":"remove","path":"/meta/%s"}`, name))
			continue
		}
		for _, i := range slices.Backward(places) {
			ops = append(ops, fmt.Sprintf(`{"op":"remove","path":"/meta/%s/%d"}`, name, i))
		}
	}
	return "[" + strings.Join(ops, ",") + "]"
}
