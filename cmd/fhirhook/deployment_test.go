package main

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// unit reads a systemd unit: section.key, with the values of keys that stand several times, in order.
func unit(t *testing.T, path string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string][]string{}
	section := ""
	lines := bufio.NewScanner(strings.NewReader(strings.ReplaceAll(string(text), "\\\n", " ")))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		switch key, value, ok := strings.Cut(line, "="); {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = strings.Trim(line, "[]")
		case !ok:
			t.Errorf("%s: %q is no setting", path, line)
		default:
			values[section+"."+key] = append(values[section+"."+key], value)
		}
	}
	return values
}

// TestUnit_locksTheServiceUp holds the unit against what systemd-analyze security asks for.
func TestUnit_locksTheServiceUp(t *testing.T) {
	t.Parallel()
	got := unit(t, "../../docs/fhirhook.service")
	for key, want := range map[string]string{
		"DynamicUser": "yes", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes", "PrivateDevices": "yes",
		"ProtectKernelTunables": "yes", "ProtectKernelModules": "yes", "ProtectKernelLogs": "yes", "ProtectControlGroups": "yes", "ProtectClock": "yes",
		"ProtectHostname": "yes", "ProtectProc": "invisible", "RestrictNamespaces": "yes", "RestrictRealtime": "yes", "RestrictSUIDSGID": "yes",
		"LockPersonality": "yes", "MemoryDenyWriteExecute": "yes", "SystemCallArchitectures": "native", "RemoveIPC": "yes",
		"CapabilityBoundingSet": "CAP_NET_BIND_SERVICE", "StateDirectoryMode": "0700", "UMask": "0077", "RestartPreventExitStatus": "2",
	} {
		if values := got["Service."+key]; len(values) != 1 || values[0] != want {
			t.Errorf("%s is %v, want %s", key, values, want)
		}
	}
	if filter := got["Service.SystemCallFilter"]; len(filter) != 2 || filter[0] != "@system-service" || !strings.HasPrefix(filter[1], "~@privileged") {
		t.Errorf("SystemCallFilter is %v", filter)
	}
	for _, secret := range []string{"master.key", "tls.key", "config.yaml"} {
		if !slices.ContainsFunc(got["Service.LoadCredential"], func(v string) bool { return strings.HasPrefix(v, secret+":") }) {
			t.Errorf("%s is no credential: %v", secret, got["Service.LoadCredential"])
		}
	}
}

// TestUnit_startsTheServer runs its ExecStart with credentials and folders of its own.
func TestUnit_startsTheServer(t *testing.T) {
	t.Parallel()
	start := unit(t, "../../docs/fhirhook.service")["Service.ExecStart"]
	if len(start) != 1 {
		t.Fatalf("ExecStart %v", start)
	}
	credentials, state := t.TempDir(), t.TempDir()
	certificate(t, credentials)
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	place(t, filepath.Join(credentials, "master.key"), 0o440, hex.EncodeToString(key))
	place(t, filepath.Join(credentials, "config.yaml"), 0o440, "base-url: https://fhir.example.org\nauth:\n  tokens:\n    - {name: lab, hash: 'sha256:"+strings.Repeat("a", 64)+"', scopes: ['system/*.rs']}\n")
	args := strings.Fields(strings.NewReplacer("${CREDENTIALS_DIRECTORY}", credentials, "${STATE_DIRECTORY}", state, ":443", ":0", ":9090", ":0").Replace(start[0]))
	if args[0] != "/usr/local/bin/fhirhook" || args[1] != "serve" {
		t.Fatalf("it starts %v", args[:2])
	}
	if code, complaint := tryServe(t, args[2:]...); code != 0 {
		t.Errorf("exits %d: %s", code, complaint)
	}
}

var (
	flagName = regexp.MustCompile(`--([a-z][a-z-]+)`)
	envName  = regexp.MustCompile(`FHIRHOOK_([A-Z_]+)`)
)

// TestDeployment_namesFlagsThatExist looks up each flag, and each environment variable of one, that the page and its files name.
func TestDeployment_namesFlagsThatExist(t *testing.T) {
	t.Parallel()
	var cli commands
	parser, err := kong.New(&cli)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	var walk func(n *kong.Node)
	walk = func(n *kong.Node) {
		for _, f := range n.Flags {
			known[f.Name] = true
		}
		for _, child := range n.Children {
			walk(child)
		}
	}
	walk(parser.Model.Node)
	// Flags of docker and of its files.
	others := []string{"build-arg", "tags", "always", "from", "chown", "interval", "timeout", "start-period", "read-only", "cap-drop", "security-opt"}
	found := 0
	for _, path := range []string{"../../docs/deployment.md", "../../docs/Dockerfile", "../../docs/fhirhook.service"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range flagName.FindAllStringSubmatch(string(text), -1) {
			if found++; !known[m[1]] && !slices.Contains(others, m[1]) {
				t.Errorf("%s: there is no flag --%s", path, m[1])
			}
		}
		for _, m := range envName.FindAllStringSubmatch(string(text), -1) {
			if flag := strings.ReplaceAll(strings.ToLower(m[1]), "_", "-"); !known[flag] && m[1] != "KEY" {
				t.Errorf("%s: no flag is FHIRHOOK_%s", path, m[1])
			}
		}
	}
	if found < 40 {
		t.Errorf("only %d flags were found: the search is broken", found)
	}
}

func TestDockerfile_runsNothingButTheServer(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	_, last, found := strings.Cut(string(text), "\nFROM scratch\n")
	if !found || strings.Contains(last, "\nFROM ") {
		t.Fatal("the image is not made of scratch")
	}
	for _, want := range []string{"\nUSER 65532:65532\n", "\nVOLUME /data\n", `HEALTHCHECK`, `ENTRYPOINT ["/fhirhook"]`, `CMD ["serve"]`} {
		if !strings.Contains(last, want) {
			t.Errorf("it has no %s", strings.TrimSpace(want))
		}
	}
	if strings.Contains(last, "\nRUN ") || strings.Contains(string(text), "\nADD ") {
		t.Error("it runs or adds something else")
	}
	if !strings.Contains(string(text), "CGO_ENABLED=0") {
		t.Error("the binary is not static, and scratch has no libraries")
	}
}
