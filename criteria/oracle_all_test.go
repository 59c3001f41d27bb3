//go:build all

package criteria

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofhir/fhirpath"
	"github.com/gofhir/fhirpath/types"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

const packageFolder = "../.cache/r4/package"

// largest bounds the examples: the interpreter reads a document anew for each of its expressions.
const largest = 256 << 10

// TestLeaves_agreeWithAnInterpreter evaluates every expression of HL7's package, those of extensions
// included and as the package has them, on every example resource, and compares what the compiled paths
// select with what an independent FHIRPath interpreter does.
func TestLeaves_agreeWithAnInterpreter(t *testing.T) {
	params := packageParams(t)
	files := packageFiles(t)
	many := beyond(files, 60)
	var total tally
	var mutex sync.Mutex
	work := make(chan string) // unbuffered; closed below when all files are given out
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for file := range work {
				got := compareFile(t, file, params, !many[file])
				mutex.Lock()
				total.add(got)
				mutex.Unlock()
			}
		})
	}
	for _, file := range files {
		work <- file
	}
	close(work)
	wait.Wait()
	t.Logf("%d resources, %d pairs of resource and parameter, %d with values (of %d parameters), %d values; %d differ only in how a zone is written",
		total.resources, total.pairs, total.full, len(total.params), total.values, total.zones)
	if total.resources < 4000 || total.full < 30_000 || len(total.params) < 1000 {
		t.Error("too little was compared: the package is not whole")
	}
}

type tally struct {
	resources, pairs, full, values, zones int

	params map[string]bool
}

func (y *tally) add(o tally) {
	y.resources += o.resources
	y.pairs += o.pairs
	y.full += o.full
	y.values += o.values
	y.zones += o.zones
	if y.params == nil {
		y.params = map[string]bool{}
	}
	for url := range o.params {
		y.params[url] = true
	}
}

// beyond marks the files that come after the first n of their resource type. For thousands of code
// systems and the like the interpreter is spared those parts of unions that are about other types.
func beyond(files []string, n int) map[string]bool {
	seen, marked := map[string]int{}, map[string]bool{}
	for _, file := range files {
		typ, _, _ := strings.Cut(filepath.Base(file), "-")
		if seen[typ]++; seen[typ] > n {
			marked[file] = true
		}
	}
	return marked
}

// oracleParam is a parameter and the interpreter's forms of its expression: as HL7 wrote it, and without
// the parts that are about other types.
type oracleParam struct {
	param      *Param
	whole, own *fhirpath.Expression
	components []*fhirpath.Expression
}

func packageFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(packageFolder, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 5000 {
		t.Fatalf("%s holds %d of HL7's examples: run `make all-test`, which fetches them", packageFolder, len(files))
	}
	return files
}

