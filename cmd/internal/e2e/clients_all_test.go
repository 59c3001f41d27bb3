//go:build all

package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// clientsFolder holds the clients of testdata/clients, which `make all-test` installs.
const clientsFolder = "../../../.cache/clients"

// TestClients_workWithoutSurprises drives the server with fhir-kit-client, fhirclient and @medplum/core: eleven steps
// each, asserted by testdata/clients/clients.mjs.
func TestClients_workWithoutSurprises(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(filepath.Join(clientsFolder, "node_modules")); err != nil {
		t.Fatalf("the clients are not installed: run make all-test, which installs them (%v)", err)
	}
	text, err := os.ReadFile("../../../testdata/clients/clients.mjs")
	if err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(clientsFolder, "clients.mjs") // beside node_modules, where imports are looked for
	if err := os.WriteFile(script, text, 0o600); err != nil {
		t.Fatal(err)
	}
	r := newReceiver(t, nil)
	server := start(t, t.TempDir())
	node := exec.CommandContext(t.Context(), "node", script)
	node.Env = append(os.Environ(), "BASE="+server.base, "ENDPOINT="+r.URL)
	out, err := node.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const steps = 3 * 11
	if got := strings.Count(string(out), "ok "); got != steps {
		t.Errorf("%d steps, want %d\n%s", got, steps, out)
	}
}
