package expression

import (
	"fmt"
	"strings"

	"github.com/antlr4-go/antlr/v4"
	"github.com/gofhir/fhirpath/parser/grammar"
)

// Bounds of an expression.
const (
	mostText    = 4096
	mostNesting = 32
	// mostGrowth is how many concatenations and products may stand inside the arguments of functions. There
	// $this can be used twice, so that each of them may double what it is applied to.
	mostGrowth = 4
	maxDepth   = 64 // of descendants(): no resource that is accepted is deeper
)

// variables are the environment variables that can be used. It is read-only.
var variables = map[string]bool{"current": true, "previous": true, "resource": true, "rootResource": true, "context": true}

// complaints collects the parser's errors.
type complaints struct {
	*antlr.DefaultErrorListener
	first string
}

// SyntaxError implements antlr.ErrorListener.
func (c *complaints) SyntaxError(_ antlr.Recognizer, _ any, line, column int, text string, _ antlr.RecognitionException) {
	if c.first == "" {
		c.first = fmt.Sprintf("line %d, column %d: %s", line, column+1, text)
	}
}

func parse(text string) (*grammar.EntireExpressionContext, error) {
	if len(text) > mostText {
		return nil, fmt.Errorf("the expression has %d bytes, and may have %d", len(text), mostText)
	}
	if err := checkNesting(text); err != nil {
		return nil, err // before the parser, which would be slow with it
	}
	trouble := &complaints{DefaultErrorListener: antlr.NewDefaultErrorListener()}
	lexer := grammar.NewfhirpathLexer(antlr.NewInputStream(text))
	lexer.RemoveErrorListeners()
	lexer.AddErrorListener(trouble)
	parser := grammar.NewfhirpathParser(antlr.NewCommonTokenStream(lexer, antlr.TokenDefaultChannel))
	parser.RemoveErrorListeners()
	parser.AddErrorListener(trouble)
	tree, ok := parser.EntireExpression().(*grammar.EntireExpressionContext)
	switch {
	case trouble.first != "":
		return nil, fmt.Errorf("not a FHIRPath expression: %.200s", trouble.first)
	case !ok:
		return nil, fmt.Errorf("not a FHIRPath expression")
	}
	r := &review{}
	if err := r.walk(tree, 0); err != nil {
		return nil, err
	}
	return tree, nil
}

// checkNesting counts brackets outside of texts.
func checkNesting(text string) error {
	depth, quote := 0, byte(0)
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quote != 0 && c == '\\':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '`' || c == '"':
			quote = c
		case c == '(' || c == '[' || c == '{':
			if depth++; depth > mostNesting {
				return fmt.Errorf("the expression has more than %d brackets inside each other", mostNesting)
			}
		case c == ')' || c == ']' || c == '}':
			depth--
		}
	}
	return nil
}

// review looks for what can't be evaluated, or not within bounds.
type review struct{ growth int }

// walk goes through a tree; inside is how many arguments of functions it is inside of.
func (r *review) walk(tree antlr.Tree, inside int) error {
	switch n := tree.(type) {
	case *grammar.FunctionContext:
		if err := checkFunction(n); err != nil {
			return err
		}
		inside++
	case *grammar.ExternalConstantContext:
		if name := strings.Trim(strings.TrimPrefix(n.GetText(), "%"), "`'"); !variables[name] {
			return fmt.Errorf("%.50s is not known here: there are %%current, %%previous and %%resource", n.GetText())
		}
	case *grammar.AdditiveExpressionContext, *grammar.MultiplicativeExpressionContext:
		if inside > 0 {
			r.growth++
		}
	}
	if r.growth > mostGrowth {
		return fmt.Errorf("it would be too costly: the arguments of functions hold more than %d sums, products and concatenations", mostGrowth)
	}
	for _, child := range tree.GetChildren() {
		if err := r.walk(child, inside); err != nil {
			return err
		}
	}
	return nil
}

func checkFunction(n *grammar.FunctionContext) error {
	name := strings.Trim(n.Identifier().GetText(), "`")
	if reason := refused[name]; reason != "" {
		return fmt.Errorf("the function %s is not supported here: %s", name, reason)
	}
	f, ok := functions[name]
	if !ok {
		return fmt.Errorf("there is no function %.50s", name)
	}
	given := 0
	if list := n.ParamList(); list != nil {
		given = len(list.AllExpression())
	}
	switch {
	case given < f.MinArgs:
		return fmt.Errorf("the function %s takes at least %d arguments, and here it has %d", name, f.MinArgs, given)
	case f.MaxArgs >= 0 && given > f.MaxArgs:
		return fmt.Errorf("the function %s takes at most %d arguments, and here it has %d", name, f.MaxArgs, given)
	}
	return nil
}
