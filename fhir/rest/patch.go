package rest

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"mime"
	"strings"

	"github.com/labstack/echo/v4"

	"fhirhook/fhir"
	"fhirhook/fhir/patch"
	"fhirhook/fhir/store"
	"fhirhook/fhir/tape"
)

// The media types of patches besides FHIRPath Patch, which is a resource.
const (
	jsonPatchType  = "application/json-patch+json"
	mergePatchType = "application/merge-patch+json"
)

// acceptPatch is the Accept-Patch header (RFC 5789 section 3.1).
const acceptPatch = jsonPatchType + ", " + mergePatchType + ", " + FHIRJSON

// patch changes parts of a resource (R4 http.html#patch).
func (s *Server) patch(ctx context.Context, c *call) (answer, error) { return s.commit(ctx, c) }

// patch reads the body as a patch of the kind that its Content-Type says.
func (q *request) patch(c *call) error {
	contentType := q.c.Request().Header.Get(echo.HeaderContentType)
	q.c.Response().Header().Set("Accept-Patch", acceptPatch)
	body, err := q.body(q.s.MaxBody, "--max-body")
	if err != nil {
		return err
	}
	c.patch, c.in, err = readPatch(contentType, "http.Content-Type", body, q.s.MaxDepth)
	return err
}

// readPatch reads a patch; where names the element or header that says its type. A FHIRPath Patch comes with
// its Parameters, whose references a transaction may rewrite.
func readPatch(contentType, where string, body []byte, depth int) (patch.Patch, fhir.Incoming, error) {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		media = ""
	}
	_, resource := jsonTypes[media]
	if !resource && media != jsonPatchType && media != mergePatchType {
		return nil, fhir.Incoming{}, fhir.Errorf(fhir.UnsupportedMedia, where,
			"a patch of type %q can't be read: send %s, %s, or the Parameters of a FHIRPath Patch as %s", clip(contentType), jsonPatchType, mergePatchType, FHIRJSON)
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "utf8") {
		return nil, fhir.Incoming{}, fhir.Errorf(fhir.UnsupportedMedia, where, "charset %s can't be read: JSON is UTF-8", clip(charset))
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, fhir.Incoming{}, fhir.Errorf(fhir.Structure, "", "the body is empty: send a patch")
	}
	doc, err := tape.Parse(body, depth)
	if err != nil {
		syntax, _ := errors.AsType[*tape.SyntaxError](err)
		return nil, fhir.Incoming{}, fhir.Errorf(fhir.Structure, "", "the patch is not acceptable JSON: line %d, column %d: %s", syntax.Line, syntax.Column, syntax.Reason)
	}
	switch media {
	case jsonPatchType:
		p, err := patch.JSON(doc)
		return p, fhir.Incoming{}, err
	case mergePatchType:
		p, err := patch.Merge(doc)
		return p, fhir.Incoming{}, err
	}
	if err := checkVersion(params, fhir.UnsupportedMedia, where); err != nil {
		return nil, fhir.Incoming{}, err
	}
	in, err := fhir.Check(doc)
	if err != nil {
		return nil, fhir.Incoming{}, err
	}
	p, err := patch.FHIRPath(in)
	return p, in, err
}

// partPatch reads the patch of a Bundle's entry: a Binary with a patch inside, or the Parameters of a FHIRPath
// Patch (R4 http.html#patch).
func (s *Server) partPatch(n tape.Node) (patch.Patch, fhir.Incoming, error) {
	in, err := s.partResource(n)
	if err != nil {
		return nil, in, err
	}
	switch in.Type {
	case fhir.Parameters:
		p, err := patch.FHIRPath(in)
		return p, in, err
	case fhir.Binary:
		root := in.Doc.Root()
		data, err := base64.StdEncoding.DecodeString(root.Get("data").Text())
		if err != nil {
			return nil, in, fhir.Errorf(fhir.Value, "Binary.data", "the Binary's data is not base64")
		}
		return readPatch(root.Get("contentType").Text(), "Binary.contentType", data, s.MaxDepth)
	default:
		return nil, in, fhir.Errorf(fhir.Invalid, entryResource, "a patch in a Bundle is a Binary that holds it, or Parameters, and this is a %s", in.Type)
	}
}

