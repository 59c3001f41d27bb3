package load_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"fhirhook/cmd/internal/load"
	"fhirhook/criteria"
	"fhirhook/fhir/rest"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/storetest"
	"fhirhook/fhir/validate"
)

// world is an endpoint over a store in memory, and a folder with files.
type world struct {
	t      *testing.T
	db     store.DB
	target load.Target
	folder string
	errors bytes.Buffer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, db: storetest.NewModel(), folder: t.TempDir()}
	server, err := rest.New(rest.Options{
		DB: w.db, Search: search.New(w.db, criteria.R4(), search.Options{}), Definitions: func(context.Context, string) (*criteria.Definitions, error) { return criteria.R4(), nil },
		Validator: validate.Structure, AllowQuiet: true, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.target = load.Local{Handler: server, Base: "http://localhost" + rest.Prefix}
	return w
}

func (w *world) write(name, text string) string {
	w.t.Helper()
	path := filepath.Join(w.folder, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func (w *world) run(o load.Options) (load.Report, error) {
	if o.Target == nil {
		o.Target = w.target
	}
	o.Name, o.State, o.Errors = "test", filepath.Join(w.folder, "state.json"), &w.errors
	return load.Run(w.t.Context(), o)
}

// stored are the versions in the log, in order, as Type/id/_history/version.
func (w *world) stored() []string {
	w.t.Helper()
	var out []string
	w.changes(func(c store.Change) { out = append(out, c.Resource.VersionedReference()) })
	return out
}

func (w *world) changes(visit func(store.Change)) {
	w.t.Helper()
	if err := w.db.View(w.t.Context(), func(r store.Reader) error {
		for c, err := range r.Changes(0) {
			if err != nil {
				return err
			}
			visit(c)
		}
		return nil
	}); err != nil {
		w.t.Fatal(err)
	}
}

func patients(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, `{"resourceType":"Patient","id":"p%d","active":true}`+"\n", i)
	}
	return b.String()
}

func zipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func packed(t *testing.T, text string) string {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(z.EncodeAll([]byte(text), nil))
}

// TestRun_readsEachForm stores the same resources whatever the file looks like, with their own ids.
func TestRun_readsEachForm(t *testing.T) {
	t.Parallel()
	const a, b = `{"resourceType":"Patient","id":"a"}`, `{"resourceType":"Observation","id":"b","subject":{"reference":"Patient/a"}}`
	wrap := func(kind string) string {
		return `{"resourceType":"Bundle","type":"` + kind + `","entry":[{"fullUrl":"http://x/Patient/a","resource":` + a + `},{"resource":` + b + `}]}`
	}
	put := `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":` + b + `,"request":{"method":"PUT","url":"Observation/b"}},{"resource":` + a + `,"request":{"method":"PUT","url":"Patient/a"}}]}`
	lines := a + "\n\n" + b + "\n"
	for name, text := range map[string]string{
		"lines": lines, "no last end of line": a + "\n" + b, "Windows": a + "\r\n" + b + "\r\n", "a byte order mark": "\xef\xbb\xbf" + lines,
		"gzip": zipped(t, lines), "zstd": packed(t, lines), "two gzips": zipped(t, a+"\n") + zipped(t, b+"\n"),
		"collection": wrap("collection"), "searchset": wrap("searchset"),
		"printed nicely":           strings.ReplaceAll(wrap("collection"), ",", ",\n  "),
		"values one after another": strings.ReplaceAll(a, ",", ",\n") + strings.ReplaceAll(b, ",", ",\n") + "\n",
		"transaction":              put, "batch": strings.Replace(put, "transaction", "batch", 1),
		"a Bundle a line": wrap("collection") + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			report, err := w.run(load.Options{Files: []string{w.write("f", text)}})
			if err != nil || report != (load.Report{Created: 2}) {
				t.Fatalf("%+v, %v\n%s", report, err, w.errors.String())
			}
			got := map[string]bool{}
			for _, v := range w.stored() {
				got[v] = true
			}
			if diff := cmp.Diff(map[string]bool{"Patient/a/_history/1": true, "Observation/b/_history/1": true}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestRun_repeatedChangesNothing: with and without ids, and with the references of a transaction.
func TestRun_repeatedChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	files := []string{
		w.write("a.ndjson", `{"resourceType":"Patient"}`+"\n"+`{"resourceType":"Patient"}`+"\n"+`{"resourceType":"Patient","id":"x"}`),
		w.write("b.json", `{"resourceType":"Bundle","type":"transaction","entry":[
{"fullUrl":"urn:uuid:4e8ed886-fd5f-40bb-8feb-f339b04d853a","resource":{"resourceType":"Patient","id":"ignored"},"request":{"method":"POST","url":"Patient"}},
{"resource":{"resourceType":"Observation","id":"1","subject":{"reference":"urn:uuid:4e8ed886-fd5f-40bb-8feb-f339b04d853a"}},"request":{"method":"POST","url":"Observation"}},
{"request":{"method":"DELETE","url":"Patient/none"}}]}`),
		w.write("c.json", `{"resourceType":"Bundle","type":"collection","entry":[
{"fullUrl":"urn:uuid:0193b4f6-0000-7000-8000-000000000000","resource":{"resourceType":"Patient","id":"c"}},
{"resource":{"resourceType":"Observation","id":"c","subject":{"reference":"urn:uuid:0193b4f6-0000-7000-8000-000000000000"}}}]}`),
	}
	first, err := w.run(load.Options{Files: files})
	if err != nil || first != (load.Report{Created: 7, Other: 1}) {
		t.Fatalf("%+v, %v\n%s", first, err, w.errors.String())
	}
	stored := w.stored()
	var subjects []string
	w.changes(func(c store.Change) {
		if r := c.Resource.Doc().Root().Path("subject", "reference"); r.Exists() {
			subjects = append(subjects, r.Text())
		}
	})
	if diff := cmp.Diff([]string{"Patient/4e8ed886-fd5f-40bb-8feb-f339b04d853a", "Patient/c"}, subjects); diff != "" {
		t.Error(diff)
	}
	again, err := w.run(load.Options{Files: files})
	if err != nil || again != (load.Report{Skipped: 3}) {
		t.Errorf("%+v, %v", again, err)
	}
	again, err = w.run(load.Options{Files: files, Restart: true})
	if err != nil || again != (load.Report{Present: 7, Other: 1}) {
		t.Errorf("%+v, %v", again, err)
	}
	if diff := cmp.Diff(stored, w.stored()); diff != "" {
		t.Errorf("the second import wrote something: %s", diff)
	}
}

// TestRun_tellsWhatIsRefused by file and line, and imports the rest.
func TestRun_tellsWhatIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := w.write("mixed.ndjson", strings.Join([]string{
		`{"resourceType":"Patient","id":"a"}`,
		`{"resourceType":"Patient","id":"b","contact":[{"nmae":{"text":"x"}}]}`,
		`{"resourceType":"Patient","id":"c"`,
		``,
		`not json`,
		`{"resourceType":"Patiant"}`,
		`{"resourceType":"Patient","id":"` + strings.Repeat("x", 2000) + `"}`,
		`{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Patient"},"request":{"method":"PUT","url":"Patient/t"}}]}`,
		`{"resourceType":"Bundle","type":"history"}`,
		`{"resourceType":"Patient","id":"d"}`,
	}, "\n"))
	report, err := w.run(load.Options{Files: []string{path}, MaxRecord: 1000})
	if err != nil || report != (load.Report{Created: 2, Failed: 7}) {
		t.Errorf("%+v, %v", report, err)
	}
	if diff := cmp.Diff([]string{"Patient/a/_history/1", "Patient/d/_history/1"}, w.stored()); diff != "" {
		t.Error(diff)
	}
	told := w.errors.String()
	for _, want := range []string{
		path + `:2: Patient/b: contact[0].nmae: Patient.contact has no element "nmae": did you mean "name"?`,
		path + ":3: ", path + ":5: ", path + ":6: ", path + ":7: the line has more than 1000 bytes", path + ":8: a Bundle of 1 entries: ", path + ":9: Bundle.type: ",
	} {
		if !strings.Contains(told, want) {
			t.Errorf("%q is missing in\n%s", want, told)
		}
	}
}

// TestRun_sendsInBatches of the size asked for, and writes no resource twice in one.
func TestRun_sendsInBatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := w.write("p.ndjson", patients(0, 25)+`{"resourceType":"Patient","id":"p24","active":false}`)
	report, err := w.run(load.Options{Files: []string{path}, Batch: 10})
	if err != nil || report != (load.Report{Created: 25, Present: 1}) {
		t.Fatalf("%+v, %v\n%s", report, err, w.errors.String())
	}
	ends := map[store.Seq]int{}
	w.changes(func(c store.Change) { ends[c.End]++ })
	// Batches that hold no resource in common are under way together, and may be committed in any order.
	if diff := cmp.Diff([]int{1, 5, 10, 10}, slices.Sorted(maps.Values(ends))); diff != "" {
		t.Error(diff)
	}
}

// errCut stands for kill -9.
var errCut = errors.New("cut")

// cutting is a target that dies before or behind its n-th commit, and stays dead.
type cutting struct {
	load.Target
	n      int
	behind bool
	mu     sync.Mutex // guards n
}

func (c *cutting) Post(ctx context.Context, body []byte) (load.Answer, error) {
	c.mu.Lock()
	c.n--
	left := c.n
	c.mu.Unlock()
	if left > 0 {
		return c.Target.Post(ctx, body)
	}
	if c.behind {
		if _, err := c.Target.Post(ctx, body); err != nil {
			return load.Answer{}, err
		}
	}
	return load.Answer{}, errCut
}

// TestRun_goesOnWhereItWasCut at each batch, before and behind its commit, and duplicates nothing.
func TestRun_goesOnWhereItWasCut(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 6; n++ {
		for _, behind := range []bool{false, true} {
			t.Run(fmt.Sprint(n, behind), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				bundle := `{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":"urn:uuid:4e8ed886-fd5f-40bb-8feb-f339b04d853a","resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}}]}`
				files := []string{
					w.write("p.ndjson", patients(0, 20)+"broken\n"+`{"resourceType":"Patient"}`+"\n"+bundle+"\n"+patients(20, 30)),
					w.write("q.ndjson", patients(30, 40)),
				}
				cut := &cutting{Target: w.target, n: n, behind: behind}
				if _, err := w.run(load.Options{Files: files, Batch: 10, Target: cut}); !errors.Is(err, errCut) {
					t.Fatal(err)
				}
				if _, err := w.run(load.Options{Files: files, Batch: 10}); err != nil {
					t.Fatal(err)
				}
				seen := map[string]bool{}
				for _, v := range w.stored() {
					if !strings.HasSuffix(v, "/_history/1") || seen[v] {
						t.Errorf("written again: %s", v)
					}
					seen[v] = true
				}
				if len(seen) != 42 {
					t.Errorf("%d resources, want 42", len(seen))
				}
			})
		}
	}
}

