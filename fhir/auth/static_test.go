package auth_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/auth"
)

var discard = log.New(io.Discard, "", 0)

func TestStatic(t *testing.T) {
	t.Parallel()
	secret, hash := auth.NewToken()
	over, overHash := auth.NewToken()
	const ours = "a-token-of-our-own/0123456789abcdef0123456789abcdef=="
	a := must(auth.New(auth.Config{Tokens: []auth.Token{
		{Name: "lab", Hash: hash, Tenant: "clinic", Scopes: []string{"system/Observation.rs system/Patient.r", "patient/Condition.r"}, Patient: "1"},
		{Name: "over", Hash: overHash, Admin: true, Expires: at},
		{Name: "ours", Hash: "sha256:" + strings.ToUpper(auth.HashToken(ours)[7:]), Admin: true},
	}}, auth.Options{Definitions: criteria.R4(), Now: func() time.Time { return at }}))
	if len(secret) < 50 || !strings.HasPrefix(secret, auth.TokenPrefix) || secret == over {
		t.Errorf("%q is no token", secret)
	}
	jwt := "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0."
	for _, tt := range []struct {
		name   string
		values []string
		want   auth.Reason
	}{
		{"as it should be", []string{"Bearer " + secret}, 0},
		{"in lower case", []string{"bearer " + secret}, 0},
		{"in upper case", []string{"BEARER " + secret}, 0},
		{"two blanks", []string{"Bearer  " + secret}, 0},
		{"none", nil, auth.Missing},
		{"empty", []string{""}, auth.Missing},
		{"unknown", []string{"Bearer fhk_ABCDEFGHIJKLMNOPQRSTUVWXYZ"}, auth.Unknown},
		{"made by the operator", []string{"Bearer " + ours}, 0},
		{"expired", []string{"Bearer " + over}, auth.Expired},
		{"cut", []string{"Bearer " + secret[:len(secret)-1]}, auth.Unknown},
		{"longer", []string{"Bearer " + secret + "A"}, auth.Unknown},
		{"in another case", []string{"Bearer " + strings.ToLower(secret)}, auth.Unknown},
		{"without its prefix", []string{"Bearer " + strings.TrimPrefix(secret, auth.TokenPrefix)}, auth.Unknown},
		{"padded", []string{"Bearer " + secret + "="}, auth.Unknown},
		{"a blank behind", []string{"Bearer " + secret + " "}, auth.Malformed},
		{"a tab behind", []string{"Bearer " + secret + "\t"}, auth.Malformed},
		{"a tab between", []string{"Bearer\t" + secret}, auth.Malformed},
		{"a line break behind", []string{"Bearer " + secret + "\n"}, auth.Malformed},
		{"a NUL behind", []string{"Bearer " + secret + "\x00"}, auth.Malformed},
		{"a blank in front", []string{" Bearer " + secret}, auth.Malformed},
		{"two headers", []string{"Bearer " + secret, "Bearer " + secret}, auth.Malformed},
		{"two headers, one empty", []string{"", "Bearer " + secret}, auth.Malformed},
		{"two in one header", []string{"Bearer " + secret + ", Bearer " + secret}, auth.Malformed},
		{"a token and a parameter", []string{"Bearer " + secret + ",realm=x"}, auth.Malformed},
		{"no scheme", []string{secret}, auth.Malformed},
		{"only the scheme", []string{"Bearer"}, auth.Malformed},
		{"only the scheme and a blank", []string{"Bearer "}, auth.Malformed},
		{"only padding", []string{"Bearer ==="}, auth.Malformed},
		{"Basic", []string{"Basic dXNlcjpwYXNz"}, auth.Malformed},
		{"the token as Basic", []string{"Basic " + secret}, auth.Malformed},
		{"Digest", []string{`Digest username="x"`}, auth.Malformed},
		{"the hash", []string{"Bearer " + hash[len("sha256:"):]}, auth.Unknown},
		{"the hash with its prefix", []string{"Bearer " + hash}, auth.Malformed},
		{"the name", []string{"Bearer lab"}, auth.Unknown},
		{"not ASCII", []string{"Bearer tökén"}, auth.Malformed},
		{"a JWT without issuers", []string{"Bearer " + jwt}, auth.Unknown},
		{"huge", []string{"Bearer " + strings.Repeat("a", 9000)}, auth.Malformed},
	} {
		p, err := a.Authenticate(t.Context(), tt.values...)
		var got auth.Reason
		if refusal, ok := errors.AsType[*auth.RefusedError](err); ok {
			got = refusal.Reason
			if kind := fhir.KindOf(err); kind != fhir.Unauthenticated {
				t.Errorf("%s: kind %d", tt.name, kind)
			}
			if strings.Contains(strings.ToLower(err.Error()+refusal.Challenge()), strings.ToLower(secret[4:20])) {
				t.Errorf("%s: the error holds the token", tt.name)
			}
		}
		if got != tt.want || (err == nil) != (p != nil) {
			t.Errorf("%s: %v, %v", tt.name, p, err)
		}
	}
	p := must(a.Authenticate(t.Context(), "Bearer "+secret))
	if p.Subject != "lab" || p.Issuer != auth.ConfiguredTokens || p.Tenant != "clinic" || p.Patient != "1" || p.Admin || p.Problem() != nil {
		t.Errorf("%+v", p)
	}
	if again := must(a.Authenticate(t.Context(), "Bearer "+secret)); again.Access() != p.Access() {
		t.Error("the Access is compiled at each request")
	}
}

