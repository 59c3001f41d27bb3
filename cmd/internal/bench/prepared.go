package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Prepared is what stands in a data folder before a run, and is the same for every run on it. The zero value is an empty one.
type Prepared struct {
	Stored        int `json:"stored"`        // resources; some have two versions
	Owed          int `json:"owed"`          // notifications, as many of each lane
	Lanes         int `json:"lanes"`         // Subscriptions that owe
	Subscriptions int `json:"subscriptions"` // all of them, those that owe included; 0 if nothing is owed
}

// preparedName is a file that says what a folder was prepared with, and whether that is complete.
const preparedName = "bench-prepared.json"

// preparedMark is that file.
type preparedMark struct {
	Layout int `json:"layout"` // rises when what is stored for the same numbers changes
	Prepared
	Imported bool `json:"imported"` // what is stored is there, and may have to be matched and indexed
	Complete bool `json:"complete"`
}

const preparedLayout = 1

// nowhere is an endpoint that refuses connections: port 9 of loopback, where nobody listens.
const nowhere = "http://127.0.0.1:9/"

// prepared are the knobs' part that a folder is prepared with.
func (k Knobs) prepared() Prepared {
	p := Prepared{Stored: k.Stored, Owed: k.Owing}
	if k.Owing > 0 {
		p.Lanes, p.Subscriptions = k.Lanes, k.Subscriptions
	}
	return p
}

// preparation fills a data folder.
type preparation struct {
	setup    Setup
	data     string
	want     Prepared
	log      *os.File
	progress func(doing string)
}

// prepare makes a folder hold what the arm's knobs ask for. One that holds it is left as it is; one whose preparation was
// interrupted is finished.
func (a *Arm) prepare(ctx context.Context) error {
	p := preparation{a.setup, a.data, a.Knobs.prepared(), a.log, func(doing string) { a.setup.Progress(Progress{Arm: a.Name, Doing: doing}) }}
	mark := preparedMark{Layout: preparedLayout, Prepared: p.want}
	has, err := p.read()
	switch {
	case err != nil || has == nil && p.want == (Prepared{}):
		return err
	case has == nil:
		if _, err := os.Stat(filepath.Join(p.data, "resources.db")); err == nil {
			return fmt.Errorf("%s holds what other runs have written: name a folder of its own for what is prepared", p.data)
		}
	case has.Layout != mark.Layout || has.Prepared != mark.Prepared:
		return fmt.Errorf("%s was prepared with %+v, and %+v is asked for: name another folder", p.data, has.Prepared, mark.Prepared)
	case has.Complete:
		return nil
	default:
		mark.Imported = has.Imported
	}
	if err := p.write(mark); err != nil {
		return err
	}
	if !mark.Imported {
		if err := p.store(ctx); err != nil {
			return fmt.Errorf("prepare %s: %w", p.data, err)
		}
		mark.Imported = true
		if err := p.write(mark); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(p.importing()); err != nil {
		return err
	}
	if err := p.serve(ctx); err != nil {
		return fmt.Errorf("prepare %s: %w", p.data, err)
	}
	mark.Complete = true
	return p.write(mark)
}

func (p preparation) read() (*preparedMark, error) {
	text, err := os.ReadFile(filepath.Join(p.data, preparedName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil //nolint:nilnil // a folder that wasn't prepared is an ordinary one
	}
	var m preparedMark
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		return nil, fmt.Errorf("what %s was prepared with: %w", p.data, err)
	}
	return &m, nil
}

func (p preparation) write(m preparedMark) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(p.data, preparedName), text, 0o600)
}

// store imports the resources, as an operator does. An import that was interrupted goes on.
func (p preparation) store(ctx context.Context) error {
	if p.want.Stored == 0 {
		return nil
	}
	dir := p.importing()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	files, err := storedFiles(ctx, dir, p.want.Stored, func(done int) {
		p.progress(fmt.Sprintf("%s of %s resources made", number(float64(done)), number(float64(p.want.Stored))))
	})
	if err != nil {
		return err
	}
	command := p.setup.Import(p.data, files...)
	lines, err := command.StderrPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	for told := bufio.NewScanner(lines); told.Scan(); { // ends with the import
		fmt.Fprintln(p.log, told.Text())
		p.progress("import of " + number(float64(p.want.Stored)) + " resources: " + told.Text())
	}
	if err := command.Wait(); err != nil {
		return errors.Join(ctx.Err(), fmt.Errorf("import: %w", err))
	}
	return nil
}

// importing is the folder of what is imported.
func (p preparation) importing() string { return filepath.Join(p.data, "bench-import") }

// serve lets a server match and index what was imported, and owe what is to be owed.
func (p preparation) serve(ctx context.Context) (err error) {
	server, err := Start(ctx, p.setup.Serve(p.data), p.log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	if err := server.caughtUp(ctx, p.progress); err != nil || p.want.Owed == 0 {
		return err
	}
	subscriber := newSubscriber(server.Base, "", func(done, all int) {
		p.progress(fmt.Sprintf("%d of %d Subscriptions", done, all))
	})
	k := DefaultKnobs()
	k.Subscriptions, k.FanOut = p.want.Subscriptions, p.want.Lanes
	if err := subscriber.create(ctx, k, nowhere, nil); err != nil {
		return err
	}
	body, err := Body(k.Body, true)
	if err != nil {
		return err
	}
	const writers = 4
	writes := p.want.Owed / p.want.Lanes
	load := NewLoad(server.Base+"/DiagnosticReport", body, writers)
	acks, err := load.Closed(ctx, writers, time.Hour, writes)
	if err != nil || len(acks) != writes {
		return errors.Join(fmt.Errorf("%d of %d writes were answered", len(acks), writes), err)
	}
	return server.caughtUp(ctx, p.progress)
}

// caughtUp waits until a server is ready, and everything is matched and indexed.
func (p *Process) caughtUp(ctx context.Context, progress func(doing string)) error {
	for {
		behind, err := p.behind(ctx)
		if err != nil || behind == 0 {
			return err
		}
		progress(number(behind) + " changes to be matched and indexed")
		if err := pause(ctx, behindEvery); err != nil {
			return err
		}
	}
}

// behindEvery is how often that is looked at, which costs the server a little each time.
const behindEvery = 200 * time.Millisecond

// behind is how many changes are not yet matched or not yet indexed.
func (p *Process) behind(ctx context.Context) (float64, error) {
	matching, err1 := p.metric(ctx, "fhirhook_log_lag_changes")
	indexing, err2 := p.metric(ctx, "fhirhook_index_lag_changes")
	return max(matching, indexing), errors.Join(err1, err2)
}

// metric reads one value of /metrics.
func (p *Process) metric(ctx context.Context, name string) (float64, error) {
	status, text, err := p.get(ctx, "/metrics")
	if err != nil || status != http.StatusOK {
		return 0, errors.Join(fmt.Errorf("metrics: status %d", status), err)
	}
	for line := range bytes.Lines(text) {
		if value, ok := strings.CutPrefix(string(line), name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("metrics: there is no %s", name)
}

// get reads what stands beside [base].
func (p *Process) get(ctx context.Context, path string) (status int, text []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(p.Base, "/fhir/R4")+path, nil)
	if err != nil {
		return 0, nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	text, err = io.ReadAll(response.Body)
	return response.StatusCode, text, err
}
