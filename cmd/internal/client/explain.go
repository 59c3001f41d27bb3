package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	timeout   = time.Minute // of a whole exchange: searches end earlier by themselves
	maxAnswer = 64 << 20    // bytes of an answer
	prefix    = "/fhir/R4"  // of a server that was named without a path
)

// Explain runs a search on a server and prints how it was done. search is what stands behind the base URL, as
// in Observation?code=1234-5.
func Explain(ctx context.Context, server, search string, out io.Writer) error {
	target, err := explainURL(server, search)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/fhir+json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	var answer answer
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&answer); err != nil {
		return fmt.Errorf("%s answers %s, and not with FHIR: %w", server, res.Status, err)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answers %s: %s", res.Status, strings.Join(answer.texts(), "; "))
	}
	return answer.print(out)
}

func explainURL(server, search string) (string, error) {
	base, err := url.Parse(server)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return "", fmt.Errorf("--server %s is not a URL: write it as in http://127.0.0.1:8080/fhir/R4", server)
	}
	if strings.Trim(base.Path, "/") == "" {
		base.Path = prefix
	}
	path, query, _ := strings.Cut(strings.TrimPrefix(search, "/"), "?")
	if strings.ContainsAny(path, "/ ") {
		return "", fmt.Errorf("%q is not a search: write it as in 'Observation?code=1234-5'", search)
	}
	if query != "" {
		query += "&"
	}
	base.Path = strings.TrimSuffix(base.Path, "/") + "/" + path
	base.RawQuery = strings.ReplaceAll(query, " ", "%20") + "_explain=true"
	return base.String(), nil
}

// answer is what is needed of a searchset or an OperationOutcome.
type answer struct {
	Total *int    `json:"total"`
	Issue []issue `json:"issue"`
	Entry []struct {
		Search   struct{ Mode string }
		Resource struct{ Issue []issue }
	} `json:"entry"`
}

type issue struct{ Severity, Diagnostics string }

func (a answer) texts() []string {
	var all []string
	for _, i := range a.Issue {
		all = append(all, i.Diagnostics)
	}
	return all
}

func (a answer) print(out io.Writer) error {
	var errs []error
	line := func(format string, args ...any) {
		_, err := fmt.Fprintf(out, format+"\n", args...)
		errs = append(errs, err)
	}
	matches := 0
	for _, e := range a.Entry {
		if e.Search.Mode == "match" {
			matches++
		}
		for _, i := range e.Resource.Issue {
			if e.Search.Mode != "outcome" {
				continue
			}
			if i.Severity == "information" {
				line("%s", i.Diagnostics)
			} else {
				line("%s: %s", i.Severity, i.Diagnostics)
			}
		}
	}
	if a.Total != nil {
		line("%d matches, %d of them on this page.", *a.Total, matches)
	} else {
		line("%d matches are on this page.", matches)
	}
	return errors.Join(errs...)
}
