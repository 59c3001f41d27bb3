package seal_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"fhirhook/fhir/store/seal"
)

var today = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, dir string, m seal.Master, now time.Time) *seal.Ring {
	t.Helper()
	r, err := seal.Open(dir, m, now)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func opens(t *testing.T, r *seal.Ring, sealed []byte, about, want string) {
	t.Helper()
	plain, err := r.Open(sealed, []byte(about))
	if err != nil || string(plain) != want {
		t.Errorf("opened %q, %v, want %q", plain, err, want)
	}
}

func TestRing_opensWhatItSealedAndNothingElse(t *testing.T) {
	t.Parallel()
	r := open(t, t.TempDir(), seal.NewMaster(), today)
	rapid.Check(t, func(t *rapid.T) {
		plain, about := rapid.SliceOf(rapid.Byte()).Draw(t, "plain"), rapid.SliceOf(rapid.Byte()).Draw(t, "about")
		sealed := r.Seal(plain, about)
		if len(sealed) != len(plain)+seal.Overhead {
			t.Fatalf("%d bytes became %d", len(plain), len(sealed))
		}
		if got, err := r.Open(sealed, about); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("opened %q, %v", got, err)
		}
		if _, err := r.Open(sealed, append(about, 'x')); !errors.Is(err, seal.ErrSealed) {
			t.Fatalf("opened in another place: %v", err)
		}
		damaged := bytes.Clone(sealed)
		damaged[rapid.IntRange(0, len(damaged)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "by"))
		if _, err := r.Open(damaged, about); !errors.Is(err, seal.ErrSealed) {
			t.Fatalf("opened though it was damaged: %v", err)
		}
		short := sealed[:rapid.IntRange(0, len(sealed)-1).Draw(t, "length")]
		if _, err := r.Open(short, about); !errors.Is(err, seal.ErrSealed) {
			t.Fatalf("opened though it was cut: %v", err)
		}
	})
}

func TestRing_sealsTheSameTextDifferently(t *testing.T) {
	t.Parallel()
	r := open(t, t.TempDir(), seal.NewMaster(), today)
	if bytes.Equal(r.Seal([]byte("text"), nil), r.Seal([]byte("text"), nil)) {
		t.Error("two equal texts can be told to be equal")
	}
}

func TestOpen_needsTheMasterKeyThatWrapped(t *testing.T) {
	t.Parallel()
	dir, m := t.TempDir(), seal.NewMaster()
	sealed := open(t, dir, m, today).Seal([]byte("text"), []byte("here"))
	opens(t, open(t, dir, m, today), sealed, "here", "text")
	if _, err := seal.Open(dir, seal.NewMaster(), today); !errors.Is(err, seal.ErrMaster) {
		t.Errorf("opened with another key: %v", err)
	}
}

func TestOpen_drawsAnotherDataKeyAfterAMonth(t *testing.T) {
	t.Parallel()
	dir, m := t.TempDir(), seal.NewMaster()
	old := open(t, dir, m, today).Seal([]byte("old"), nil)
	same := open(t, dir, m, today.Add(29*24*time.Hour)).Seal(nil, nil)
	later := open(t, dir, m, today.Add(31*24*time.Hour))
	fresh := later.Seal([]byte("new"), nil)
	if !bytes.Equal(old[:4], same[:4]) || bytes.Equal(old[:4], fresh[:4]) {
		t.Errorf("keys %x, %x a day before and %x a day after the month", old[:4], same[:4], fresh[:4])
	}
	opens(t, later, old, "", "old")
	opens(t, later, fresh, "", "new")
}

func TestRekey_leavesEverythingReadableByTheNewKeyAlone(t *testing.T) {
	t.Parallel()
	dir, from, to := t.TempDir(), seal.NewMaster(), seal.NewMaster()
	sealed := open(t, dir, from, today).Seal([]byte("text"), nil)
	if err := seal.Rekey(dir, seal.NewMaster(), to, today); !errors.Is(err, seal.ErrMaster) {
		t.Fatalf("a stranger's key rekeyed: %v", err)
	}
	if err := seal.Rekey(dir, from, to, today); err != nil {
		t.Fatal(err)
	}
	r := open(t, dir, to, today)
	opens(t, r, sealed, "", "text")
	if fresh := r.Seal(nil, nil); bytes.Equal(fresh[:4], sealed[:4]) {
		t.Error("what is written behind a rekey has the old data key")
	}
	if _, err := seal.Open(dir, from, today); !errors.Is(err, seal.ErrMaster) {
		t.Errorf("the old key still opens: %v", err)
	}
}

