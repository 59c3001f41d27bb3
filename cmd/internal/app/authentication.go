package app

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"fhirhook/criteria"
	"fhirhook/fhir/auth"
)

// readAuthentication checks who may call. A server that was told to ask who calls, and would not, must not start.
func (o Options) readAuthentication(defs *criteria.Definitions, wrong *problems) {
	if err := o.Auth.Check(defs, o.Dev); err != nil {
		wrong.add("%w", err)
	}
	if o.offline {
		return // nobody calls
	}
	file := filepath.Join(o.Data, auth.TokenFileName)
	_, err := os.Stat(file)
	switch {
	case !o.Auth.Empty():
		wrong.add("the configuration says who may call (auth), and this version does not enforce that yet: leave it out, and listen on loopback behind a proxy that authenticates")
	case err == nil:
		wrong.add("%s says who may call, and this version does not enforce that yet: remove it, and listen on loopback behind a proxy that authenticates", file)
	case !errors.Is(err, fs.ErrNotExist):
		wrong.add("%w", err)
	}
}
