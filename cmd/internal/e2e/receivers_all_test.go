//go:build all

package e2e_test

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirhook/channel/resthook"
	shown "fhirhook/docs/receivers/go"
)

const receiversFolder = "../../../docs/receivers"

// TestReceivers_programsTakeWhatTheServerSends plays the story of receivers_test.go with each receiver of
// docs/receivers as the program that it is.
func TestReceivers_programsTakeWhatTheServerSends(t *testing.T) {
	t.Parallel()
	compiled := filepath.Join(t.TempDir(), "serve")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", compiled, receiversFolder+"/go/serve").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, command := range map[string][]string{
		"go": {compiled}, "node": {"node", receiversFolder + "/node/receiver.mjs"}, "python": {"python3", receiversFolder + "/python/receiver.py"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			playReceivers(t, func(t *testing.T, secrets string, tolerance int) *kit {
				lines := program(t, command, "LISTEN=127.0.0.1:0", "SECRETS="+secrets, "TOLERANCE="+strconv.Itoa(tolerance))
				var first struct{ Listening string }
				if err := json.Unmarshal(lines.next(t), &first); err != nil || first.Listening == "" {
					t.Fatalf("the first line tells no address: %v", err)
				}
				k := &kit{url: first.Listening, verdicts: make(chan shown.Verdict, 1000)}
				go func() { // ends with the program's output
					for line := range lines {
						var v shown.Verdict
						if err := json.Unmarshal(line, &v); err != nil {
							v.Verdict = "no JSON: " + string(line)
						}
						k.verdicts <- v
					}
				}()
				return k
			})
		})
	}
}

// output is the lines that a program writes. It is closed with the program's end.
type output chan []byte

// program runs one until the test ends.
func program(t *testing.T, command []string, environment ...string) output {
	t.Helper()
	path, err := exec.LookPath(command[0])
	if err != nil {
		t.Fatalf("this test needs %s: %v", command[0], err)
	}
	c := exec.CommandContext(t.Context(), path, command[1:]...)
	c.Env = append(os.Environ(), environment...)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines, ended := make(output, 10_000), make(chan struct{})
	go func() { // ends with the program, which ends with the test's context
		defer close(ended)
		defer close(lines)
		in := bufio.NewScanner(out)
		in.Buffer(nil, 1<<20)
		for in.Scan() {
			lines <- append([]byte(nil), in.Bytes()...)
		}
	}()
	t.Cleanup(func() {
		<-ended
		_ = c.Wait() // it was killed
	})
	return lines
}

func (o output) next(t *testing.T) []byte {
	t.Helper()
	select {
	case line, ok := <-o:
		if !ok {
			t.Fatal("the program ended")
		}
		return line
	case <-time.After(patient):
		t.Fatalf("the program wrote nothing within %s", patient)
	}
	return nil
}

// question is one call of a receiver's functions.
type question struct {
	Do        string            `json:"do"` // verify, signature, gaps or seen
	Headers   map[string]string `json:"headers,omitempty"`
	Value     string            `json:"value,omitempty"`
	Body      string            `json:"body,omitempty"` // hex
	Secrets   []string          `json:"secrets,omitempty"`
	Now       int64             `json:"now,omitempty"`
	Tolerance int64             `json:"tolerance,omitempty"`
	Numbers   []uint64          `json:"numbers,omitempty"`
	IDs       []string          `json:"ids,omitempty"`
}

