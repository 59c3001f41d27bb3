package rest

import (
	"context"
	"net/http"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// process carries out the Bundle of a batch or transaction (R4 http.html#transaction).
func (s *Server) process(ctx context.Context, c *call) (answer, error) {
	kind := c.bundle.Doc.Root().Get("type")
	if !kind.Is("batch") && !kind.Is("transaction") {
		where := "Bundle.type"
		if !kind.Exists() {
			return answer{}, fhir.Errorf(fhir.Required, where, "the Bundle has no type: [base] takes batch and transaction")
		}
		return answer{}, fhir.Errorf(fhir.Value, where, "a Bundle of type %s is not processed, only batch and transaction; to store it, POST it to [base]/Bundle", clip(kind.Text()))
	}
	if err := c.cond.refuse(c.code); err != nil {
		return answer{}, err
	}
	c.within = newBundleTime()
	nodes, err := s.parts(c)
	if err != nil {
		return answer{}, err
	}
	if kind.Is("transaction") {
		return s.transaction(ctx, c, nodes)
	}
	return s.batch(ctx, c, nodes)
}

// batch carries out each entry as if it had come alone, in the order given.
func (s *Server) batch(ctx context.Context, c *call, nodes []tape.Node) (answer, error) {
	b := bundle{kind: "batch-response", entries: make([]entry, 0, len(nodes))}
	for i, n := range nodes {
		if err := ctx.Err(); err != nil {
			return answer{}, err // nobody waits for the rest
		}
		b.entries = append(b.entries, s.batchEntry(ctx, c, i, n))
	}
	return answer{status: http.StatusOK, body: b.json()}, nil
}

func (s *Server) batchEntry(ctx context.Context, c *call, i int, n tape.Node) entry {
	p, err := s.part(c, i, n)
	if err != nil {
		s.note(p.call, i, p.method, answer{}, err)
		return s.failedEntry(c, i, err)
	}
	return s.runPart(ctx, i, p)
}

// runPart carries out an entry by itself.
func (s *Server) runPart(ctx context.Context, i int, p part) entry {
	run := s.readPart
	if p.route.code.writes() {
		run = s.writePart
	}
	a, err := run(ctx, p)
	s.note(p.call, i, p.method, a, err)
	if err != nil {
		return s.failedEntry(p.call, i, err)
	}
	return entryOf(p, a, p.call.base)
}

func (s *Server) writePart(ctx context.Context, p part) (answer, error) {
	return p.route.run(s, ctx, p.call)
}

func (s *Server) failedEntry(c *call, i int, err error) entry {
	o, body := failure(atEntry(i, err), c.origin.RequestID)
	if o.Status >= http.StatusInternalServerError {
		s.Log.Error("entry failed", "request_id", c.origin.RequestID, "entry", i, "error", err)
	}
	return entry{response: &response{status: o.Status, outcome: body}}
}
