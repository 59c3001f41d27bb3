package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fhirhook/cmd/internal/app"
	"fhirhook/fhir/rest"
)

// serveVariable tells the child process to be the server, with the options that it holds as JSON.
const serveVariable = "FHIRHOOK_E2E_OPTIONS"

func TestMain(m *testing.M) {
	if text := os.Getenv(serveVariable); text != "" {
		os.Exit(serve(text))
	}
	http.DefaultTransport = leakScanner // of http.DefaultClient, which the tests use
	os.Exit(m.Run())
}

func serve(text string) int {
	options := defaults()
	if err := json.Unmarshal([]byte(text), &options); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	options.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var server *app.Server
	options.Ready = func() { fmt.Fprintln(os.Stdout, server.BaseURL()) }
	server, err := app.New(ctx, options)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := server.Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func defaults() app.Options {
	return app.Options{
		Listen: "127.0.0.1:0", Dev: true, Dialect: "kit", ErrorAfter: "10,1h", OffAfter: 72 * time.Hour,
		MaxBody: 8 << 20, MaxBundle: 64 << 20, Drain: 10 * time.Second, Version: "e2e",
	}
}

// process is a running server.
type process struct {
	t       testing.TB
	base    string
	command *exec.Cmd
	log     *bytes.Buffer
	ended   sync.Once
}

// start runs a server on the folder and waits until it serves. It is killed when the test ends.
func start(t testing.TB, data string, change ...func(*app.Options)) *process {
	t.Helper()
	options := defaults()
	options.Data = data
	for _, f := range change {
		f(&options)
	}
	text, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, log: &bytes.Buffer{}}
	p.command = exec.Command(os.Args[0], "-test.run=^$")
	p.command.Env = append(os.Environ(), serveVariable+"="+string(text))
	p.command.Stderr = p.log
	out, err := p.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.kill()
		t.Fatalf("the server did not start: %v\n%s", err, p.log)
	}
	p.base = strings.TrimSpace(line)
	leakScanner.watch(p.host())
	leakScanner.keys(p.host(), data, text)
	t.Cleanup(func() { p.scan(data) })
	return p
}

// host is the server's host and port.
func (p *process) host() string {
	return strings.TrimPrefix(strings.TrimSuffix(p.base, rest.Prefix), "http://")
}

// scan ends the server, and fails the test if a secret is where none may be.
func (p *process) scan(data string) {
	leakScanner.leave(p.host())
	p.kill()
	leakScanner.look(p.host(), "the log", p.log.Bytes(), nil)
	leakScanner.folder(p.host(), data)
	leakScanner.report(p.t, p.host())
}

// kill is kill -9.
func (p *process) kill() { p.end(syscall.SIGKILL) }

// end sends the first signal that it is called with, and returns when the process is gone.
func (p *process) end(signal os.Signal) {
	p.ended.Do(func() {
		_ = p.command.Process.Signal(signal) // it may be gone already
		_ = p.command.Wait()                 // the exit code is looked at where it matters
	})
}

// stop is SIGTERM, and the exit code that follows it.
func (p *process) stop() int {
	p.t.Helper()
	p.end(syscall.SIGTERM)
	return p.command.ProcessState.ExitCode()
}

// answer is an HTTP answer read whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) json(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatalf("no JSON object: %v\n%s", err, a.body)
	}
	return v
}

// request sends a FHIR request; path is relative to the base URL.
func (p *process) request(method, path, body string) (answer, error) {
	request, err := http.NewRequestWithContext(p.t.Context(), method, p.base+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/fhir+json")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, text}, err
}

// must is request, with the status that is wanted.
func (p *process) must(status int, method, path, body string) answer {
	p.t.Helper()
	a, err := p.request(method, path, body)
	if err != nil {
		p.t.Fatalf("%s %s: %v\n%s", method, path, err, p.log)
	}
	if a.status != status {
		p.t.Fatalf("%s %s: status %d, want %d\n%s", method, path, a.status, status, a.body)
	}
	return a
}

// create POSTs a resource and returns its id.
func (p *process) create(resourceType, body string) string {
	p.t.Helper()
	id, _ := p.must(http.StatusCreated, http.MethodPost, "/"+resourceType, body).json(p.t)["id"].(string)
	return id
}
