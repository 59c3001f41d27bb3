package load

import (
	"context"
	"io"
)

// Target is a FHIR endpoint that takes batches and transactions.
type Target interface {
	// Post sends a Bundle to [base] and returns the answer. An error means that there is none.
	Post(ctx context.Context, bundle []byte) (Answer, error)
}

// Answer is an HTTP answer.
type Answer struct {
	Status int
	Body   []byte
}

// Options say what to import. Files, Target and State are required; every other zero value works.
type Options struct {
	Files   []string
	Target  Target
	Name    string // of the target, in the state file
	State   string // path of the state file
	Restart bool   // ignore what the state file knows

	Batch      int   // resources in a transaction; 0: 1000
	BatchBytes int   // of a transaction, unless one resource is larger; 0: 8 MiB
	MaxRecord  int64 // bytes of a line or Bundle; 0: 64 MiB
	MaxDepth   int   // JSON nesting; 0: tape.MaxDepth
	MaxErrors  int   // after so many the import is given up; 0: 1000

	Errors   io.Writer // one line for each record that isn't imported; nil: none
	Progress *Progress // nil: none
}

// Defaults of Options.
const (
	DefaultBatch      = 1000
	DefaultBatchBytes = 8 << 20
	DefaultMaxRecord  = 64 << 20
	DefaultMaxErrors  = 1000
)

func (o Options) withDefaults() Options {
	set := func(n *int, to int) {
		if *n <= 0 {
			*n = to
		}
	}
	set(&o.Batch, DefaultBatch)
	set(&o.BatchBytes, DefaultBatchBytes)
	set(&o.MaxErrors, DefaultMaxErrors)
	if o.MaxRecord <= 0 {
		o.MaxRecord = DefaultMaxRecord
	}
	if o.Errors == nil {
		o.Errors = io.Discard
	}
	return o
}

// Report is what an import did.
type Report struct {
	Created int // resources that were new
	Present int // resources that were there: changed, or as they are already
	Other   int // other entries of Bundles that were carried out, as deletes
	Failed  int // records and entries that were refused
	Skipped int // files that the state file knows as done
}

// Resources is how many were imported.
func (r Report) Resources() int { return r.Created + r.Present }