// TestRun_resumesWithoutSending what the state file knows.
func TestRun_resumesWithoutSending(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := w.write("p.ndjson", patients(0, 100))
	if _, err := w.run(load.Options{Files: []string{path}, Batch: 10, Target: &cutting{Target: w.target, n: 8}}); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	report, err := w.run(load.Options{Files: []string{path}, Batch: 10})
	if got := report.Resources(); err != nil || got > 40 || got < 30 { // two batches were under way
		t.Errorf("%+v, %v", report, err)
	}
	w.write("p.ndjson", patients(0, 101)) // another file now
	report, err = w.run(load.Options{Files: []string{path}, Batch: 10})
	if err != nil || report != (load.Report{Created: 1, Present: 100}) {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestRun_notifiesOnlyIfAsked(t *testing.T) {
	t.Parallel()
	for _, notify := range []bool{false, true} {
		w := newWorld(t)
		target := w.target.(load.Local)
		target.Notify = notify
		if _, err := w.run(load.Options{Files: []string{w.write("p", patients(0, 1))}, Target: target}); err != nil {
			t.Fatal(err)
		}
		w.changes(func(c store.Change) {
			if c.Origin.Server == notify {
				t.Errorf("notify is %v, and Origin.Server too", notify)
			}
		})
	}
}

// TestRun_badFilesDoNotStopTheOthers: a truncated file gives what it has.
func TestRun_badFilesDoNotStopTheOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	whole := zipped(t, patients(0, 5000))
	files := []string{
		w.write("cut.gz", whole[:len(whole)/2]), w.write("open.json", "{\n\"resourceType\":\n"), w.write("empty", ""),
		w.write("bad.zst", "\x28\xb5\x2f\xfdnonsense"), filepath.Join(w.folder, "missing"), w.folder, w.write("good", patients(5000, 5001)),
	}
	report, err := w.run(load.Options{Files: files})
	if err == nil || report.Created < 1000 {
		t.Errorf("%+v, %v", report, err)
	}
	for _, want := range []string{"cut.gz", "open.json", "bad.zst", "missing", w.folder} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%s is missing in: %v", want, err)
		}
	}
	stored := w.stored()
	if stored[len(stored)-1] != "Patient/p5000/_history/1" {
		t.Error("the last file wasn't imported")
	}
}

