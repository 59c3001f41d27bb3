package resthook

import (
	_ "embed"
	"fmt"
	"slices"
	"sync"
)

// Default is the dialect of a server whose operator names none.
const Default = "kit"

//go:embed dialects.yaml
var builtinText []byte

// builtin is read once. A mistake in the embedded file is one of ours, and no test gets past it.
var builtin = sync.OnceValue(func() []Dialect {
	ds, err := ParseDialects(builtinText)
	if err != nil {
		panic(fmt.Errorf("dialects.yaml: %w", err))
	}
	return ds
})

// Dialects returns the built-in dialects, the default first.
func Dialects() []Dialect { return slices.Clone(builtin()) }

// Lookup returns the built-in dialect of a name.
func Lookup(name string) (Dialect, bool) { return Find(builtin(), name) }

// Find returns the dialect of a name out of some.
func Find(ds []Dialect, name string) (Dialect, bool) {
	for i := range ds {
		if ds[i].Name == name {
			return ds[i], true
		}
	}
	return Dialect{}, false
}
