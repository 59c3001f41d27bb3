package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestRunbook_commandsDoWhatThePageSays runs every command of docs/runbook.md, in order, against a server in the
// state that the page speaks of. What the page shows of an output must be in it, but for numbers, times and ids.
func TestRunbook_commandsDoWhatThePageSays(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	n := newNight(t)
	commands := 0
	var output string // of the last block
	for _, block := range regexp.MustCompile("(?s)```(sh|text)\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		if block[1] == "text" {
			printed := plainLines(output)
			for _, line := range plainLines(block[2]) {
				if line != "" && !slices.Contains(printed, line) {
					t.Errorf("the page shows %q, and the output is\n%s", line, output)
				}
			}
			continue
		}
		output = ""
		for line := range strings.Lines(block[2]) {
			commands++
			output += n.run(strings.TrimSuffix(line, "\n"))
		}
	}
	if commands < 20 {
		t.Errorf("found %d commands: the test no longer sees them", commands)
	}
}

// variable is what differs from one night to the next: times, ids, ports and numbers.
var variable = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z|(\d{4}-\d\d-\d\d )?\d\d:\d\d(:\d\d)?|\b[a-z2-7]{32}\b|127\.0\.0\.1:\d+|<?\d+(\.\d+)?(e-?\d+)?`)

// plainLines are lines without that, and without what aligns them.
func plainLines(text string) (all []string) {
	for line := range strings.Lines(text) {
		all = append(all, strings.Join(strings.Fields(variable.ReplaceAllString(line, "…")), " "))
	}
	return all
}

// night is a server with three Subscriptions: dead, whose endpoint isn't there, labs, whose endpoint failed three
// times and works again, and night, which is off.
type night struct {
	t      *testing.T
	dir    string
	base   string // of FHIR
	env    []string
	server *exec.Cmd
}

func newNight(t *testing.T) *night {
	n := &night{t: t, dir: t.TempDir()}
	var failing atomic.Bool
	failing.Store(true)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if failing.Load() {
			http.Error(w, "try later", http.StatusInternalServerError)
		}
	}))
	t.Cleanup(receiver.Close)
	n.server = exec.Command("fhirhook", "serve", "--data", "data", "--listen", "127.0.0.1:0", "--dev")
	n.server.Dir = n.dir
	out, err := n.server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.stop)
	var line bytes.Buffer
	for one := make([]byte, 1); !strings.HasSuffix(line.String(), "\n"); line.Write(one) {
		if _, err := out.Read(one); err != nil {
			t.Fatalf("the server ends before it is ready: %s", line.String())
		}
	}
	words := strings.Fields(line.String())
	n.base = words[len(words)-1]
	n.env = append(os.Environ(), "TZ=UTC", "FHIRHOOK_SERVER="+n.base)

	n.put("Subscription/dead", `"status":"active","criteria":"Patient","channel":{"type":"rest-hook","endpoint":"http://127.0.0.1:9/hook"}`)
	n.put("Subscription/labs", `"status":"active","criteria":"Observation?code=1234-5","channel":{"type":"rest-hook","endpoint":"`+receiver.URL+`/hook"},"extension":[`+
		`{"url":"https://fhirhook.dev/StructureDefinition/subscription-secret","valueString":"abc"},`+
		`{"url":"https://medplum.com/fhir/StructureDefinition/subscription-max-attempts","valueInteger":1}]`)
	n.put("Subscription/night", `"status":"off","criteria":"Encounter","channel":{"type":"rest-hook","endpoint":"`+receiver.URL+`/night"}`)
	for i := range 3 {
		n.put(fmt.Sprintf("Observation/o%d", i+1), `"status":"final","code":{"coding":[{"code":"1234-5"}]}`)
	}
	n.put("Observation/other", `"status":"final","code":{"text":"something else"}`)
	n.until("failed.*failed.*failed", "fhirhook", "deliveries", "labs")
	failing.Store(false)
	for i := range 12 {
		n.put(fmt.Sprintf("Patient/p%d", i+1), `"active":true`)
	}
	n.until("dead +error.*in a row since", "fhirhook", "subscriptions")
	id := regexp.MustCompile(`"id":"([^"]+)"`).FindStringSubmatch(n.until(`"id"`, "fhirhook", "deliveries", "labs", "--sequence", "1", "--json"))
	n.env = append(n.env, "ID="+id[1])
	return n
}

// stop ends the server, once.
func (n *night) stop() {
	if n.server != nil {
		_ = n.server.Process.Signal(os.Interrupt)
		_ = n.server.Wait()
		n.server = nil
	}
}

