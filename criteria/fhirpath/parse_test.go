package fhirpath

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// show writes a tree with all its parentheses.
func show(e *Expr) string {
	if e == nil {
		return ""
	}
	args := make([]string, len(e.Args))
	for i, a := range e.Args {
		args[i] = show(a)
	}
	prefix := ""
	if e.Left != nil {
		prefix = show(e.Left) + "."
	}
	switch e.Op {
	case Member:
		return prefix + e.Name
	case Call:
		return prefix + e.Name + "(" + strings.Join(args, ",") + ")"
	case Index:
		return fmt.Sprintf("%s[%d]", show(e.Left), e.Number)
	case Is:
		return "(" + show(e.Left) + " is " + e.Name + ")"
	case As:
		return "(" + show(e.Left) + " as " + e.Name + ")"
	case This:
		return "$this"
	case Resource:
		return "%resource"
	case Text:
		return fmt.Sprintf("%q", e.Name)
	case Number:
		return fmt.Sprint(e.Number)
	case Bool:
		return e.Name
	default:
		sign := map[Op]string{Union: "|", Equal: "=", NotEqual: "!=", And: "and", Or: "or"}[e.Op]
		return "(" + show(e.Left) + " " + sign + " " + show(e.Right) + ")"
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	tests := []struct{ src, want string }{
		{"Patient.name", "Patient.name"},
		{" a . b [ 0 ] ", "a.b[0]"},
		{"a | b | c", "((a | b) | c)"},
		{"a as X | b as Y", "((a as X) | (b as Y))"},
		{"a.as(X).b", "(a as X).b"},
		{"a.ofType(FHIR.X)", "(a as X)"},
		{"ofType(X)", "($this as X)"},
		{"a.is(X) and b or c and d", "(((a is X) and b) or (c and d))"},
		{"a = 'x' and b != true", `((a = "x") and (b != true))`},
		{"a | b = 'x'", `((a | b) = "x")`},
		{"resolve() is Patient", "(resolve() is Patient)"},
		{"a.where(b='c').d", `a.where((b = "c")).d`},
		{"%resource.a", "%resource.a"},
		{"$this", "$this"},
		{"a.iif(b, c)", "a.iif(b,c)"},
		{"`as`.is.and", "as.is.and"},
		{`'it\'s \\ \n'`, `"it's \\ \n"`},
		{"(a | b).c", "(a | b).c"},
	}
	for _, tt := range tests {
		e, err := Parse(tt.src)
		if err != nil {
			t.Errorf("%s: %v", tt.src, err)
			continue
		}
		if got := show(e); got != tt.want {
			t.Errorf("%s is read as %s, want %s", tt.src, got, tt.want)
		}
	}
}

func TestParse_refuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		src    string
		column int
		reason string
	}{
		{"", 1, "expected a name, not the end"},
		{"a.", 3, "expected a name"},
		{"a..b", 3, "expected a name"},
		{"a[b]", 3, "an index is a whole number"},
		{"a[1", 4, "expected ]"},
		{"a[9999999999]", 3, "too large"},
		{"a.b(", 5, "expected a name"},
		{"a.b(c", 6, "expected ,"},
		{"a b", 3, "expected an operator"},
		{"a = ", 5, "expected a name"},
		{"'x", 1, "closing '"},
		{`'x\`, 1, "closing '"},
		{`'\q'`, 2, `escape \q`},
		{"a ~ b", 3, "'~' is not supported"},
		{"a = 1.5", 5, "decimal numbers"},
		{"$total", 1, "only $this"},
		{"%context", 1, "only %resource"},
		{"a as 3", 6, "expected a name"},
		{strings.Repeat("a.b(", 100), 4*64 + 4, "nested too deeply"},
		{strings.Repeat("(", 100), 65, "nested too deeply"},
		{strings.Repeat("a", 20_000), 16385, "longer than"},
		{"ä", 1, "'ä' is not supported"},
	}
	for _, tt := range tests {
		e, err := Parse(tt.src)
		syntax, ok := errors.AsType[*SyntaxError](err)
		if !ok {
			t.Errorf("%.40s is read as %v (%v)", tt.src, show(e), err)
			continue
		}
		if syntax.Column != tt.column || !strings.Contains(syntax.Reason, tt.reason) {
			t.Errorf("%.40s: %v, want column %d: %s", tt.src, err, tt.column, tt.reason)
		}
	}
}

// TestExpr_spans: the parts of a union can be cut out of the text.
func TestExpr_spans(t *testing.T) {
	t.Parallel()
	const src = "A.x | (B.y as Z) | C.where( d = 'e' ).f[2] |g.as(H)"
	e, err := Parse(src)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range e.Parts() {
		got = append(got, src[p.Start:p.End])
	}
	if want := "A.x;(B.y as Z);C.where( d = 'e' ).f[2];g.as(H)"; strings.Join(got, ";") != want {
		t.Errorf("parts are %q", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("Patient.deceased.exists() and Patient.deceased != false")
	f.Add("(a.b[0] as X) | %resource.`c`.where($this = 'd\\'' or e is F)")
	f.Fuzz(func(t *testing.T, src string) {
		e, err := Parse(src)
		if err != nil {
			return
		}
		for _, p := range e.Parts() {
			again, err := Parse(src[p.Start:p.End])
			if err != nil || show(again) != show(p) {
				t.Fatalf("the part %q of %q is not an expression of its own: %v", src[p.Start:p.End], src, err)
			}
		}
	})
}
