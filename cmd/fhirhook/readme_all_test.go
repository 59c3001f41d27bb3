//go:build all

package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReadme_commandsDoWhatTheySay runs the README's commands as they are printed, on free ports: the curl commands
// against a demo, whose receiver must show the notification, and the servers until they say that they serve.
func TestReadme_commandsDoWhatTheySay(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "bin", "fhirhook"), ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	demo := begin(t, dir, "./bin/fhirhook demo --listen 127.0.0.1:0 --addr 127.0.0.1:0")
	greeting := demo.await(t, "receiver listens on")
	urls := regexp.MustCompile(`serves (http://[0-9.:]+)/fhir/R4, and a receiver listens on (http://[0-9.:]+)\.`).FindStringSubmatch(greeting)
	if urls == nil {
		t.Fatalf("the demo does not tell two URLs: %q", greeting)
	}

	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	curls, servers := 0, 0
	for _, block := range blocks {
		for _, command := range strings.Split(strings.ReplaceAll(block[1], "\\\n", " "), "\n\n") {
			if strings.HasPrefix(command, "curl ") {
				curls++
				command = strings.ReplaceAll(strings.ReplaceAll(command, "http://127.0.0.1:8080", urls[1]), "http://127.0.0.1:9000", urls[2])
				run := exec.Command("bash", "-ec", strings.TrimSpace(command)+" --fail-with-body -sS")
				if out, err := run.CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s", command, err, out)
				}
				continue
			}
			for line := range strings.Lines(command) {
				if line = strings.TrimSpace(line); strings.HasPrefix(line, "./bin/fhirhook") {
					servers++
					line = strings.ReplaceAll(line, "127.0.0.1:9000", "127.0.0.1:0")
					if strings.Contains(line, " serve ") {
						line += " --listen 127.0.0.1:0"
						line = strings.ReplaceAll(line, "./data", "./served")
					}
					begin(t, dir, line).await(t, "http://127.0.0.1:")
				}
			}
		}
	}
	if curls < 2 || servers < 2 {
		t.Errorf("found %d curl commands and %d servers in the README: the test no longer sees them", curls, servers)
	}
	if got := demo.await(t, "webhook-signature: ok"); !strings.Contains(got, "X-Signature: ok") {
		t.Errorf("the receiver does not accept the signature:\n%s", got)
	}
}

// background is a command that runs until the test ends, and what it printed.
type background struct{ lines chan string }

func begin(t *testing.T, dir, command string) *background {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	words := strings.Fields(command)
	c := exec.CommandContext(ctx, words[0], words[1:]...)
	c.Dir = dir
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	read, write := io.Pipe()
	c.Stdout, c.Stderr = write, write
	if err := c.Start(); err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	b := &background{lines: make(chan string, 1000)}
	go func() { // ends when the command has closed its output
		scan := bufio.NewScanner(read)
		for scan.Scan() {
			b.lines <- scan.Text()
		}
		close(b.lines)
	}()
	t.Cleanup(func() {
		cancel()
		_ = c.Wait()
		write.Close()
	})
	return b
}

// await returns what was printed up to the line that holds a text.
func (b *background) await(t *testing.T, text string) string {
	t.Helper()
	var seen bytes.Buffer
	timeout := time.After(patience)
	for {
		select {
		case line, ok := <-b.lines:
			seen.WriteString(line + "\n")
			if strings.Contains(line, text) {
				return seen.String()
			}
			if !ok {
				t.Fatalf("it ended without %q:\n%s", text, seen.String())
			}
		case <-timeout:
			t.Fatalf("no %q within %s:\n%s", text, patience, seen.String())
		}
	}
}
