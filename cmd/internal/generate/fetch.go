package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const npmPackage = "hl7.fhir.r4.examples@4.0.1"

// fetch downloads the package with npm, whose own configuration names the registry, and unpacks it so
// that folder holds the package's files.
func fetch(ctx context.Context, folder string) error {
	temp, err := os.MkdirTemp("", "generate")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temp) }() // what stays is a temporary folder
	cmd := exec.CommandContext(ctx, "npm", "pack", "--silent", npmPackage)
	cmd.Dir = temp
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("npm pack: %w", err)
	}
	archives, err := filepath.Glob(filepath.Join(temp, "*.tgz"))
	if err != nil || len(archives) != 1 {
		return errors.Join(fmt.Errorf("npm pack left %d archives", len(archives)), err)
	}
	// The folder appears only when it is whole.
	part := folder + ".part"
	if err := os.RemoveAll(part); err != nil {
		return err
	}
	if err := unpack(archives[0], part); err != nil {
		return err
	}
	return os.Rename(part, folder)
}

// unpack writes the files directly under package/ of an npm archive; FHIR packages nest no deeper but for
// folders that nobody here reads.
func unpack(archive, folder string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	zip, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	files := tar.NewReader(zip)
	for {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name, ok := strings.CutPrefix(h.Name, "package/")
		if !ok || h.Typeflag != tar.TypeReg || strings.ContainsAny(name, `/\`) {
			continue
		}
		if err := writeFile(filepath.Join(folder, name), files); err != nil {
			return err
		}
	}
}

func writeFile(name string, content io.Reader) error {
	out, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, content)
	return errors.Join(err, out.Close())
}
