package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"fhirhook/cmd/internal/client"
)

// healthCmd is `fhirhook health`: what a container without a shell asks itself.
type healthCmd struct {
	Address string `arg:"" optional:"" help:"Where the server answers /readyz: --listen, or --admin-listen." default:"http://127.0.0.1:8080" placeholder:"URL" env:"-"`
}

// Run succeeds if the server is ready.
func (c *healthCmd) Run(ctx context.Context, s streams) error {
	u, err := url.Parse(c.Address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%w: name the server by its URL, as in http://127.0.0.1:8080, and not %s", client.ErrUsage, c.Address)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.Scheme+"://"+u.Host+"/readyz", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("the server does not answer: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err != nil {
		return err
	}
	answer := strings.TrimSpace(string(text))
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", response.Status, answer)
	}
	fmt.Fprintln(s.out, answer)
	return nil
}
