package main

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"fhirhook/channel/resthook"
	"fhirhook/cmd/internal/app"
)

// The example of docs/dialects.md is one that the server starts with, and the page names every key that it uses.
func TestDocs_dialectsExample(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/dialects.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) != 1 {
		t.Fatalf("%d examples", len(blocks))
	}
	file := t.TempDir() + "/fhirhook.yaml"
	if err := os.WriteFile(file, []byte(blocks[0][1]), 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := configOf([]string{"--config", file})
	if err != nil || config.wrong != nil {
		t.Fatal(err, config.wrong)
	}
	if err := app.CheckDialects(config.dialects); err != nil {
		t.Fatal(err)
	}
	d, ok := resthook.Find(config.dialects, "acme")
	if !ok || len(config.dialects) != 1 || config.values["dialect"] != "acme" || config.values["dialects"] != nil {
		t.Fatalf("read %+v", config)
	}
	described, err := asJSON(d)
	if err != nil {
		t.Fatal(err)
	}
	var has map[string]any
	if err := json.Unmarshal(described, &has); err != nil {
		t.Fatal(err)
	}
	for key := range has {
		if !strings.Contains(string(page), "`"+key+"`") {
			t.Errorf("the table does not name %s", key)
		}
	}
}

// Every placeholder that there is stands in the page, and no other.
func TestDocs_placeholders(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/dialects.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| placeholder | value |")
	table, _, _ = strings.Cut(table, "\n\n")
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile(`\$\{(\w+)\}`).FindAllStringSubmatch(table, -1) {
		documented[m[1]] = true
	}
	for _, name := range resthook.Placeholders() {
		if !documented[name] {
			t.Errorf("${%s} is not documented", name)
		}
		delete(documented, name)
	}
	for name := range documented {
		t.Errorf("${%s} is documented, and isn't there", name)
	}
}
