package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestFolder_toleratesSystemsThatSyncNone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{syscall.EINVAL, true},
		{syscall.ENOTSUP, true},
		{syscall.EACCES, true},
		{syscall.EIO, false},
		{syscall.ENOSPC, false},
		{syscall.EBADF, false},
		{os.ErrClosed, false},
	} {
		if got := needless(&fs.PathError{Op: "sync", Path: "/data", Err: tt.err}); got != tt.want {
			t.Errorf("%v: %v", tt.err, got)
		}
	}
}

func TestFolder_thatIsNotThere(t *testing.T) {
	t.Parallel()
	if err := Folder(filepath.Join(t.TempDir(), "gone")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestRename_replaces(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	from, to := filepath.Join(dir, "keys.new"), filepath.Join(dir, "keys")
	for path, text := range map[string]string{from: "after", to: "before"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := Rename(from, to); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(to); err != nil || string(got) != "after" {
		t.Errorf("%q, %v", got, err)
	}
	if err := Rename(from, to); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a second time: %v", err)
	}
}