func TestRun_givesUpAfterMaxErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	report, err := w.run(load.Options{Files: []string{w.write("p", strings.Repeat("broken\n", 50)+patients(0, 1))}, MaxErrors: 10})
	if err == nil || report.Failed != 10 {
		t.Errorf("%+v, %v", report, err)
	}
}

// fixed answers always the same.
type fixed load.Answer

func (f fixed) Post(context.Context, []byte) (load.Answer, error) { return load.Answer(f), nil }

func TestRun_stopsAtWhatIsNotAboutTheData(t *testing.T) {
	t.Parallel()
	for _, answer := range []fixed{{401, nil}, {403, nil}, {404, nil}, {500, []byte(`{"resourceType":"OperationOutcome","issue":[{"diagnostics":"broken"}]}`)}, {200, []byte("<html>")}, {200, []byte(`{}`)}, {301, nil}} {
		w := newWorld(t)
		report, err := w.run(load.Options{Files: []string{w.write("p", patients(0, 3))}, Target: answer})
		if err == nil || report.Failed > 0 {
			t.Errorf("%d: %+v, %v", answer.Status, report, err)
		}
	}
}

// limited refuses Bundles that are too large for it.
type limited struct {
	load.Target
	most int
}

func (l limited) Post(ctx context.Context, body []byte) (load.Answer, error) {
	if len(body) > l.most {
		return load.Answer{Status: 413}, nil
	}
	return l.Target.Post(ctx, body)
}

func TestRun_halvesWhatIsTooLarge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	report, err := w.run(load.Options{Files: []string{w.write("p", patients(0, 100))}, Target: limited{w.target, 2000}})
	if err != nil || report != (load.Report{Created: 100}) {
		t.Errorf("%+v, %v", report, err)
	}
}