func tokenFile(t testing.TB) auth.TokenFile {
	t.Helper()
	return auth.TokenFile{Path: filepath.Join(t.TempDir(), auth.TokenFileName)}
}

func create(t testing.TB, f auth.TokenFile, token auth.Token) string {
	t.Helper()
	secret, err := f.Create(token, criteria.R4(), at)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func TestTokenFile(t *testing.T) {
	t.Parallel()
	f := tokenFile(t)
	if tokens, err := f.List(); err != nil || len(tokens) != 0 {
		t.Errorf("%v, %v", tokens, err)
	}
	lab := create(t, f, auth.Token{Name: "lab", Tenant: "clinic", Scopes: []string{"system/Observation.rs"}, Expires: at.Add(time.Hour)})
	root := create(t, f, auth.Token{Name: "root", Admin: true, Revoked: at})
	if err := f.Revoke("lab", at.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	want := []auth.Token{
		{Name: "lab", Hash: auth.HashToken(lab), Tenant: "clinic", Scopes: []string{"system/Observation.rs"}, Expires: at.Add(time.Hour), Created: at.Truncate(time.Second), Revoked: at.Add(time.Minute).Truncate(time.Second)},
		{Name: "root", Hash: auth.HashToken(root), Admin: true, Created: at.Truncate(time.Second)},
	}
	got, err := f.List()
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	text := string(must(os.ReadFile(f.Path)))
	if strings.Contains(text, lab[4:]) || strings.Contains(text, root[4:]) {
		t.Error("the file holds a token")
	}
	if mode := must(os.Stat(f.Path)).Mode().Perm(); mode != 0o600 {
		t.Errorf("mode %o", mode)
	}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{second(f.Create(auth.Token{Name: "lab", Admin: true}, criteria.R4(), at)), "is or was"},
		{second(f.Create(auth.Token{Name: "x"}, criteria.R4(), at)), "allow nothing"},
		{second(f.Create(auth.Token{Name: "", Scopes: []string{"system/Observation.sr"}}, criteria.R4(), at)), "name: "},
		{second(f.Create(auth.Token{Name: "", Scopes: []string{"system/Observation.sr"}}, criteria.R4(), at)), ".rs"},
		{second(f.Create(auth.Token{Name: "x", Scopes: []string{"openid"}}, criteria.R4(), at)), "no effect"},
		{second(f.Create(auth.Token{Name: "x", Scopes: []string{"patient/*.rs"}}, criteria.R4(), at)), "Patient's id"},
		{second(f.Create(auth.Token{Name: "x", Scopes: []string{"system/Observation.r?colour=red"}}, criteria.R4(), at)), "colour"},
		{second(f.Create(auth.Token{Name: "x", Scopes: []string{"system/Observation.r?subject.name=red"}}, criteria.R4(), at)), "scope"},
		{second(f.Create(auth.Token{Name: "x", Admin: true, Tenant: "a/b"}, criteria.R4(), at)), "tenant"},
		{second(f.Create(auth.Token{Name: "x", Admin: true, Expires: at}, criteria.R4(), at)), "over already"},
		{f.Revoke("lab", at), "revoked at"},
		{f.Revoke("nobody", at), "no token"},
	} {
		if tt.err == nil || !strings.Contains(tt.err.Error(), tt.want) {
			t.Errorf("%v, want %q", tt.err, tt.want)
		}
	}
	if after := string(must(os.ReadFile(f.Path))); after != text {
		t.Error("what was refused changed the file")
	}
	if left := must(filepath.Glob(filepath.Join(filepath.Dir(f.Path), "*"))); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func second[T any](_ T, err error) error { return err }

// TestTokenFile_atOnce: what is created and revoked while the server runs counts from the next request on.
func TestTokenFile_atOnce(t *testing.T) {
	t.Parallel()
	f := tokenFile(t)
	first := create(t, f, auth.Token{Name: "first", Admin: true})
	a := must(auth.New(auth.Config{}, auth.Options{File: f.Path, Definitions: criteria.R4(), Now: func() time.Time { return at }}))
	if got := reason(t, a, first); got != 0 {
		t.Fatal(got)
	}
	for n := range 20 {
		name := fmt.Sprint("n", n)
		next := create(t, f, auth.Token{Name: name, Admin: true})
		if got := reason(t, a, next); got != 0 {
			t.Fatalf("%s: created, and refused for reason %d", name, got)
		}
		if err := f.Revoke(name, at); err != nil {
			t.Fatal(err)
		}
		if got := reason(t, a, next); got != auth.Unknown {
			t.Fatalf("%s: revoked, and reason %d", name, got)
		}
	}
	if p := must(a.Authenticate(t.Context(), "Bearer "+first)); p.Issuer != auth.CreatedTokens || p.Subject != "first" {
		t.Errorf("%+v", p)
	}
	// A file that is gone lets nobody in, but not everybody either.
	if err := os.Remove(f.Path); err != nil {
		t.Fatal(err)
	}
	if got := reason(t, a, first); got != auth.Unknown {
		t.Errorf("without the file: %d", got)
	}
}

// TestTokenFile_damaged: nobody is let in by a file that can't be trusted; other tokens go on.
func TestTokenFile_damaged(t *testing.T) {
	t.Parallel()
	secret, hash := auth.NewToken()
	for name, damage := range map[string]func(path string) error{
		"half a line":      func(path string) error { return os.Truncate(path, 40) },
		"an unknown field": func(path string) error { return appendTo(path, `{"name":"x","hash":"`+hash+`","only":"mondays"}`) },
		"no hash":          func(path string) error { return appendTo(path, `{"name":"x"}`) },
		"no JSON":          func(path string) error { return appendTo(path, "x") },
		"open to all":      func(path string) error { return os.Chmod(path, 0o666) },
		"a folder":         func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := tokenFile(t)
			good := create(t, f, auth.Token{Name: "good", Admin: true})
			o := auth.Options{File: f.Path, Definitions: criteria.R4(), Now: func() time.Time { return at }}
			a := must(auth.New(auth.Config{Tokens: []auth.Token{{Name: "c", Hash: hash, Admin: true}}}, o))
			if got := reason(t, a, good); got != 0 {
				t.Fatal(got)
			}
			if err := damage(f.Path); err != nil {
				t.Fatal(err)
			}
			if got := reason(t, a, good); got != auth.KeysUnavailable {
				t.Errorf("reason %d", got)
			}
			if got := reason(t, a, secret); got != 0 {
				t.Errorf("of the configuration: reason %d", got)
			}
			if _, err := auth.New(auth.Config{}, o); err == nil {
				t.Error("a server starts with it")
			}
			if err := f.Revoke("good", at); name != "open to all" && err == nil {
				t.Error("it is written over")
			}
		})
	}
}

