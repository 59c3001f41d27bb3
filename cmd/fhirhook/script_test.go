package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"fhirhook": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
			stop()
			os.Exit(code)
		},
	})
}

// TestScripts runs testdata/script: what the commands print, and how they exit.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await":  await,
			"exits":  exits,
			"damage": damage,
		},
	})
}

// patience is how long tests wait for what has to happen: what a busy machine never takes.
const patience = 3 * time.Minute

// await waits until a background command's first line stands in a file, and keeps its last word in $BASE.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: await FILE")
	}
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for began := time.Now(); time.Since(began) < patience; {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		if line, _, found := strings.Cut(string(text), "\n"); err == nil && found {
			words := strings.Fields(line)
			ts.Setenv("BASE", words[len(words)-1])
			return
		}
		<-poll.C
	}
	ts.Fatalf("%s: no line within %s", args[0], patience)
}

// exits runs fhirhook and wants an exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: exits CODE ARGS…")
	}
	err := ts.Exec("fhirhook", args[1:]...)
	got := 0
	if err != nil {
		var status interface{ ExitCode() int }
		if !asExit(err, &status) {
			ts.Fatalf("%v", err)
		}
		got = status.ExitCode()
	}
	if want := args[0]; fmt.Sprint(got) != want {
		ts.Fatalf("exit code %d, want %s", got, want)
	}
}

func asExit(err error, target *interface{ ExitCode() int }) bool {
	status, ok := err.(interface{ ExitCode() int })
	*target = status
	return ok
}

// damage overwrites the beginning of a file.
func damage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: damage FILE")
	}
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_WRONLY, 0)
	ts.Check(err)
	_, err = f.WriteAt([]byte(strings.Repeat("no store at all ", 2048)), 0)
	ts.Check(err)
	ts.Check(f.Close())
}

// TestHelp_namesEveryDefault keeps --help useful.
func TestHelp_namesEveryDefault(t *testing.T) {
	t.Parallel()
	var out, errs strings.Builder
	if code := run(t.Context(), []string{"serve", "--help"}, &out, &errs); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	for _, want := range []string{"127.0.0.1:8080", "./data", "kit", "10,1h", "72h", "8388608", "67108864", "$FHIRHOOK_DATA", "--dev", "--allow-endpoint", "--allow-http"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("serve --help does not tell %q:\n%s", want, out.String())
		}
	}
}