func (n *night) put(path, members string) {
	n.t.Helper()
	typ, id, _ := strings.Cut(path, "/")
	body := `{"resourceType":"` + typ + `","id":"` + id + `",` + members + `}`
	req, err := http.NewRequestWithContext(n.t.Context(), http.MethodPut, n.base+"/"+path, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/fhir+json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer res.Body.Close()
	if answer, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusCreated {
		n.t.Fatalf("%s: %s %s", path, res.Status, answer)
	}
}

// until runs a command until what it prints matches.
func (n *night) until(pattern string, command ...string) string {
	n.t.Helper()
	want := regexp.MustCompile("(?s)" + pattern)
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	var out []byte
	for began := time.Now(); time.Since(began) < patience; {
		c := exec.Command(command[0], command[1:]...)
		c.Env = n.env
		if out, _ = c.CombinedOutput(); want.Match(out) {
			return string(out)
		}
		<-poll.C
	}
	n.t.Fatalf("%q did not print %s within %s, but\n%s", command, pattern, patience, out)
	return ""
}

// run runs a line of the page and returns what it printed.
func (n *night) run(line string) string {
	n.t.Helper()
	command, note, _ := strings.Cut(line, " # ")
	want := 0
	if note == "exit code 1" {
		want = 1
	}
	if strings.HasPrefix(command, "fhirhook check") || strings.HasPrefix(command, "fhirhook compact") {
		n.stop()
	}
	var out []byte
	var err error
	if strings.HasPrefix(command, "curl ") {
		out, err = n.curl(command)
	} else {
		ctx, cancel := context.WithTimeout(n.t.Context(), patience)
		defer cancel()
		c := exec.CommandContext(ctx, "sh", "-c", "exec "+command)
		c.Dir, c.Env = n.dir, n.env
		said := &first{}
		if note == "until Ctrl-C" {
			c.Cancel = func() error { return c.Process.Signal(syscall.SIGINT) }
			said.tell = cancel
		}
		c.Stdout, c.Stderr = said, said
		err = c.Run()
		out = said.written.Bytes()
		if c.ProcessState != nil && c.ProcessState.ExitCode() == want {
			err = nil
		}
	}
	if err != nil {
		n.t.Errorf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// first tells when something is written for the first time.
type first struct {
	written bytes.Buffer
	tell    func() // nil: nobody wants to know
}

func (f *first) Write(p []byte) (int, error) {
	if f.tell != nil {
		f.tell()
	}
	return f.written.Write(p)
}

// curl does what the page's curl commands do, for not every machine has one.
func (n *night) curl(command string) ([]byte, error) {
	command, filter, filtered := strings.Cut(command, " | grep -E ")
	method, header, body, url := http.MethodGet, http.Header{}, "", ""
	words := regexp.MustCompile(`'[^']*'|\S+`).FindAllString(command, -1)[1:]
	for i := 0; i < len(words); i++ {
		value := func() string {
			i++
			return strings.Trim(words[i], "'")
		}
		switch words[i] {
		case "-s", "-f":
		case "-X":
			method = value()
		case "-H":
			name, text, _ := strings.Cut(value(), ": ")
			header.Set(name, text)
		case "-d":
			body = value()
		default:
			url = strings.Trim(words[i], "'")
		}
	}
	const said = "http://127.0.0.1:8080"
	if !strings.HasPrefix(url, said) {
		return nil, fmt.Errorf("%q is not on this server", url)
	}
	url = strings.TrimSuffix(n.base, "/fhir/R4") + strings.TrimPrefix(url, said)
	req, err := http.NewRequestWithContext(n.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = header
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= 400 {
		err = fmt.Errorf("status %s", res.Status)
	}
	if filtered {
		keep := regexp.MustCompile(strings.Trim(filter, "'"))
		var kept []byte
		for line := range bytes.Lines(out) {
			if keep.Match(line) {
				kept = append(kept, line...)
			}
		}
		out = kept
	}
	return out, err
}

// TestRunbook_linksToItsSections keeps the table of symptoms true.
func TestRunbook_linksToItsSections(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "runbook.md"))
	if err != nil {
		t.Fatal(err)
	}
	var sections []string
	for _, title := range regexp.MustCompile(`(?m)^## (.*)$`).FindAllStringSubmatch(string(page), -1) {
		sections = append(sections, strings.ReplaceAll(strings.ToLower(title[1]), " ", "-"))
	}
	for _, link := range regexp.MustCompile(`\[([^]]+)\]\(#([a-z-]+)\)`).FindAllStringSubmatch(string(page), -1) {
		if !slices.Contains(sections, link[2]) {
			t.Errorf("%s leads nowhere", link[0])
		}
	}
	metrics, err := os.ReadFile(filepath.Join("..", "internal", "app", "metrics.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`fhirhook_[a-z]+(_[a-z]+)+`).FindAllString(string(page), -1) {
		if !strings.Contains(string(metrics), `"`+name+`"`) {
			t.Errorf("there is no metric %s", name)
		}
	}
}