func appendTo(path, line string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, line+"\n"...), 0o600)
}

// TestTokenFile_changesExcludeEachOther: of many that create at once each either has its token in the file or is
// told.
func TestTokenFile_changesExcludeEachOther(t *testing.T) {
	t.Parallel()
	f := tokenFile(t)
	var mu sync.Mutex
	made := map[string]bool{}
	var all sync.WaitGroup
	for n := range 16 {
		all.Go(func() {
			name := fmt.Sprint("n", n)
			if _, err := f.Create(auth.Token{Name: name, Admin: true}, criteria.R4(), at); err == nil {
				mu.Lock()
				made[name] = true
				mu.Unlock()
			} else if !strings.Contains(err.Error(), "another command") {
				t.Error(err)
			}
		})
	}
	all.Wait()
	tokens := must(f.List())
	if len(tokens) != len(made) || len(made) == 0 {
		t.Errorf("%d tokens are there, %d were made", len(tokens), len(made))
	}
	for _, token := range tokens {
		if !made[token.Name] {
			t.Errorf("%s is there, and its maker was told that it isn't", token.Name)
		}
	}
}

// TestNew_withoutAuthentication: it is off only if nothing ever turned it on.
func TestNew_withoutAuthentication(t *testing.T) {
	t.Parallel()
	f := tokenFile(t)
	o := auth.Options{File: f.Path, Definitions: criteria.R4()}
	off := must(auth.New(auth.Config{}, o))
	if off != nil {
		t.Fatal("on")
	}
	p, err := off.Authenticate(t.Context(), "Basic whatever")
	if err != nil || !p.Open() || p.Access() != nil || p.Tenant != fhir.DefaultTenant || p.Admin {
		t.Errorf("%+v, %v", p, err)
	}
	if p.In("other") != nil {
		t.Error("nobody in particular changes the tenant")
	}
	create(t, f, auth.Token{Name: "only", Admin: true})
	if err := f.Revoke("only", at); err != nil {
		t.Fatal(err)
	}
	on := must(auth.New(auth.Config{}, o))
	if _, err := on.Authenticate(t.Context()); on == nil || err == nil {
		t.Error("the last revocation opens the server")
	}
}

