//go:build all

package resthook_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"fhirhook/channel/channeltest"
)

// The product page's own receivers, with only the tokens put back that the page lost (testdata/seed0/*.diff are
// page against repair, and what is run is what they say), agree with what kit sends.
func TestSeed0_receiversVerifyKit(t *testing.T) {
	tests := []struct {
		name, interpreter, harness, diff string
		received                         string // the line that shows the signature that arrived
		echoes                           bool   // the sample prints the body as well
	}{
		{"python", "python3", "harness.py", "python.diff", "Received: ", false},
		{"node", "node", "harness.js", "node.diff", "Signature: ", true},
	}
	bodies := []string{
		`{"resourceType":"DiagnosticReport","id":"dr-1","status":"completed","valueX":1.0,"text":{"div":"<div>5 < 7 & é 🩺 \u00e9</div>"}}`,
		`{}`,
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			url, lines := runSample(t, tt.interpreter, tt.harness, tt.diff)
			for _, body := range bodies {
				for secret, agree := range map[string]bool{"abc": true, "abd": false} {
					m := channeltest.Message(url)
					m.Target.Secrets = []string{secret}
					m.Body = []byte(body)
					if reply, err := open(t).Send(t.Context(), m); err != nil || reply.Status != 200 {
						t.Fatalf("%+v, %v", reply, err)
					}
					logged := map[string]string{}
					for range 2 {
						name, value, _ := strings.Cut(next(t, lines), ": ")
						logged[name+": "] = value
					}
					if tt.echoes {
						if got := next(t, lines); got != "Received: "+body {
							t.Errorf("got %s", got)
						}
					}
					if got := logged[tt.received] == logged["Expected: "]; got != agree || len(logged["Expected: "]) != 64 {
						t.Errorf("secret %s: %v", secret, logged)
					}
				}
			}
		})
	}
}

// runSample runs a repaired sample until the test ends, and returns its URL and what it prints.
func runSample(t *testing.T, interpreter, harness, diff string) (string, *bufio.Scanner) {
	t.Helper()
	program, err := exec.LookPath(interpreter)
	if err != nil {
		t.Fatalf("this test needs %s: %v", interpreter, err)
	}
	fragment := filepath.Join(t.TempDir(), "fragment")
	if err := os.WriteFile(fragment, []byte(repaired(t, diff)), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, filepath.Join("testdata", "seed0", harness), fragment)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // t.Context ended before
	lines := bufio.NewScanner(out)
	return "http://127.0.0.1:" + next(t, lines) + "/webhook", lines
}

func next(t *testing.T, lines *bufio.Scanner) string {
	t.Helper()
	if !lines.Scan() {
		t.Fatalf("the sample prints no more: %v", lines.Err())
	}
	return lines.Text()
}

// repaired is the right-hand side of a diff with full context.
func repaired(t *testing.T, diff string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "seed0", diff))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	_, hunk, found := strings.Cut(string(text), "@@\n")
	if !found || strings.Contains(hunk, "@@") {
		t.Fatalf("%s isn't one hunk", diff)
	}
	for line := range strings.Lines(hunk) {
		if line[0] != '-' {
			b.WriteString(line[1:])
		}
	}
	return b.String()
}
