package operate

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/store"
)

// jobKey names a job.
type jobKey struct {
	lane store.Lane
	id   string
}

// jobStatus is where a job stands.
type jobStatus string

// The statuses, as $job shows them.
const (
	inProgress jobStatus = "in-progress"
	completed  jobStatus = "completed"
	cancelled  jobStatus = "cancelled"
)

// The kinds of jobs.
const (
	redelivery = "redeliver"
	backfill   = "backfill"
)

// record is a job as it is stored. Each step of it reads and writes the whole in one transaction of the queue.
type record struct {
	Kind   string    `json:"kind"`
	Status jobStatus `json:"status"`
	Reason string    `json:"reason,omitempty"` // why it ended before its time
	Begun  time.Time `json:"begun"`
	Ended  time.Time `json:"ended,omitzero"`
	Rate   float64   `json:"rate,omitempty"` // per second; 0: as fast as the lane goes

	Counted bool `json:"counted"`          // Total is complete
	Total   int  `json:"total"`            // to be sent
	Done    int  `json:"done"`             // delivered
	Failed  int  `json:"failed"`           // ended otherwise
	Purged  int  `json:"purged,omitempty"` // of those, what is no longer kept, and was not sent

	foreseen int // what is known to be purged when the job is asked for; not stored

	Selection selection     `json:"selection"`
	Cursor    cursor        `json:"cursor"`
	Over      bool          `json:"over,omitempty"` // the cursor is at the end
	Out       []outstanding `json:"out,omitempty"`
}

// selection is what a job is about.
type selection struct {
	// of a redelivery
	Spans  []span    `json:"spans,omitempty"`  // ascending
	States []string  `json:"states,omitempty"` // of these only those that ended as one of them; none: all
	Since  time.Time `json:"since,omitzero"`   // and that at or after; of a backfill: changed at or after
	Until  time.Time `json:"until,omitzero"`   // and before

	// of a backfill
	Search string `json:"search,omitempty"`
	// Caller is who asked, where there is a Search: it finds what they may see.
	Caller *auth.Grant `json:"caller,omitempty"`
	Force  bool        `json:"force,omitempty"`
	Place  store.Seq   `json:"place,omitempty"` // the state of the log that it is about
}

// cursor is how far a job has come in its selection. Everything before it is decided.
type cursor struct {
	Number uint64    `json:"number,omitempty"` // of a redelivery: the next one
	Type   fhir.Type `json:"type,omitempty"`   // of a backfill: behind this resource
	ID     string    `json:"id,omitempty"`
}

// outstanding is a notification that a job owed and that isn't finished.
type outstanding struct {
	Number uint64      `json:"n"`
	Was    store.State `json:"was,omitempty"` // before; 0: it is new
}

// keptFor is how long a finished job can be asked about.
const keptFor = 7 * 24 * time.Hour

func (k jobKey) job(r record) (store.Job, error) {
	b, err := json.Marshal(r)
	return store.Job{Lane: k.lane, ID: k.id, Data: b}, err
}

func parseRecord(j store.Job) (r record, err error) {
	if err := json.Unmarshal(j.Data, &r); err != nil {
		return record{}, fmt.Errorf("job %s of Subscription/%s: %w", j.ID, j.Lane.Subscription, err)
	}
	return r, nil
}

func load(q store.QueueReader, k jobKey) (record, error) {
	j, err := q.Job(k.lane, k.id)
	if err != nil {
		return record{}, err
	}
	return parseRecord(j)
}

func (k jobKey) put(w store.QueueWriter, r record) error {
	j, err := k.job(r)
	return errors.Join(err, w.PutJob(j))
}

// end ends a job.
func (r *record) end(as jobStatus, reason string, now time.Time) {
	r.Status, r.Reason, r.Ended, r.Out = as, reason, now, nil
	if as == completed {
		r.Total = r.Done + r.Failed // what was counted may have changed until it was its turn
	}
}

// parameters is the job as $job shows it.
func (r record) parameters(id string) []byte {
	var o output
	o.text("id", "valueId", id)
	o.code("kind", r.Kind)
	o.code("status", string(r.Status))
	o.flag("counted", r.Counted)
	for _, n := range []struct {
		name  string
		count int
	}{{"total", r.Total}, {"done", r.Done}, {"failed", r.Failed}} {
		o.number(n.name, uint64(n.count))
	}
	if purged := max(r.Purged, r.foreseen); purged > 0 {
		o.number("purged", uint64(purged))
		o.string("note", purgedNote)
	}
	o.instant("begun", r.Begun)
	o.instant("ended", r.Ended)
	o.string("reason", r.Reason)
	return o.parameters(id)
}
