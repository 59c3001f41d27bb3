//go:build all

package main

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWebhooksPage_examplesDoWhatTheySay runs the commands of docs/webhooks.md as they are printed, beside a demo on
// free ports: each succeeds, and answers the members that the page shows.
func TestWebhooksPage_examplesDoWhatTheySay(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "bin", "fhirhook"), ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	demo := begin(t, dir, "./bin/fhirhook demo --listen 127.0.0.1:0 --addr 127.0.0.1:0")
	urls := regexp.MustCompile(`serves (http://[0-9.:]+)/fhir/R4, and a receiver listens on (http://[0-9.:]+)\.`).FindStringSubmatch(demo.await(t, "receiver listens on"))
	if urls == nil {
		t.Fatal("the demo does not tell two URLs")
	}
	const end = "\n=end of the block=\n"
	// What was just written may not have arrived yet where deliveries are listed, so that is asked again.
	script := `set -eu
		curl() {
			case "$*" in */deliveries*)
				for i in $(seq 5000); do
					out=$(command curl -sS --fail-with-body "$@")
					case "$out" in *'"attempts":[{'*) break ;; esac
				done
				printf '%s' "$out" ;;
			*) command curl -sS --fail-with-body "$@" ;; esac
		}
	`
	var shown []string
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```\n(?:```json\n(.*?)```)?").FindAllStringSubmatch(string(text), -1) {
		script += block[1] + "printf '%s' '" + end + "'\n"
		shown = append(shown, block[2])
	}
	script = strings.NewReplacer("http://127.0.0.1:8080", urls[1], "http://127.0.0.1:9000", urls[2]).Replace(script)
	run := exec.Command("bash", "-c", script)
	run.Dir = dir
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	answers := strings.Split(string(out), end)
	if len(shown) < 8 || len(answers) != len(shown)+1 {
		t.Fatalf("%d blocks, and %d answers:\n%s", len(shown), len(answers), out)
	}
	for i, want := range shown {
		if want == "" {
			continue
		}
		_, got, _ := strings.Cut("\n"+answers[i], "\n{")
		if diff := cmp.Diff(members(t, want), members(t, "{"+got)); diff != "" {
			t.Errorf("block %d (-page +answer): %s\n%s", i+1, diff, answers[i])
		}
	}
	demo.await(t, "X-Clinik-Signature: ok") // the receiver accepts what is sent
}

// members are the names of an object's members, and of those inside it.
func members(t *testing.T, text string) []string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	names := map[string]bool{}
	var walk func(v any, at string)
	walk = func(v any, at string) {
		switch v := v.(type) {
		case map[string]any:
			for name, inner := range v {
				names[at+"."+name] = true
				walk(inner, at+"."+name)
			}
		case []any:
			for _, inner := range v {
				walk(inner, at)
			}
		}
	}
	walk(v, "")
	return slices.Sorted(maps.Keys(names))
}