// The three receivers are one: asked the same thousand questions, many of them about signatures that something is
// wrong with, and the vectors of testdata/vectors, they give the same answers. testdata/receivers asks those in Node
// and in Python.
func TestReceivers_agreeWithEachOther(t *testing.T) {
	t.Parallel()
	const seed = 20240317
	random := rand.New(rand.NewPCG(seed, seed))
	var questions []question
	var want []string
	for range 1000 {
		q := ask(random)
		questions = append(questions, q)
		want = append(want, q.answer())
	}
	tally := map[string]int{}
	for i, q := range questions {
		if q.Do == "verify" || q.Do == "signature" {
			tally[want[i]]++
		}
	}
	if len(tally) != 6 { // right, missing, malformed, no match, old, early
		t.Errorf("the questions do not lead to every answer: %v", tally)
	}
	for _, v := range vectors(t) {
		if got := v.question.answer(); got != v.want {
			t.Errorf("go, vector %+v: %s, want %s", v.question, got, v.want)
		}
		questions, want = append(questions, v.question), append(want, v.want)
	}
	text, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{
		{"node", "../../../testdata/receivers/ask.mjs"}, {"python3", "../../../testdata/receivers/ask.py"},
	} {
		c := exec.CommandContext(t.Context(), command[0], command[1:]...)
		c.Stdin, c.Stderr = strings.NewReader(string(text)), os.Stderr
		out, err := c.Output()
		if err != nil {
			t.Fatalf("%s: %v", command, err)
		}
		var got []string
		if err := json.Unmarshal(out, &got); err != nil || len(got) != len(want) {
			t.Fatalf("%s: %v, %d answers\n%.300s", command, err, len(got), out)
		}
		for i := range want {
			if diff := cmp.Diff(want[i], got[i]); diff != "" {
				t.Errorf("%s, question %+v (-go +this):\n%s", command[0], questions[i], diff)
			}
		}
	}
}

// vector is a question with its answer.
type vector struct {
	question question
	want     string
}

// vectors are those of testdata/vectors: each signature against each secret alone.
func vectors(t *testing.T) (all []vector) {
	t.Helper()
	var file []struct {
		Name       string
		Secrets    []string
		Time       int64
		BodyBase64 []byte
		Headers    map[string]string
		Signature  map[string]string
		Accepts    map[string][]int
	}
	if err := json.Unmarshal([]byte(contents(t, "../../../testdata/vectors/signatures.json")), &file); err != nil {
		t.Fatal(err)
	}
	for _, f := range file {
		for form, accepted := range f.Accepts {
			for i, secret := range f.Secrets {
				q := question{Do: "verify", Headers: f.Headers, Body: hex.EncodeToString(f.BodyBase64), Secrets: []string{secret}, Now: f.Time, Tolerance: 8}
				if value, own := f.Signature[form]; own {
					q.Do, q.Headers, q.Value = "signature", nil, value
				}
				v := vector{q, shown.ErrNoMatch.Error()}
				if slices.Contains(accepted, i) {
					v.want = "right"
				}
				all = append(all, v)
			}
		}
	}
	if len(all) < 20 {
		t.Fatalf("only %d vectors", len(all))
	}
	return all
}

