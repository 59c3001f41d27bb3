package subscription

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The table of extensions and the extensions that are read are the same.
func TestDocs_tellOfEveryExtension(t *testing.T) {
	page, err := os.ReadFile("../docs/subscriptions.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "\n## Extensions")
	told := map[string]bool{}
	for _, m := range regexp.MustCompile("`(https?://[^`]+)`").FindAllStringSubmatch(table, -1) {
		name := extensionName(m[1])
		if told[name] = true; known[name] == nil {
			t.Errorf("the page tells of %s, which is not read", m[1])
		}
	}
	for name := range known {
		if !told[name] {
			t.Errorf("the page does not tell of %s", name)
		}
	}
}
