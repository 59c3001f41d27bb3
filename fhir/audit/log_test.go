package audit_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/audit"
	"fhirhook/fhir/rest"
	"fhirhook/fhir/store/seal"
)

// append writes to the end of a file, as a crash leaves it.
func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestOpen_cutsOffWhatACrashLeft: the beginning of a line, zeros of a file system that had the size only, and a whole
// line whose sum is wrong are no events, and what comes behind them is found.
func TestOpen_cutsOffWhatACrashLeft(t *testing.T) {
	t.Parallel()
	for name, left := range map[string]string{
		"a line without its end": `9f2c01aa 1769860800000 default {"r":"x","i":"re`,
		"zeros":                  strings.Repeat("\x00", 100_000),
		"a wrong sum":            `00000000 1769860800000 default {"i":"read","s":200}` + "\n",
		"noise":                  "\n\n{}\nabc\n" + strings.Repeat("x", 600_000) + "\n",
	} {
		w := newWorld(t)
		w.log.Record([]rest.Deed{deed("default", "1")})
		w.stop()
		appendTo(t, filepath.Join(w.dir, w.files()), left)
		w.open()
		w.log.Record([]rest.Deed{deed("default", "2")})
		if got := w.found("default", "_sort=_lastUpdated"); got != "Patient/1/_history/3 Patient/2/_history/3" {
			t.Errorf("%s: %s", name, got)
		}
		all := w.all("default")
		if r, err := w.trail.Read(t.Context(), all[1].Key); err != nil || !bytes.Equal(r.JSON, all[1].JSON) {
			t.Errorf("%s: read %v", name, err)
		}
		w.stop()
	}
}

// TestLog_timeNeverGoesBack: neither when the clock does nor over a restart, for a search by time looks by halving.
func TestLog_timeNeverGoesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.log.Record([]rest.Deed{deed("default", "1")})
	w.set(begin.Add(-time.Hour))
	w.log.Record([]rest.Deed{deed("default", "2")})
	w.stop()
	w.set(begin.Add(-48 * time.Hour))
	w.open()
	w.log.Record([]rest.Deed{deed("default", "3")})
	for _, r := range w.all("default") {
		if !r.Updated.Equal(begin) {
			t.Errorf("%s: %s", told(r), r.Updated)
		}
	}
	w.stop()
	if got := w.files(); got != "20260131.log" {
		t.Error(got)
	}
	if err := audit.Check(w.dir, nil); err != nil {
		t.Error(err)
	}
}

// TestLog_daysGoWhenTheyAreOld: a day goes as a whole once all of it is older than what is kept.
func TestLog_daysGoWhenTheyAreOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		keep := func(o *audit.Options) { o.Keep, o.Now = 48*time.Hour, time.Now }
		w := newWorld(t, keep)
		began := time.Now().UTC()
		for range 5 {
			w.log.Record([]rest.Deed{deed("default", "1")})
			time.Sleep(24 * time.Hour)
		}
		synctest.Wait()
		want := ""
		for day := range 3 { // of the last two days, and the one whose end is not two days ago
			want += " " + began.AddDate(0, 0, 2+day).Format("20060102") + ".log"
		}
		if got := w.files(); " "+got != want && " "+got != want[len(" 20060102.log"):] {
			t.Errorf("%s, want%s", got, want)
		}
		if n := len(w.all("default")); n != strings.Count(w.files(), ".log") {
			t.Errorf("%d events", n)
		}
		w.stop()
	})
}

// TestLog_syncMakesRecordWait: with Sync what Record was given is in its file when it returns.
func TestLog_syncMakesRecordWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *audit.Options) { *o = o.Tune(time.Hour, 0); o.Sync = true })
	for i := range 20 {
		w.log.Record([]rest.Deed{deed("default", fmt.Sprint(i))})
		if s := w.log.Stats(); s.Waiting != 0 || s.Recorded != int64(i+1) {
			t.Fatalf("%+v", s)
		}
		text, err := os.ReadFile(filepath.Join(w.dir, w.files()))
		if n := bytes.Count(text, []byte("\n")); err != nil || n != i+1 {
			t.Fatalf("%d lines, %v", n, err)
		}
	}
}

// TestLog_requestsWaitWhileItCantKeepUp: what may wait in memory is bounded, and nothing is lost.
func TestLog_requestsWaitWhileItCantKeepUp(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "audit")
	l, err := audit.Open(audit.Options{Dir: dir, Now: func() time.Time { return begin }}.Tune(time.Hour, 10_000))
	if err != nil {
		t.Fatal(err)
	}
	const all = 500
	recorded := make(chan struct{})
	go func() { // stops when all are recorded
		defer close(recorded)
		for i := range all {
			l.Record([]rest.Deed{deed("default", fmt.Sprint(i))})
		}
	}()
	full := 0
	for full <= 10_000 { // nobody writes yet
		full = l.Stats().Waiting
	}
	select {
	case <-recorded:
		t.Error("nobody waited")
	case <-time.After(20 * time.Millisecond):
	}
	if n := l.Stats().Waiting; n > 11_000 {
		t.Errorf("%d bytes wait", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	<-recorded
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "20260131.log"))
	if n := bytes.Count(text, []byte("\n")); err != nil || n != all {
		t.Errorf("%d lines, %v", n, err)
	}
}