func ask(random *rand.Rand) question {
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	switch random.IntN(6) {
	case 0:
		q := question{Do: "gaps"}
		for range random.IntN(30) {
			q.Numbers = append(q.Numbers, 1+random.Uint64N(20))
		}
		return q
	case 1:
		q := question{Do: "seen"}
		for range random.IntN(12) {
			q.IDs = append(q.IDs, pick("a", "b", "c", "d", "e"))
		}
		return q
	}
	keys := []string{"abc", "naïve ключ", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_YWI"}
	random.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	signing := keys[:1+random.IntN(2)]
	body := make([]byte, random.IntN(50))
	for i := range body {
		body[i] = byte(random.Uint32())
	}
	at := time.Unix(1_700_000_000+random.Int64N(1000), 0)
	q := question{Do: "verify", Secrets: keys[1:][:random.IntN(3)], Now: at.Unix() + random.Int64N(21) - 10, Tolerance: 8}
	if random.IntN(4) > 0 {
		q.Secrets = append([]string{keys[0]}, q.Secrets...)
	}
	if random.IntN(2) == 0 {
		q.Do = "signature"
		q.Value, _ = resthook.Sign(pick(resthook.FormBody, resthook.FormSHA256, resthook.FormTimestamped), signing, body, at)
		q.Value = spoil(random, q.Value)
	} else {
		q.Headers = map[string]string{
			"webhook-id": "id-1", "webhook-timestamp": strconv.FormatInt(at.Unix(), 10),
			"webhook-signature": spoil(random, resthook.SignWebhook(signing, "id-1", at, body)+pick("", " v1a,AAAA", " v2,x")),
		}
		if random.IntN(10) == 0 {
			delete(q.Headers, pick("webhook-id", "webhook-timestamp", "webhook-signature"))
		}
	}
	if len(body) > 0 && random.IntN(10) == 0 {
		body[0] ^= 1
	}
	q.Body = hex.EncodeToString(body)
	return q
}

// spoil sometimes cuts a signature or changes its beginning.
func spoil(random *rand.Rand, value string) string {
	switch random.IntN(12) {
	case 0:
		return value[:random.IntN(len(value))]
	case 1:
		return "v9" + value
	}
	return value
}

func (q question) answer() string {
	body, _ := hex.DecodeString(q.Body)
	now, tolerance := time.Unix(q.Now, 0), time.Duration(q.Tolerance)*time.Second
	var err error
	switch q.Do {
	case "gaps":
		var g shown.Gaps
		for _, n := range q.Numbers {
			g.Note(n)
		}
		return fmt.Sprint(g.Last, " ", &g)
	case "seen":
		s, had := shown.NewSeen(3), ""
		for _, id := range q.IDs {
			if s.Has(id) {
				had += id
			}
			s.Add(id)
		}
		return had
	case "signature":
		err = shown.VerifySignature(q.Value, body, q.Secrets, now, tolerance)
	default:
		h := http.Header{}
		for name, value := range q.Headers {
			h.Set(name, value)
		}
		err = shown.Verify(h, body, q.Secrets, now, tolerance)
	}
	if err != nil {
		return err.Error()
	}
	return "right"
}

// Bodies and headers of other senders: they are answered, and the program goes on.
func TestReceivers_programsOutliveNonsense(t *testing.T) {
	t.Parallel()
	for _, command := range [][]string{{"node", receiversFolder + "/node/receiver.mjs"}, {"python3", receiversFolder + "/python/receiver.py"}} {
		t.Run(command[0], func(t *testing.T) {
			t.Parallel()
			lines := program(t, command, "LISTEN=127.0.0.1:0", "SECRETS=abc")
			var first struct{ Listening string }
			if err := json.Unmarshal(lines.next(t), &first); err != nil {
				t.Fatal(err)
			}
			send := func(body io.Reader, header map[string]string) int {
				q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, first.Listening, body)
				if err != nil {
					t.Fatal(err)
				}
				for name, value := range header {
					q.Header.Set(name, value)
				}
				q.Close = true // or the next could meet a connection that the program is closing
				r, err := http.DefaultClient.Do(q)
				if err != nil {
					return 0 // cut off while it sent
				}
				defer r.Body.Close()
				return r.StatusCode
			}
			for _, header := range []map[string]string{
				nil,
				{"webhook-id": "é", "webhook-timestamp": "x", "webhook-signature": "v1,*** v1, ,"},
				{"X-Fhirhook-Sequence": "-1e9", "webhook-id": "a", "webhook-timestamp": "-5", "webhook-signature": "v1," + strings.Repeat("A", 43) + "="},
			} {
				if got := send(strings.NewReader("{"), header); got != http.StatusUnauthorized {
					t.Errorf("%v: status %d, want 401", header, got)
				}
			}
			if got := send(io.LimitReader(zeros{}, 64<<20), nil); got != http.StatusBadRequest && got != http.StatusUnauthorized && got != 0 {
				t.Errorf("a body of 64 MiB: status %d", got) // refused for its size, unread for its framing, or cut off
			}
			now := time.Now()
			if got := send(strings.NewReader("{}"), map[string]string{
				"webhook-id": "a", "webhook-timestamp": strconv.FormatInt(now.Unix(), 10),
				"webhook-signature": resthook.SignWebhook([]string{"abc"}, "a", now, []byte("{}")),
			}); got != http.StatusOK {
				t.Errorf("afterwards: status %d", got)
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }
