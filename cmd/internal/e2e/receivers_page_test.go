package e2e_test

import (
	"cmp"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"fhirhook/channel/resthook"
	shown "fhirhook/docs/receivers/go"
)

const docs = "../../../docs/"

// rows are the rows of all tables of a page.
func rows(page string) (all [][]string) {
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") {
			continue
		}
		var cells []string
		for _, cell := range strings.Split(strings.Trim(line, "|"), " | ") {
			cells = append(cells, strings.TrimSpace(cell))
		}
		all = append(all, cells)
	}
	return all
}

// Every value of the worked example is what the server signs, and what the receivers take.
func TestReceiversPage_workedExampleIsTrue(t *testing.T) {
	t.Parallel()
	_, example, _ := strings.Cut(contents(t, docs+"receivers.md"), "A worked example")
	example, _, _ = strings.Cut(example, "Each can be had")
	quoted := regexp.MustCompile("`([^`]+)`")
	given, checked := map[string]string{}, map[string]int{}
	for _, row := range rows(example) {
		value := strings.Trim(row[1], "`")
		if name := strings.Trim(row[0], "`"); given["body"] == "" { // the first table
			given[name] = value
			continue
		}
		words := quoted.FindAllStringSubmatch(row[0], -1)
		if len(words) == 0 {
			continue // a heading
		}
		form, secrets, at := words[0][1], []string{given["secret"]}, time.Unix(1700000000, 0)
		if _, secret, ok := strings.Cut(row[0], "with the secret `"); ok {
			secret, rest, _ := strings.Cut(secret, "`")
			if secrets = []string{secret}; strings.Contains(rest, "`"+given["secret"]+"` is good, too") {
				secrets = []string{secret, given["secret"]}
			}
		}
		body := []byte(given["body"])
		var want string
		var err error
		if form == "webhook-signature" {
			want = resthook.SignWebhook(secrets, given["webhook-id"], at, body)
			h := http.Header{}
			h.Set("webhook-id", given["webhook-id"])
			h.Set("webhook-timestamp", given["webhook-timestamp"])
			h.Set("webhook-signature", value)
			err = shown.Verify(h, body, secrets[len(secrets)-1:], at, time.Minute)
		} else {
			want, _ = resthook.Sign(form, secrets, body, at)
			err = shown.VerifySignature(value, body, secrets[len(secrets)-1:], at, time.Minute)
		}
		if value != want || err != nil {
			t.Errorf("%s is %s on the page; it should be %s (the receiver says %v)", row[0], value, want, err)
		}
		checked[form]++
	}
	for form, n := range map[string]int{"webhook-signature": 3, "body": 2, "sha256": 1, "timestamped": 2} {
		if checked[form] != n {
			t.Errorf("%d examples of %s were checked, want %d: the page has changed its form", checked[form], form, n)
		}
	}
}

// The table of headers is of all dialects, and what is shown of the receivers is theirs.
func TestReceiversPage_tellsOfWhatThereIs(t *testing.T) {
	t.Parallel()
	page := contents(t, docs+"receivers.md")
	told := map[string]string{}
	for _, row := range rows(page) {
		if len(row) == 3 && strings.HasPrefix(row[0], "`") {
			told[strings.Trim(row[0], "`")] = strings.ReplaceAll(row[1]+" "+row[2], "`", "")
		}
	}
	for _, d := range resthook.Dialects() {
		want := cmp.Or(d.Signature.Header, "–") + " " + cmp.Or(d.Signature.Form, "–")
		if told[d.Name] != want {
			t.Errorf("the page says %q of %s, want %q", told[d.Name], d.Name, want)
		}
	}
	sources := map[string]string{"go": "go/verify.go", "js": "node/receiver.mjs", "python": "python/receiver.py"}
	blocks := regexp.MustCompile("(?s)```(\\w+)\n(.*?)```").FindAllStringSubmatch(page, -1)
	for _, b := range blocks {
		if source := sources[b[1]]; source == "" || !strings.Contains(contents(t, docs+"receivers/"+source), b[2]) {
			t.Errorf("this is not in docs/receivers/%s:\n%s", source, b[2])
		}
	}
	if len(blocks) != len(sources) {
		t.Errorf("%d pieces of code, want one for each language", len(blocks))
	}
	for _, link := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(page, -1) {
		if strings.HasPrefix(link[1], "https://") {
			continue
		}
		if _, err := os.Stat(filepath.Join(docs, link[1])); err != nil {
			t.Errorf("a link leads nowhere: %v", err)
		}
	}
}
