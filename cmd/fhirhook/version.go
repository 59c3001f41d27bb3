package main

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
)

// versionCmd is `fhirhook version`.
type versionCmd struct {
	SBOM bool `name:"sbom" help:"Print what is linked into this binary, as a CycloneDX software bill of materials in JSON." env:"-"`
}

// Run prints one line, or the bill of materials.
func (c versionCmd) Run(s streams) error {
	if c.SBOM {
		info, ok := debug.ReadBuildInfo()
		if !ok {
			return errors.New("this binary was built without module information")
		}
		return newSBOM(info, version).write(s.out)
	}
	fmt.Fprintf(s.out, "fhirhook %s (FHIR 4.0.1, %s)\n", version, runtime.Version())
	return nil
}
