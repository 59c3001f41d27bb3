package listen_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"fhirhook/channel"
	"fhirhook/channel/channeltest"
	"fhirhook/channel/resthook"
	"fhirhook/cmd/internal/listen"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// buffer collects output that is written while a test reads it.
type buffer struct {
	once    sync.Once
	changed *sync.Cond // its lock guards b
	b       bytes.Buffer
}

func (b *buffer) cond() *sync.Cond {
	b.once.Do(func() { b.changed = sync.NewCond(&sync.Mutex{}) })
	return b.changed
}

func (b *buffer) Write(p []byte) (int, error) {
	c := b.cond()
	c.L.Lock()
	defer c.L.Unlock()
	defer c.Broadcast()
	return b.b.Write(p)
}

// await returns once the output holds a text.
func (b *buffer) await(text string) {
	c := b.cond()
	c.L.Lock()
	defer c.L.Unlock()
	for !strings.Contains(b.b.String(), text) {
		c.Wait()
	}
}

func (b *buffer) String() string {
	c := b.cond()
	c.L.Lock()
	defer c.L.Unlock()
	return b.b.String()
}

// start runs a receiver for the test and returns its URL and its output.
func start(t *testing.T, o listen.Options) (string, *buffer) {
	t.Helper()
	o.Addr = "127.0.0.1:0"
	ready := make(chan string, 1) // the one URL
	o.Ready = func(url string) { ready <- url }
	out := &buffer{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1) // the one result of Run
	go func() { done <- listen.Run(ctx, o, out) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	select {
	case url := <-ready:
		return url, out
	case err := <-done:
		t.Fatalf("run: %v", err)
		return "", nil
	}
}

func send(t *testing.T, m channel.Message) (channel.Reply, error) {
	t.Helper()
	c := resthook.New(resthook.Options{Policy: resthook.Policy{Dev: true}})
	defer c.Close()
	return c.Send(t.Context(), m)
}

func TestRun_printsANotification(t *testing.T) {
	url, out := start(t, listen.Options{Secrets: []string{"abc"}})
	m := channeltest.Message(url + "/hook?a=b")
	m.Target.Secrets = []string{"abc"}
	m.Target.Headers = []channel.Header{{Name: "Authorization", Value: "Bearer secret-token"}}
	if _, err := send(t, m); err != nil {
		t.Fatal(err)
	}
	first, block, _ := strings.Cut(out.String(), "\n\n")
	if first != "listening on "+url {
		t.Errorf("began with %q", first)
	}
	_, block, _ = strings.Cut(block, "  ") // after the time
	want := `POST /hook?a=b  94 bytes  answered 200
  id           0192f2d0-6f3a-7c1e-8000-5d1c9a2b7e44
  sequence     12, attempt 1
  event        diagnostic-report.created
  resource     DiagnosticReport/dr-1/_history/1
  subscription 7f3c
  signature    X-Signature: ok
  signature    webhook-signature: ok

`
	if diff := cmp.Diff(want, block); diff != "" {
		t.Error(diff)
	}
}

func TestRun_verdicts(t *testing.T) {
	tests := []struct {
		name    string
		secrets []string // of the receiver
		with    []string // of the Subscription
		dialect string
		form    string
		want    map[string]string
	}{
		{"right", []string{"abc"}, []string{"abc"}, "kit", "", map[string]string{"X-Signature": "ok", "webhook-signature": "ok"}},
		{"wrong", []string{"abd"}, []string{"abc"}, "kit", "", map[string]string{"X-Signature": "wrong", "webhook-signature": "wrong"}},
		{"no secret here", nil, []string{"abc"}, "kit", "", map[string]string{"X-Signature": "unchecked", "webhook-signature": "unchecked"}},
		{"no secret there", []string{"abc"}, nil, "kit", "", map[string]string{}},
		{"timestamped", []string{"abc"}, []string{"abc"}, "kit", "timestamped", map[string]string{"X-Signature": "ok", "webhook-signature": "ok"}},
		{"healthsync", []string{"abc"}, []string{"abc"}, "healthsync", "", map[string]string{"X-HealthSync-Signature": "ok", "webhook-signature": "ok"}},
		{"clinik", []string{"abc"}, []string{"abc"}, "clinik", "", map[string]string{"X-Clinik-Signature": "ok", "webhook-signature": "ok"}},
		{"rotation", []string{"young"}, []string{"young", "old"}, "kit", "", map[string]string{"X-Signature": "wrong", "webhook-signature": "ok"}},
		{"rotation, both known", []string{"young", "old"}, []string{"young", "old"}, "kit", "", map[string]string{"X-Signature": "ok", "webhook-signature": "ok"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			url, out := start(t, listen.Options{Secrets: tt.secrets, JSON: true})
			m := channeltest.Message(url + "/hook")
			m.Target.Secrets, m.Target.Dialect, m.Target.Signature = tt.with, tt.dialect, tt.form
			if _, err := send(t, m); err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, s := range decode(t, out.String())[0].Signatures {
				got[s.Header] = s.Verdict
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

type line struct {
	Method, Path, ID, Event, Resource, Body string
	Sequence                                uint64
	Attempt, Size, Status                   int
	Test                                    bool
	Signatures                              []struct{ Header, Verdict string }
}

// decode reads the lines after the first, which names the address.
func decode(t *testing.T, out string) []line {
	t.Helper()
	rows := strings.Split(strings.TrimSpace(out), "\n")
	var first struct{ Listening string }
	if err := json.Unmarshal([]byte(rows[0]), &first); err != nil || first.Listening == "" {
		t.Fatalf("first line %s: %v", rows[0], err)
	}
	var all []line
	for _, row := range rows[1:] {
		var l line
		if err := json.Unmarshal([]byte(row), &l); err != nil {
			t.Fatalf("%s: %v", row, err)
		}
		all = append(all, l)
	}
	return all
}

func TestRun_json(t *testing.T) {
	url, out := start(t, listen.Options{JSON: true, Body: true})
	m := channeltest.Message(url + "/hook")
	if _, err := send(t, m); err != nil {
		t.Fatal(err)
	}
	ping := channel.Message{Target: m.Target, ID: "p", Subscription: "7f3c", Event: "ping", Test: true}
	if _, err := send(t, ping); err != nil {
		t.Fatal(err)
	}
	want := []line{
		{Method: "POST", Path: "/hook", ID: m.ID, Event: m.Event, Resource: "DiagnosticReport/dr-1/_history/1", Body: string(m.Body), Sequence: 12, Attempt: 1, Size: len(m.Body), Status: 200},
		{Method: "POST", Path: "/hook", ID: "p", Event: "ping", Body: "{}", Attempt: 1, Size: 2, Status: 200, Test: true},
	}
	if diff := cmp.Diff(want, decode(t, out.String())); diff != "" {
		t.Error(diff)
	}
}

func TestRun_misbehaves(t *testing.T) {
	tests := []struct {
		name string
		o    listen.Options
		want []int
	}{
		{"as it should", listen.Options{}, []int{200, 200}},
		{"always", listen.Options{Status: 503}, []int{503, 503, 503}},
		{"at first", listen.Options{FailFirst: 2}, []int{500, 500, 200, 200}},
		{"at first, with another status", listen.Options{FailFirst: 1, Status: 429}, []int{429, 200}},
		{"another success", listen.Options{Status: 204}, []int{204}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			url, _ := start(t, tt.o)
			for i, want := range tt.want {
				if reply, _ := send(t, channeltest.Message(url)); reply.Status != want {
					t.Errorf("request %d: %d, want %d", i+1, reply.Status, want)
				}
			}
		})
	}
}

func TestRun_delays(t *testing.T) {
	url, _ := start(t, listen.Options{Delay: 50 * time.Millisecond})
	reply, err := send(t, channeltest.Message(url))
	if err != nil || reply.Duration < 50*time.Millisecond {
		t.Errorf("answered after %s, %v", reply.Duration, err)
	}
}

// A long delay doesn't keep the receiver from stopping: start's cleanup waits for Run.
func TestRun_stopsInTheMiddleOfADelay(t *testing.T) {
	url, out := start(t, listen.Options{Delay: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{}) // closed when the request has ended
	go func() {
		defer close(done)
		tr := &http.Transport{DisableKeepAlives: true}
		if resp, err := tr.RoundTrip(req); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}()
	out.await("POST /")
	t.Cleanup(func() { <-done })
}

func TestOptions_Check_namesEveryProblem(t *testing.T) {
	err := listen.Run(t.Context(), listen.Options{Addr: "0.0.0.0:9000", Status: 100, FailFirst: -1, Delay: -time.Second}, io.Discard)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, part := range []string{"--addr 0.0.0.0:9000 is reachable from outside", "--status 100", "--fail-first -1", "--delay -1s"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q isn't named in:\n%v", part, err)
		}
	}
	if err := (listen.Options{Addr: "0.0.0.0:9000", Anywhere: true}).Check(); err != nil {
		t.Error(err)
	}
	if err := (listen.Options{Addr: "9000"}).Check(); err == nil {
		t.Error("an address without host is accepted")
	}
}

func TestRun_portTaken(t *testing.T) {
	r := channeltest.New(t)
	err := listen.Run(t.Context(), listen.Options{Addr: r.Addr()}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), r.Addr()) || errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
