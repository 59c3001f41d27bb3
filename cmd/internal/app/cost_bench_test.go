package app

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"fhirhook/fhir/auth"
	"fhirhook/fhir/rest"
)

// BenchmarkCost writes Observations through whole servers that differ in one thing, in turn, and reports the median ratio
// of the CPU time of neighbouring slices: of the process, with the index and the matcher at the end of the log. The servers
// are called without a network, so that what HTTP costs hides nothing. `go test -run '^$' -bench Cost ./cmd/internal/app`
// prints it.
func BenchmarkCost(b *testing.B) {
	issuer := newBenchIssuer(b)
	arms := []*arm{
		{name: "open"},
		{name: "token÷open", token: issuer.token(b, "system/Observation.cruds"), options: issuer.trusted},
		{name: "restricted÷open", token: issuer.token(b, "system/Observation.cruds?status=final"), options: issuer.trusted},
		{name: "audited÷open", options: func(o *Options) { o.Audit = auditAll }},
		{name: "sealed÷open", options: func(o *Options) { o.EncryptResources = true }},
		{name: "bounded÷open", options: func(o *Options) {
			o.Auth.Quota = auth.Quota{Resources: 1 << 40, StorageBytes: 1 << 50, Requests: 1 << 40}
		}},
	}
	for _, a := range arms {
		a.start(b)
		a.slice(b) // keys, caches, and files that grow
	}
	ratios := map[*arm][]float64{}
	var open []time.Duration
	for b.Loop() {
		for _, a := range arms[1:] {
			before := arms[0].slice(b)
			open = append(open, before)
			mine := a.slice(b)
			ratios[a] = append(ratios[a], 2*float64(mine)/float64(before+arms[0].slice(b)))
		}
	}
	slices.Sort(open)
	b.ReportMetric(float64(open[len(open)/2].Microseconds())/(writers*writes), "open-CPU-µs/write")
	for _, a := range arms[1:] {
		slices.Sort(ratios[a])
		b.ReportMetric(ratios[a][len(ratios[a])/2], a.name)
	}
}

// arm is a server, and what is sent to it.
type arm struct {
	name    string
	token   string
	options func(*Options)

	server *Server
	number int
}

func (a *arm) start(b *testing.B) {
	b.Helper()
	o := Options{
		Listen: "127.0.0.1:0", Data: b.TempDir(), Dev: true, Dialect: "kit", ErrorAfter: "10,1h", OffAfter: 72 * time.Hour,
		MaxBody: 8 << 20, MaxBundle: 64 << 20, Drain: time.Second, Auditing: Auditing{Audit: auditOff},
	}
	if a.options != nil {
		a.options(&o)
	}
	var err error
	if a.server, err = New(b.Context(), o); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.server.Run(ctx) }() // stops at the end of the benchmark
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
}

// What is written in a slice.
const writers, writes = 16, 60

// slice writes some Observations from some writers, and returns the CPU time that it took.
func (a *arm) slice(b *testing.B) time.Duration {
	began := spent(b)
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range writes {
				id := fmt.Sprintf("o%d-%d-%d", a.number, w, i)
				r := httptest.NewRequestWithContext(b.Context(), http.MethodPut, rest.Prefix+"/Observation/"+id, strings.NewReader(observation(id)))
				r.Header.Set("Content-Type", rest.FHIRJSON)
				if a.token != "" {
					r.Header.Set("Authorization", "Bearer "+a.token)
				}
				answer := httptest.NewRecorder()
				a.server.handler.ServeHTTP(answer, r)
				if answer.Code != http.StatusCreated {
					b.Errorf("%s: %d %s", a.name, answer.Code, answer.Body)
					return
				}
			}
		})
	}
	all.Wait()
	a.number++
	for !a.settled(b) {
		time.Sleep(time.Millisecond)
	}
	return spent(b) - began
}

// settled tells whether those who follow the log have come to its end.
func (a *arm) settled(b *testing.B) bool {
	b.Helper()
	last, err := a.server.last(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return min(a.server.matcher.Place(), a.server.index.Place()) >= last
}

// spent is the CPU time of the process so far.
func spent(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// observation is one of some 1,100 bytes.
func observation(id string) string {
	return `{"resourceType":"Observation","id":"` + id + `","status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory","display":"Laboratory"}]}],` +
		`"code":{"coding":[{"system":"http://loinc.org","code":"718-7","display":"Hemoglobin [Mass/volume] in Blood"}],"text":"Hemoglobin"},"subject":{"reference":"Patient/p1","display":"Ada Example"},` +
		`"encounter":{"reference":"Encounter/e1"},"effectiveDateTime":"2026-05-04T10:00:00Z","issued":"2026-05-04T11:30:00.000Z","performer":[{"reference":"Organization/lab","display":"Example Laboratory"}],` +
		`"valueQuantity":{"value":13.2,"unit":"g/dL","system":"http://unitsofmeasure.org","code":"g/dL"},"interpretation":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation","code":"N","display":"Normal"}]}],` +
		`"note":[{"text":"measured twice, the second value is reported"}],"referenceRange":[{"low":{"value":12.0,"unit":"g/dL"},"high":{"value":15.5,"unit":"g/dL"},"text":"12.0 to 15.5 g/dL"}]}`
}

// benchIssuer is an OIDC issuer on loopback.
type benchIssuer struct {
	*httptest.Server
	key *ecdsa.PrivateKey
}

func newBenchIssuer(b *testing.B) *benchIssuer {
	b.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	i := &benchIssuer{key: key}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/keys" {
			_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Use: "sig"}}})
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": i.URL, "jwks_uri": i.URL + "/keys"})
	}))
	b.Cleanup(i.Close)
	return i
}

func (i *benchIssuer) trusted(o *Options) {
	o.Auth.Issuers = []auth.Issuer{{URL: i.URL, Audience: []string{"bench"}}}
}

func (i *benchIssuer) token(b *testing.B, scope string) string {
	b.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: i.key}, (&jose.SignerOptions{}).WithHeader("kid", "k").WithType("JWT"))
	if err != nil {
		b.Fatal(err)
	}
	claims, err := json.Marshal(map[string]any{"iss": i.URL, "sub": "lab", "aud": "bench", "scope": scope, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()})
	if err != nil {
		b.Fatal(err)
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		b.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		b.Fatal(err)
	}
	return token
}
