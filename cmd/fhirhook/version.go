package main

import (
	"fmt"
	"runtime"
)

// versionCmd is `fhirhook version`.
type versionCmd struct{}

// Run prints one line.
func (versionCmd) Run(s streams) error {
	fmt.Fprintf(s.out, "fhirhook %s (FHIR 4.0.1, %s)\n", version, runtime.Version())
	return nil
}
