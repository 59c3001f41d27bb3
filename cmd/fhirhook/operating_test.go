package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts_operating runs testdata/operating: the commands for operators against a real server, whose
// notifications go to a real receiver.
func TestScripts_operating(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/operating",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("TZ", "UTC")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"begin": begins,
			"fhir":  fhirCommand,
			"until": until,
			"holds": holds,
		},
	})
}

// begins starts fhirhook in the background and keeps the URL on its first line in a variable: begin NAME ARGS….
// It ends with the script.
func begins(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: begin NAME ARGS…")
	}
	c := exec.Command("fhirhook", args[1:]...)
	c.Dir = ts.MkAbs(".")
	c.Env = append(os.Environ(), "TZ=UTC")
	out, err := c.StdoutPipe()
	ts.Check(err)
	c.Stderr = io.Discard
	ts.Check(c.Start())
	ts.Defer(func() {
		_ = c.Process.Signal(os.Interrupt)
		_ = c.Wait() // its end is looked at by other scripts
	})
	var line bytes.Buffer
	one := make([]byte, 1)
	for !strings.HasSuffix(line.String(), "\n") {
		if _, err := out.Read(one); err != nil {
			ts.Fatalf("%v ends before it is ready: %s", args, line.String())
		}
		line.Write(one)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // ends with the process
	words := strings.Fields(line.String())
	ts.Setenv(args[0], words[len(words)-1])
}

// fhirCommand sends a request to $SERVER: fhir METHOD PATH [FILE]. Variables in the file are set, and it must succeed.
func fhirCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: fhir METHOD PATH [FILE]")
	}
	body := ""
	if len(args) == 3 {
		body = os.Expand(ts.ReadFile(args[2]), ts.Getenv)
	}
	req, err := http.NewRequest(args[0], ts.Getenv("SERVER")+args[1], strings.NewReader(body))
	ts.Check(err)
	req.Header.Set("Content-Type", "application/fhir+json")
	res, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	ts.Check(err)
	if res.StatusCode >= 300 {
		ts.Fatalf("%v answers %s: %s", args, res.Status, answer)
	}
}

// until runs fhirhook until what it prints matches: until PATTERN ARGS….
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until PATTERN ARGS…")
	}
	want, err := regexp.Compile("(?s)" + args[0])
	ts.Check(err)
	var out []byte
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for began := time.Now(); time.Since(began) < patience; {
		c := exec.Command("fhirhook", args[1:]...)
		c.Env = append(os.Environ(), "FHIRHOOK_SERVER="+ts.Getenv("FHIRHOOK_SERVER"))
		if out, err = c.CombinedOutput(); err == nil && want.Match(out) {
			return
		}
		<-poll.C
	}
	ts.Fatalf("%v did not print %s within %s, but\n%s%s", args[1:], args[0], patience, out, fmt.Sprint(err))
}

// holds waits until a file that is being written matches: holds FILE PATTERN.
func holds(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: holds FILE PATTERN")
	}
	want, err := regexp.Compile("(?s)" + args[1])
	ts.Check(err)
	var text []byte
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for began := time.Now(); time.Since(began) < patience; {
		if text, err = os.ReadFile(ts.MkAbs(args[0])); err == nil && want.Match(text) {
			return
		}
		<-poll.C
	}
	ts.Fatalf("%s did not hold %s within %s, but %s", args[0], args[1], patience, text)
}
