package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// state is the state file: how far each file has come. It is a note, not a promise: it is written behind the
// commit, without syncing, and an import that finds it lost or late repeats what it has done, to no effect.
type state struct {
	path  string
	Files map[string]progressOf `json:"files"` // by target and absolute path
}

// progressOf is how far a file has come. If its size or time changes, it is another file.
type progressOf struct {
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
	Records  int       `json:"records"` // carried out or refused, from the beginning
	Failed   int       `json:"failed,omitempty"`
	Done     bool      `json:"done,omitempty"`
}

func readState(path string) (*state, error) {
	s := &state{path: path, Files: map[string]progressOf{}}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the state of the import: %w", err)
	}
	if err := json.Unmarshal(text, s); err != nil || s.Files == nil {
		return nil, fmt.Errorf("%s is no state of an import (%w): name another with --state, or delete it to begin anew", path, err)
	}
	return s, nil
}

func stateKey(target, path string) (string, error) {
	absolute, err := filepath.Abs(path)
	return target + " " + absolute, err
}

// of is how far a source has come.
func (s *state) of(key string, src *source) progressOf {
	p, ok := s.Files[key]
	if !ok || p.Size != src.size || !p.Modified.Equal(src.modified) {
		return progressOf{Size: src.size, Modified: src.modified}
	}
	return p
}

// save replaces the file at once: a kill leaves the old or the new.
func (s *state) save(key string, p progressOf) error {
	s.Files[key] = p
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	next := s.path + ".new"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return fmt.Errorf("keep the state of the import: %w", err)
	}
	return os.Rename(next, s.path)
}