// TestLog_saysThatItCantWrite: while the disk refuses, Ready fails and what is recorded stays in memory; when it takes
// lines again, they are all there.
func TestLog_saysThatItCantWrite(t *testing.T) {
	t.Parallel()
	for _, waits := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var text bytes.Buffer
			w := newWorld(t, func(o *audit.Options) { o.Log, o.Sync = slog.New(slog.NewTextHandler(&text, nil)), waits })
			path := filepath.Join(w.dir, "20260131.log")
			if err := os.Mkdir(path, 0o700); err != nil { // in the way
				t.Fatal(err)
			}
			w.log.Record([]rest.Deed{deed("default", "1")})
			time.Sleep(50 * time.Millisecond)
			synctest.Wait()
			if err := w.log.Ready(); fhir.KindOf(err) != fhir.Unavailable {
				t.Errorf("Ready = %v", err)
			}
			w.log.Record([]rest.Deed{deed("default", "2")})
			if s := w.log.Stats(); !s.Failing || s.Waiting == 0 {
				t.Errorf("%+v", s)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if err := w.log.Ready(); err != nil {
				t.Errorf("Ready = %v", err)
			}
			if got := w.found("default", ""); got != "Patient/1/_history/3 Patient/2/_history/3" {
				t.Error(got)
			}
			w.stop()
			if !strings.Contains(text.String(), "audit.failing") || !strings.Contains(text.String(), "audit.recovered") {
				t.Errorf("the log: %s", &text)
			}
		})
	}
}

// TestLog_keepsWritesAlone: of what changes nothing, only what was refused and what administrators did elsewhere.
func TestLog_keepsWritesAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *audit.Options) { o.Writes = true })
	record := func(id string, change func(*rest.Deed)) {
		d := deed("default", id)
		change(&d)
		w.log.Record([]rest.Deed{d})
	}
	record("read", func(*rest.Deed) {})
	record("unknown", func(d *rest.Deed) { d.Status = 404 })
	record("write", func(d *rest.Deed) { d.Interaction, d.Writes = "update", true })
	record("refused", func(d *rest.Deed) { d.Status = 403 })
	record("administration", func(d *rest.Deed) { d.Interaction, d.Admin = "$x", true })
	record("elsewhere", func(d *rest.Deed) { d.From = "home" })
	if got, want := w.found("default", ""), "Patient/write/_history/3 Patient/refused/_history/3 Patient/administration/_history/3 Patient/elsewhere/_history/3"; got != want {
		t.Error(got)
	}
}

// TestLog_encryptsWhatItKeeps: a search may name patients. With a key nothing of it stands in the file, and without it
// nothing is shown.
func TestLog_encryptsWhatItKeeps(t *testing.T) {
	t.Parallel()
	ring, err := seal.Open(t.TempDir(), seal.NewMaster(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(o *audit.Options) { o.Ring = ring })
	d := deed("default", "planted-id")
	d.Query = "Patient?name=planted-name"
	w.log.Record([]rest.Deed{d})
	want := "Patient/planted-id/_history/3"
	if got := w.found("default", "entity=Patient/planted-id"); got != want {
		t.Error(got)
	}
	w.stop()
	text, err := os.ReadFile(filepath.Join(w.dir, w.files()))
	if err != nil || bytes.Contains(text, []byte("planted")) || bytes.Contains(text, []byte("ada")) {
		t.Errorf("%s, %v", text, err)
	}
	if err := audit.Check(w.dir, ring); err != nil {
		t.Error(err)
	}
	if err := audit.Check(w.dir, nil); err == nil {
		t.Error("without the key it can be read")
	}
	w.open(func(o *audit.Options) { o.Opens = ring }) // encryption was switched off since
	w.log.Record([]rest.Deed{deed("default", "plain")})
	if got := w.found("default", ""); got != want+" Patient/plain/_history/3" {
		t.Error(got)
	}
}

// TestCheck_findsWhatIsWrong damages files.
func TestCheck_findsWhatIsWrong(t *testing.T) {
	t.Parallel()
	for want, damage := range map[string]func(string) string{
		"damaged":        func(s string) string { return strings.Replace(s, "Patient/1", "Patient/9", 1) },
		"earlier":        func(s string) string { a, b, _ := strings.Cut(s, "\n"); return b + a + "\n" },
		"of another day": func(s string) string { return s },
	} {
		w := newWorld(t)
		w.log.Record([]rest.Deed{deed("default", "1")})
		w.set(w.now().Add(time.Minute))
		w.log.Record([]rest.Deed{deed("default", "2")})
		w.stop()
		path := filepath.Join(w.dir, w.files())
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if want == "of another day" {
			path = filepath.Join(w.dir, "20260201.log")
		}
		if err := os.WriteFile(path, []byte(damage(string(text))), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := audit.Check(w.dir, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Check says %v, and should say %s", err, want)
		}
	}
}
