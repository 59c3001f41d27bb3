package app

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirhook/subscription"
)

func startingOptions(t *testing.T) Options {
	return Options{
		Listen: "127.0.0.1:0", Data: t.TempDir(), Dialect: "kit", ErrorAfter: "10,1h", OffAfter: time.Hour,
		MaxBody: 1 << 20, MaxBundle: 1 << 20, Drain: time.Second, Inbound: Inbound{AdminListen: "127.0.0.1:0"},
	}
}

// answered is what a GET tells, as far as it matters here.
type answered struct {
	Status int
	After  string // Retry-After
	Text   string
}

func get(t *testing.T, url string) answered {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answered{response.StatusCode, response.Header.Get("Retry-After"), strings.TrimSpace(string(text))}
}

func TestServer_answersWhileItOpensItsStore(t *testing.T) {
	o := startingOptions(t)
	set, _, err := o.prepare()
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{lost: make(chan error, 2)}
	if err := s.listen(t.Context(), o, set); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	base, admin := "http://"+s.Addr(), "http://"+s.AdminAddr()
	const refused = "the server is starting, and is opening its store: repeat the request"
	want := map[string]answered{
		base + "/healthz":          {200, "", "ok"},
		admin + "/healthz":         {200, "", "ok"},
		base + "/readyz":           {503, "", openingText},
		admin + "/readyz":          {503, "", openingText},
		admin + "/metrics":         {503, "", openingText},
		base + "/fhir/R4/metadata": {503, "1", `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"transient","details":{"text":"` + refused + `"},"diagnostics":"` + refused + `"}]}`},
	}
	got := map[string]answered{}
	for url := range want {
		got[url] = get(t, url)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-want +got)\n" + diff)
	}
	s.front.lead(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "the whole") }))
	if got := get(t, base+"/fhir/R4/metadata"); got.Text != "the whole" {
		t.Errorf("%+v", got)
	}
}

func TestServer_isReadyOnceItHasReadItsSubscriptions(t *testing.T) {
	o := startingOptions(t)
	ready := make(chan struct{})
	o.Ready = func() { close(ready) }
	s, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + s.Addr()
	if got := get(t, base+"/readyz"); got.Status != 503 || got.Text != "starting: reading Subscriptions: 0" {
		t.Errorf("before Run: %+v", got)
	}
	if got := get(t, base+"/fhir/R4/metadata"); got.Status != 200 {
		t.Errorf("before Run, and the store is open: %+v", got)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }() // stops below
	<-ready
	if got := get(t, base+"/readyz"); got.Status != 200 || got.Text != "ready, matching is 0 changes behind" {
		t.Errorf("once it is ready: %+v", got)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestLoadingText(t *testing.T) {
	for want, l := range map[string]subscription.Loading{
		"starting: reading Subscriptions: 40,960 of 100,000":   {Read: 40_960, Of: 100_000},
		"starting: reading Subscriptions: 0 of 999":            {Of: 999},
		"starting: reading Subscriptions: 1,234,567":           {Read: 1_234_567},
		"starting: reading Subscriptions: 12,345 of 1,000,000": {Read: 12_345, Of: 1_000_000},
	} {
		if got := loadingText(l); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
