package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Explain runs a search and prints how it was done. search is what stands behind the base URL, as in
// Observation?code=1234-5.
func (c *Client) Explain(ctx context.Context, search string) error {
	path, query, _ := strings.Cut(strings.TrimPrefix(search, "/"), "?")
	if strings.ContainsAny(path, "/ ") {
		return usagef("%q is not a search: write it as in 'Observation?code=1234-5'", printable(search, 80))
	}
	if query != "" {
		query += "&"
	}
	var a answer
	r := request{method: http.MethodGet, path: "/" + path, query: strings.ReplaceAll(query, " ", "%20") + "_explain=true"}
	if _, err := c.do(ctx, r, &a); err != nil {
		return err
	}
	return a.print(c)
}

// answer is what is needed of a searchset.
type answer struct {
	Total *int `json:"total"`
	Entry []struct {
		Search   struct{ Mode string }
		Resource struct{ Issue []issue }
	} `json:"entry"`
}

func (a answer) print(c *Client) error {
	var errs []error
	line := func(format string, args ...any) {
		_, err := fmt.Fprintf(c.Out, format+"\n", args...)
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
				line("%s", printable(i.text(), 0))
			} else {
				line("%s: %s", printable(i.Severity, 40), printable(i.text(), 0))
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