func BenchmarkAuthenticate_static(b *testing.B) {
	f := tokenFile(b)
	header := "Bearer " + create(b, f, auth.Token{Name: "x", Scopes: []string{"system/*.cruds"}})
	a := must(auth.New(auth.Config{}, auth.Options{File: f.Path, Definitions: criteria.R4()}))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Authenticate(b.Context(), header); err != nil {
			b.Fatal(err)
		}
	}
}

// TestAuthenticate_letsNobodyIntoATenantThatIsNotNamed: a token belongs to one tenant, and where the tenants are named, to one
// of those; one that names none is of the default tenant, and of no other.
func TestAuthenticate_letsNobodyIntoATenantThatIsNotNamed(t *testing.T) {
	t.Parallel()
	f := tokenFile(t)
	secrets := map[string]string{}
	for name, token := range map[string]auth.Token{
		"a": {Tenant: "a"}, "b": {Tenant: "b"}, "unnamed": {}, "empty": {Tenant: ""}, "root": {Admin: true}, "root-a": {Admin: true, Tenant: "a"},
	} {
		token.Name, token.Scopes = name, []string{"system/*.cruds"}
		secrets[name] = create(t, f, token)
	}
	named := must(auth.New(auth.Config{Tenants: map[string]auth.Quota{"a": {}}}, auth.Options{File: f.Path, Definitions: criteria.R4()}))
	all := must(auth.New(auth.Config{}, auth.Options{File: f.Path, Definitions: criteria.R4()}))
	for _, tt := range []struct {
		who           string
		in            bool     // let in where tenants are named
		named, unheld []string // the tenants that it acts in, then and where none are named
	}{
		{"a", true, []string{"a"}, []string{"a"}},
		{"b", false, nil, []string{"b"}},
		{"unnamed", false, nil, []string{"default"}},
		{"empty", false, nil, []string{"default"}},
		{"root", true, []string{"a"}, []string{"a", "b", "default", "zz"}},
		{"root-a", true, []string{"a"}, []string{"a", "b", "default", "zz"}},
	} {
		acts := func(p *auth.Principal) (in []string) {
			for _, tenant := range []string{"", "a", "b", "default", "zz", "*", "a/b"} {
				there := p.In(tenant)
				if there == nil {
					continue
				}
				in = append(in, tenant)
				if there.Tenant != tenant || !there.Access().Sees(&fhir.Resource{Key: fhir.Key{Tenant: tenant, Type: "Patient", ID: "1"}}, criteria.Env{}) {
					t.Errorf("%s in %s is %+v", tt.who, tenant, there)
				}
			}
			return in
		}
		p, err := named.Authenticate(t.Context(), "Bearer "+secrets[tt.who])
		if (err == nil) != tt.in {
			t.Errorf("%s: %v", tt.who, err)
		}
		if diff := cmp.Diff(tt.named, acts(p)); diff != "" {
			t.Errorf("%s, tenants named: %s", tt.who, diff)
		}
		if diff := cmp.Diff(tt.unheld, acts(must(all.Authenticate(t.Context(), "Bearer "+secrets[tt.who])))); diff != "" {
			t.Errorf("%s, no tenants named: %s", tt.who, diff)
		}
	}
}