// TestRekeyFolder_canBeCutShortAnywhere ends it after each of its steps and goes on as a start does.
func TestRekeyFolder_canBeCutShortAnywhere(t *testing.T) {
	t.Parallel()
	cut := errors.New("cut short")
	steps := map[string]func(dir string) func(from, to seal.Master) error{
		"before the data keys are wrapped": func(string) func(_, _ seal.Master) error {
			return func(_, _ seal.Master) error { return cut }
		},
		"behind it": func(dir string) func(from, to seal.Master) error {
			return func(from, to seal.Master) error { return errors.Join(seal.Rekey(dir, from, to, today), cut) }
		},
		"not at all": func(dir string) func(from, to seal.Master) error {
			return func(from, to seal.Master) error { return seal.Rekey(dir, from, to, today) }
		},
	}
	for name, rekey := range steps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			m, err := seal.FolderMaster(dir)
			if err != nil {
				t.Fatal(err)
			}
			sealed := open(t, dir, m, today).Seal([]byte("text"), nil)
			if err := seal.RekeyFolder(dir, rekey(dir)); err != nil && !errors.Is(err, cut) {
				t.Fatal(err)
			}
			for range 2 {
				if m, err = seal.FolderMaster(dir); err != nil {
					t.Fatal(err)
				}
				opens(t, open(t, dir, m, today), sealed, "", "text")
			}
			if err := seal.RekeyFolder(dir, func(from, to seal.Master) error { return seal.Rekey(dir, from, to, today) }); err != nil {
				t.Fatal(err)
			}
			if m, err = seal.FolderMaster(dir); err != nil {
				t.Fatal(err)
			}
			opens(t, open(t, dir, m, today), sealed, "", "text")
		})
	}
}

func TestFolderMaster_neverDrawsAKeyForDataThatHasOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m, err := seal.FolderMaster(dir)
	if err != nil {
		t.Fatal(err)
	}
	open(t, dir, m, today)
	if err := os.Remove(filepath.Join(dir, seal.MasterFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.FolderMaster(dir); !errors.Is(err, seal.ErrMaster) || !strings.Contains(fmt.Sprint(err), "--key-file") {
		t.Errorf("error %v", err)
	}
}

func TestMaster_isReadInEachSpellingAndNeverShown(t *testing.T) {
	t.Parallel()
	const hex = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	const base64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
	want, err := seal.ParseMaster(hex)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{base64, base64 + "=", " " + hex + "\n", strings.ToUpper(hex)} {
		if m, err := seal.ParseMaster(text); err != nil || m != want {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"", "short", hex[1:], hex + "00", strings.Repeat("00", 32), strings.Repeat("=", 44)} {
		if _, err := seal.ParseMaster(text); err == nil || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%q: error %v", text, err)
		}
	}
	if s := fmt.Sprintf("%v %+v %#v %s", want, want, want, want); strings.ContainsAny(s, "0123456789") {
		t.Errorf("printed as %s", s)
	}
}

func TestReadMaster_refusesAFileThatOthersCanRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	m := seal.NewMaster()
	if err := seal.WriteMaster(path, m); err != nil {
		t.Fatal(err)
	}
	if got, err := seal.ReadMaster(path); err != nil || got != m {
		t.Errorf("%v", err)
	}
	if err := seal.WriteMaster(path, m); !errors.Is(err, os.ErrExist) {
		t.Errorf("replaced a key: %v", err)
	}
	for mode, good := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o440: true, 0o640: true, 0o604: false, 0o660: false, 0o666: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := seal.ReadMaster(path); (err == nil) != good {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.ReadMaster(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("error %v", err)
	}
}

func TestOpen_refusesADamagedFile(t *testing.T) {
	t.Parallel()
	m := seal.NewMaster()
	good := t.TempDir()
	open(t, good, m, today)
	text, err := os.ReadFile(filepath.Join(good, seal.KeysFile))
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"cut":    string(text[:len(text)/2]),
		"format": strings.Replace(string(text), `"format": 1`, `"format": 2`, 1),
		"number": strings.Replace(string(text), `"id": 1`, `"id": 2`, 1),
		"zero":   strings.Replace(string(text), `"id": 1`, `"id": 0`, 1),
		"empty":  "",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, seal.KeysFile), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := seal.Open(dir, m, today); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}

// FuzzParseMaster: no text breaks the reader, and a key that is read is written so that it is read again.
func FuzzParseMaster(f *testing.F) {
	f.Add(seal.NewMaster().Text())
	f.Add("00")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := seal.ParseMaster(text)
		if err != nil {
			return
		}
		if again, err := seal.ParseMaster(m.Text()); err != nil || again != m {
			t.Errorf("%v", err)
		}
	})
}