// patchIn carries a patch out on a known key. What comes of it is an update like any other.
func (s *Server) patchIn(tx store.Writer, w write, key fhir.Key) (answer, error) {
	if err := s.writable(key); err != nil {
		return answer{}, err
	}
	prior, err := s.prior(tx, w.call, key)
	if err != nil {
		return answer{}, err
	}
	in, err := s.patched(tx, w, key)
	if err != nil {
		return answer{}, s.untold(w.call, prior, err)
	}
	a, err := s.replace(tx, w, key, prior, in)
	return a, s.untold(w.call, prior, err)
}

// patched is the current version of a resource with the patch applied. It goes on as what a client could have
// sent by PUT: with masks, which the gate restores.
func (s *Server) patched(r store.Reader, w write, key fhir.Key) (fhir.Incoming, error) {
	prev, err := r.Read(key, r.Last())
	c := *w.call
	c.target.id, c.target.version = key.ID, ""
	switch {
	case errors.Is(err, store.ErrNotFound):
		return fhir.Incoming{}, unknownVersion(&c)
	case err != nil:
		return fhir.Incoming{}, err
	case prev.Deleted:
		return fhir.Incoming{}, gone(&c, prev)
	case w.cond.ifMatch != "" && w.cond.ifMatch != store.AnyVersion && w.cond.ifMatch != prev.VersionID():
		return fhir.Incoming{}, fhir.Errorf(fhir.PreconditionFailed, "http.If-Match",
			"%s is at version %s, and If-Match names version %q: read it again and repeat the change", key, prev.VersionID(), w.cond.ifMatch)
	}
	shown := prev.Doc()
	if redacted := s.Gate.Redact(prev); !bytes.Equal(redacted, prev.JSON) {
		if shown, err = tape.Parse(redacted, storedDepth); err != nil {
			return fhir.Incoming{}, err
		}
	}
	result, err := patch.Apply(w.patch, prev.Doc(), shown, int(s.MaxBody))
	if err != nil {
		return fhir.Incoming{}, err
	}
	in, err := fhir.Read(result.Shown, s.MaxDepth)
	if err != nil {
		return fhir.Incoming{}, spoilt(err)
	}
	if problems := s.Validator.Validate(in); len(problems) > 0 {
		return fhir.Incoming{}, malformed(problems)
	}
	return in, s.checkPatched(prev, in, result)
}

// storedDepth is for JSON that was judged when it came in.
const storedDepth = 1 << 16

// spoilt says that a patch leaves no resource behind.
func spoilt(err error) error {
	if e, ok := errors.AsType[*fhir.Error](err); ok {
		return fhir.Errorf(fhir.BusinessRule, e.Expression, "the patch leaves no resource: %s", e.Diagnostic)
	}
	return err
}

// malformed says what is wrong with a patch whose result isn't valid: the patch itself is.
func malformed(problems []*fhir.Error) error {
	e := *problems[0]
	e.Kind, e.Diagnostic, e.More = fhir.BusinessRule, "the patch leaves an invalid resource: "+e.Diagnostic, problems[1:]
	return &e
}

// checkPatched refuses results that no update could have sent.
func (s *Server) checkPatched(prev *fhir.Resource, in fhir.Incoming, result patch.Result) error {
	switch {
	case in.Type != prev.Key.Type:
		return fhir.Errorf(fhir.BusinessRule, "Resource.resourceType", "the patch makes a %s of a %s: a resource keeps its type", in.Type, prev.Key.Type)
	case in.ID != prev.Key.ID:
		return fhir.Errorf(fhir.BusinessRule, string(in.Type)+".id", "the patch changes the id: a resource keeps its id")
	case subsetted(in):
		return extract(in)
	case bytes.Equal(result.Shown, result.Full):
		return nil
	}
	// A secret that stays must still be where it is masked: what its reader sees may not depend on it.
	full := s.Gate.Redact(&fhir.Resource{Key: prev.Key, Version: prev.Version, Updated: prev.Updated, JSON: result.Full})
	masked := s.Gate.Redact(&fhir.Resource{Key: prev.Key, Version: prev.Version, Updated: prev.Updated, JSON: result.Shown})
	if !bytes.Equal(full, masked) {
		return fhir.Errorf(fhir.BusinessRule, string(in.Type), "the patch would leave a secret where anybody can read it: remove or replace the secret in the same patch")
	}
	return nil
}
