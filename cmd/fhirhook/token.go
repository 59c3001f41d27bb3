package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"fhirhook/cmd/internal/app"
	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/auth"
)

// tokenCmd is `fhirhook token`: the static bearer tokens of a data folder. A server that runs sees every change at once.
type tokenCmd struct {
	Create tokenCreateCmd `cmd:"" help:"Make a token and print it, the only time that it is seen."`
	List   tokenListCmd   `cmd:"" help:"List the tokens that were made."`
	Revoke tokenRevokeCmd `cmd:"" help:"End a token, at once."`
}

type tokenFolder struct {
	Data string `help:"Folder of the embedded store; it is made if it isn't there." default:"./data" type:"path"`
}

func (f tokenFolder) file() auth.TokenFile {
	return auth.TokenFile{Path: filepath.Join(f.Data, auth.TokenFileName)}
}

// tokenCreateCmd is `fhirhook token create`. Nothing of it comes from the environment, which is a server's.
type tokenCreateCmd struct {
	tokenFolder
	Name    string   `help:"What the token is called, in listings and as the author of what is written with it. Names are never used again." required:"" env:"-"`
	Tenant  string   `help:"Whose data it leads to. Default: default." env:"-"`
	Scope   []string `help:"What it allows, as in system/Observation.rs or system/*.cruds (repeatable)." sep:"none" env:"-" placeholder:"SCOPE"`
	Patient string   `help:"Id of the Patient that scopes beginning with patient/ are about." env:"-" placeholder:"ID"`
	Admin   bool     `help:"It is an administrator's: everything is allowed, in every tenant." env:"-"`
	Expires string   `help:"When it ends: a date, an instant, or how long from now, as in 90d or 12h. Default: never." env:"-" placeholder:"WHEN"`
}

// Run prints the token on the standard output, alone.
func (c *tokenCreateCmd) Run(s streams) error {
	now := time.Now()
	var wrong error
	expires, err := parseExpires(c.Expires, now)
	if err != nil {
		wrong = fmt.Errorf("--expires %s: %w", c.Expires, err)
	}
	token := auth.Token{Name: c.Name, Tenant: c.Tenant, Admin: c.Admin, Scopes: c.Scope, Patient: c.Patient, Expires: expires}
	if err := errors.Join(wrong, token.Check(criteria.R4())); err != nil {
		return fmt.Errorf("%w: %w", app.ErrConfiguration, err)
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return err
	}
	secret, err := c.file().Create(token, criteria.R4(), now)
	if err != nil {
		return err
	}
	fmt.Fprintln(s.out, secret)
	fmt.Fprintln(s.err, "This is the only time that the token is shown. Send it as: Authorization: Bearer TOKEN")
	return nil
}

// parseExpires reads a date (its beginning, UTC), an instant or a duration; "" is never.
func parseExpires(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), nil
		}
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.UTC().Truncate(time.Second).AddDate(0, 0, int(n)), nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return time.Time{}, errors.New("name a date as in 2027-12-31, an instant as in 2027-12-31T12:00:00Z, or a time from now as in 90d or 12h")
	}
	return now.UTC().Truncate(time.Second).Add(d), nil
}

// tokenListCmd is `fhirhook token list`.
type tokenListCmd struct{ tokenFolder }

// Run prints a table.
func (c *tokenListCmd) Run(s streams) error {
	tokens, err := c.file().List()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tTENANT\tSTATE\tCREATED\tEXPIRES\tALLOWS")
	for _, t := range tokens {
		tenant, expires, allows := t.Tenant, "never", strings.Join(t.Scopes, " ")
		if tenant == "" {
			tenant = fhir.DefaultTenant
		}
		if !t.Expires.IsZero() {
			expires = t.Expires.Format(time.RFC3339)
		}
		if t.Admin {
			allows = "everything, as an administrator"
		}
		if t.Patient != "" {
			allows += " (Patient/" + t.Patient + ")"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", t.Name, tenant, tokenState(t), t.Created.Format(time.RFC3339), expires, allows)
	}
	return table.Flush()
}

func tokenState(t auth.Token) string {
	switch {
	case !t.Revoked.IsZero():
		return "revoked"
	case !t.Expires.IsZero() && !time.Now().Before(t.Expires):
		return "expired"
	}
	return "good"
}

// tokenRevokeCmd is `fhirhook token revoke`.
type tokenRevokeCmd struct {
	tokenFolder
	Name string `help:"What the token is called." required:"" env:"-"`
}

// Run revokes it.
func (c *tokenRevokeCmd) Run(s streams) error {
	if err := c.file().Revoke(c.Name, time.Now()); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "the token %q is revoked\n", c.Name)
	return nil
}
