// Command generate writes the tables of facts that the server embeds, out of HL7's own definitions: the
// npm package hl7.fhir.r4.examples, which holds R4's StructureDefinitions, SearchParameters and ValueSets
// (and the examples that the oracle tests read). It writes r4.tsv and
// codes.tsv in fhir/schema, and criteria/r4.tsv.
//
// Run it by `make generate` or `go generate ./...`; the same package gives the same bytes. The package is
// unpacked once into an ignored cache folder, by `npm pack`; with --fetch it does only that.
//
// Only facts are taken over (names, types, cardinalities, expressions, addresses), none of the prose.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

func main() {
	folder := flag.String("package", ".cache/r4/package", "folder of the unpacked npm package, relative to the module root")
	fetchOnly := flag.Bool("fetch", false, "only fetch the package if it is missing")
	flag.Parse()
	if err := run(*folder, *fetchOnly); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(folder string, fetchOnly bool) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	if !filepath.IsAbs(folder) {
		folder = filepath.Join(root, folder)
	}
	if _, err := os.Stat(filepath.Join(folder, "package.json")); errors.Is(err, fs.ErrNotExist) {
		if err := fetch(context.Background(), folder); err != nil {
			return fmt.Errorf("fetch %s: %w", npmPackage, err)
		}
	}
	if fetchOnly {
		return nil
	}
	elements, err := elementTable(folder)
	if err != nil {
		return err
	}
	parameters, err := parameterTable(folder)
	if err != nil {
		return err
	}
	codes, err := codeTable(folder)
	if err != nil {
		return err
	}
	compartments, err := compartmentTable(folder)
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{
		"criteria/compartments.tsv": compartments,
		"fhir/schema/r4.tsv":        elements, "fhir/schema/codes.tsv": codes, "criteria/r4.tsv": parameters,
	} {
		if err := os.WriteFile(filepath.Join(root, filepath.FromSlash(name)), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// moduleRoot is the nearest folder upwards with a go.mod: go generate starts us in a package's folder.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod here or above: run inside the module")
		}
		dir = parent
	}
}