func packageParams(t *testing.T) map[fhir.Type][]oracleParam {
	t.Helper()
	packageFiles(t)
	files, err := filepath.Glob(filepath.Join(packageFolder, "SearchParameter-*.json"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[fhir.Type][]oracleParam{}
	for _, file := range files {
		var sp struct {
			URL, Code, Type, Expression string
			Base                        []fhir.Type
			Component                   []struct{ Definition, Expression string }
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &sp); err != nil {
			t.Fatal(err)
		}
		if sp.Expression == "" || sp.URL == parameterURL("example-extension") { // whose base is not its expression's
			continue
		}
		kind, _ := ParseKind(sp.Type)
		whole, err := fhirpath.Compile(sp.Expression)
		if err != nil {
			t.Fatal(err)
		}
		for _, base := range sp.Base {
			for _, typ := range concrete(base) {
				o := oracleParam{whole: whole}
				if p, ok := R4().byURL[typ][sp.URL]; ok {
					o.param = p
				} else if o.param, err = R4().Compile(typ, Definition{URL: sp.URL, Code: sp.Code, Kind: kind, Expression: sp.Expression}); err != nil {
					t.Errorf("%s: %v", sp.URL, err)
					continue
				}
				o.own = fhirpath.MustCompile(o.param.Expression)
				for _, c := range o.param.Components {
					o.components = append(o.components, fhirpath.MustCompile(strings.ReplaceAll(c.Expression, "DateTime", "dateTime")))
				}
				out[typ] = append(out[typ], o)
			}
		}
	}
	return out
}

func compareFile(t *testing.T, file string, params map[fhir.Type][]oracleParam, whole bool) tally {
	got := tally{params: map[string]bool{}}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
		return got
	}
	if len(b) > largest {
		return got
	}
	doc, err := tape.Parse(b, 0)
	if err != nil {
		t.Errorf("%s: %v", file, err)
		return got
	}
	typ := fhir.Type(doc.Root().Get("resourceType").Text())
	if !typ.Known() {
		return got
	}
	got.resources++
	resolver := &shapes{root: doc.Root()}
	for _, o := range params[typ] {
		got.pairs++
		expr := o.own
		if whole {
			expr = o.whole
		}
		want, err := expr.EvaluateWithOptions(doc.Bytes(), fhirpath.WithResolver(resolver), fhirpath.WithTimeout(time.Minute))
		if err != nil {
			t.Errorf("%s %s: interpreter: %v", filepath.Base(file), o.param.Code, err)
			continue
		}
		var leaves []Leaf
		for l := range o.param.Leaves(doc.Root()) {
			leaves = append(leaves, l)
		}
		if len(leaves) > 0 {
			got.full++
			got.values += len(leaves)
			got.params[o.param.URL] = true
		}
		got.compare(t, filepath.Base(file)+" "+o.param.Code, leaves, want)
		for i, c := range o.param.Components {
			for _, focus := range leaves {
				got.component(t, fmt.Sprintf("%s %s, component %d", filepath.Base(file), o.param.Code, i+1), c, focus.Node, doc.Root(), o.components[i])
			}
		}
	}
	return got
}

func (y *tally) component(t *testing.T, name string, c Component, focus, root tape.Node, expr *fhirpath.Expression) {
	context := focus.Raw()
	if strings.Contains(c.Expression, "%resource") {
		expr, context = fhirpath.MustCompile(strings.ReplaceAll(c.Expression, "%resource.", "")), root.Raw()
	}
	want, err := expr.EvaluateWithOptions(context)
	if err != nil {
		t.Errorf("%s: interpreter: %v", name, err)
		return
	}
	y.compare(t, name, slices.Collect(c.Leaves(focus, root)), want)
}

func (y *tally) compare(t *testing.T, name string, leaves []Leaf, want types.Collection) {
	var mine, theirs []string
	for _, l := range leaves {
		if l.Computed != "" {
			mine = append(mine, l.Computed)
			continue
		}
		mine = append(mine, canonical(l.Node.Raw()))
	}
	for _, v := range want {
		theirs = append(theirs, interpreted(v))
	}
	mine, theirs = set(mine), set(theirs)
	if slices.Equal(mine, theirs) {
		return
	}
	if slices.Equal(set(zulu(mine)), set(zulu(theirs))) {
		y.zones++
		return
	}
	t.Errorf("%s:\n  paths       %s\n  interpreter %s", name, mine, theirs)
}

// set sorts and drops repetitions: FHIRPath's union does so, and for searching they mean nothing.
func set(values []string) []string {
	slices.Sort(values)
	return slices.Compact(values)
}

func zulu(values []string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = strings.NewReplacer(`+00:00"`, `Z"`, `-00:00"`, `Z"`).Replace(v)
	}
	return out
}

// canonical sorts members, for the interpreter may have rebuilt an object; numbers keep their digits.
func canonical(raw []byte) string {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return string(raw)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return string(raw)
	}
	return string(b)
}

func interpreted(v types.Value) string {
	switch v := v.(type) {
	case *types.ObjectValue:
		return canonical(v.Data())
	case types.Boolean, types.Integer, types.Decimal:
		return v.String()
	default:
		b, _ := json.Marshal(v.String())
		return string(b)
	}
}

// shapes resolves a reference to an empty resource of the type that its address tells. It is written
// apart from what it checks (targetIs).
type shapes struct{ root tape.Node }

func (s *shapes) Resolve(_ context.Context, reference string) ([]byte, error) {
	if id, ok := strings.CutPrefix(reference, "#"); ok {
		for c := range s.root.Get("contained").Elements() {
			if c.Get("id").Text() == id {
				return c.Raw(), nil
			}
		}
		return nil, nil
	}
	reference, _, _ = strings.Cut(reference, "/_history/")
	parts := strings.Split(reference, "/")
	n := len(parts)
	if n < 2 || n > 2 && parts[0] != "http:" && parts[0] != "https:" || !fhir.Type(parts[n-2]).Known() {
		return nil, fmt.Errorf("%s does not tell its type", reference)
	}
	return fmt.Appendf(nil, `{"resourceType":%q,"id":%q}`, parts[n-2], parts[n-1]), nil
}
