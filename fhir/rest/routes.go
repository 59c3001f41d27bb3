package rest

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"fhirhook/fhir"
)

// interaction is a code of R4's restful-interaction.
type interaction string

// The interactions that are offered.
const (
	read            interaction = "read"
	vread           interaction = "vread"
	update          interaction = "update"
	patchOne        interaction = "patch"
	remove          interaction = "delete"
	create          interaction = "create"
	historyInstance interaction = "history-instance"
	historyType     interaction = "history-type"
	historySystem   interaction = "history-system"
	searchType      interaction = "search-type"
	searchSystem    interaction = "search-system"
	capability      interaction = "capabilities"
	process         interaction = "batch" // and transaction: the Bundle says which
)

// writes tells whether the interaction changes resources by itself.
func (i interaction) writes() bool {
	return i == create || i == update || i == patchOne || i == remove
}

// route is one row of the table of what is offered. The CapabilityStatement is made from it too.
type route struct {
	code   interaction
	method string
	path   string // below Prefix, in Echo's notation
	run    func(s *Server, ctx context.Context, c *call) (answer, error)
	reads  reader // how the request becomes a call
}

// routes is that table. (A function, for what it names leads back to it: a batch looks its entries up.)
func routes() []route {
	return []route{
		{capability, http.MethodGet, "/metadata", (*Server).capabilities, (*request).plain},
		{process, http.MethodPost, "", (*Server).process, (*request).bundle},
		{searchSystem, http.MethodGet, "", (*Server).search, (*request).plain},
		{searchSystem, http.MethodPost, "/_search", (*Server).search, (*request).form},
		{historySystem, http.MethodGet, "/_history", (*Server).history, (*request).plain},
		{searchType, http.MethodGet, "/:type", (*Server).search, (*request).plain},
		{searchType, http.MethodPost, "/:type/_search", (*Server).search, (*request).form},
		{create, http.MethodPost, "/:type", (*Server).create, (*request).resource},
		{update, http.MethodPut, "/:type", (*Server).update, (*request).resource},
		{patchOne, http.MethodPatch, "/:type", (*Server).patch, (*request).patch},
		{remove, http.MethodDelete, "/:type", (*Server).remove, (*request).plain},
		{historyType, http.MethodGet, "/:type/_history", (*Server).history, (*request).plain},
		{read, http.MethodGet, "/:type/:id", (*Server).read, (*request).plain},
		{update, http.MethodPut, "/:type/:id", (*Server).update, (*request).resource},
		{patchOne, http.MethodPatch, "/:type/:id", (*Server).patch, (*request).patch},
		{remove, http.MethodDelete, "/:type/:id", (*Server).remove, (*request).plain},
		{searchType, http.MethodGet, "/:type/:id/:inner", (*Server).compartment, (*request).plain},
		{searchType, http.MethodPost, "/:type/:id/:inner/_search", (*Server).compartment, (*request).form},
		{historyInstance, http.MethodGet, "/:type/:id/_history", (*Server).history, (*request).plain},
		{vread, http.MethodGet, "/:type/:id/_history/:vid", (*Server).vread, (*request).plain},
	}
}

// router builds Echo from the table.
func (s *Server) router() *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.fail
	e.Pre(s.surround, plainPath)
	for _, r := range s.routes {
		handler := s.handle(r)
		e.Add(r.method, Prefix+r.path, handler)
		if r.method == http.MethodGet {
			e.Add(http.MethodHead, Prefix+r.path, handler)
		}
	}
	s.closeNames(e)
	s.addOperations(e)
	s.addSmart(e)
	return e
}

// closeNames answers 405 for methods that metadata, _history and _search don't offer: Echo would else go on to
// the routes with an id or type in that place.
func (s *Server) closeNames(e *echo.Echo) {
	allowed := map[string][]string{}
	for _, r := range s.routes {
		if last := r.path[strings.LastIndexByte(r.path, '/')+1:]; last != "" && last[0] != ':' {
			allowed[r.path] = append(allowed[r.path], r.method)
			if r.method == http.MethodGet {
				allowed[r.path] = append(allowed[r.path], http.MethodHead)
			}
		}
	}
	for path, offered := range allowed {
		allow := http.MethodOptions + ", " + strings.Join(offered, ", ")
		refuse := func(c echo.Context) error {
			c.Response().Header().Set(echo.HeaderAllow, allow)
			return echo.ErrMethodNotAllowed
		}
		e.Add(http.MethodOptions, Prefix+path, func(c echo.Context) error {
			c.Response().Header().Set(echo.HeaderAllow, allow)
			return c.NoContent(http.StatusNoContent)
		})
		for _, method := range methods {
			if !slices.Contains(offered, method) {
				e.Add(method, Prefix+path, refuse)
			}
		}
	}
}

// handle runs a route: the request becomes a call, and the answer is written.
func (s *Server) handle(r route) echo.HandlerFunc {
	return func(c echo.Context) error {
		req := requestOf(c)
		call, err := req.call(s, r)
		if err != nil {
			return err
		}
		answer, err := r.run(s, c.Request().Context(), call)
		if err != nil {
			return err
		}
		if call.native != nil && answer.body != nil {
			return req.respondContent(call, answer)
		}
		return req.respond(call, answer)
	}
}

// plainPath makes ways to write a path the same that mean the same: with and without a trailing slash, with a slash
// too many where a base URL and a path were joined, and with characters escaped that need not be ($ as %24). A slash
// that is escaped stays so, and is no FHIR path.
func plainPath(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		u := c.Request().URL
		if u.RawPath != "" && !strings.Contains(strings.ToLower(u.RawPath), "%2f") {
			u.RawPath = ""
		}
		u.Path, u.RawPath = slashes(u.Path), slashes(u.RawPath)
		return next(c)
	}
}

// slashes leaves one slash of several, and none at the end.
func slashes(path string) string {
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	if trimmed := strings.TrimRight(path, "/"); trimmed != "" {
		return trimmed
	}
	return path
}

// interactionOf finds the interaction of a Bundle entry's method and URL in the same table.
func (s *Server) interactionOf(method string, t target) (route, error) {
	path := ""
	if t.typ != "" {
		path += "/:type"
	}
	if t.id != "" {
		path += "/:id"
	}
	if t.inner != "" {
		path += "/:inner"
	}
	if t.special != "" {
		path += "/" + t.special
	}
	if t.version != "" {
		path += "/_history/:vid"
	}
	known := false
	for _, r := range s.routes {
		if r.path != path {
			continue
		}
		known = true
		if r.method == method || r.method == http.MethodGet && method == http.MethodHead {
			return r, nil
		}
	}
	if !known {
		return route{}, fhir.Errorf(fhir.NotFound, "", "there is nothing under this URL")
	}
	return route{}, fhir.Errorf(fhir.NotSupported, "", "%s is not offered for this URL", clip(method))
}

// typed tells whether the route concerns one resource type.
func (r route) typed() bool { return strings.HasPrefix(r.path, "/:type") }
