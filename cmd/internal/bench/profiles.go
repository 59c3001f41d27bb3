package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// takeProfiles lets each arm make one more slice, and leaves what it spends its CPU time on meanwhile, and its heap,
// blocking and contention behind it, in a folder. The slice isn't counted: profiles cost time.
func (o Options) takeProfiles(ctx context.Context, arms []*Arm, s Slice) error {
	if err := os.MkdirAll(o.Profile, 0o750); err != nil {
		return err
	}
	var errs []error
	for _, a := range arms {
		prefix := filepath.Join(o.Profile, fileName(o.Name+"-"+a.Name)+"-")
		cpu := make(chan error, 1)
		go func() { // ends with the time
			seconds := max(int(s.During.Round(time.Second)/time.Second), 1)
			cpu <- fetch(ctx, fmt.Sprintf("%sprofile?seconds=%d", a.profiles, seconds), prefix+"cpu.pprof")
		}()
		_, err := a.Run(ctx, s)
		errs = append(errs, err, <-cpu)
		for _, kind := range []string{"heap", "block", "mutex"} {
			errs = append(errs, fetch(ctx, a.profiles+kind, prefix+kind+".pprof"))
		}
	}
	return errors.Join(errs...)
}

// fileName makes a name of a text.
func fileName(text string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '-'
	}, text), "-")
}

func fetch(ctx context.Context, url, into string) (err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: status %d", url, response.StatusCode)
	}
	file, err := os.Create(into)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	_, err = io.Copy(file, response.Body)
	return err
}
