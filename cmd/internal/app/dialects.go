package app

import (
	"slices"
	"strings"

	"fhirhook/channel/resthook"
	"fhirhook/subscription"
)

// allDialects are all that the server knows: the built-in ones, then the operator's own. What admits
// Subscriptions, what delivers and what sends see the same.
func (o Options) allDialects() []resthook.Dialect {
	return slices.Concat(resthook.Dialects(), o.Dialects)
}

// lookup is for the channel, which asks at each attempt.
func (o Options) lookup() func(name string) (resthook.Dialect, bool) {
	all := o.allDialects()
	return func(name string) (resthook.Dialect, bool) { return resthook.Find(all, name) }
}

// readDialects reads the rules of all dialects, and notes every problem of every one.
func (o Options) readDialects(p *problems) *subscription.DialectTable {
	all, standard := o.allDialects(), o.Dialect
	if _, ok := resthook.Find(all, standard); !ok {
		var names []string
		for _, d := range all {
			names = append(names, d.Name)
		}
		p.add("--dialect %s: there is no such dialect: one of %s", standard, strings.Join(names, ", "))
		standard = resthook.Default
	}
	table, err := subscription.NewDialectTable(standard, all...)
	if err != nil {
		*p = append(*p, err)
	}
	return table
}

// CheckDialects names every problem of an operator's own dialects with an ErrConfiguration.
func CheckDialects(own []resthook.Dialect) error {
	var p problems
	Options{Dialect: resthook.Default, Dialects: own}.readDialects(&p)
	return p.err()
}
