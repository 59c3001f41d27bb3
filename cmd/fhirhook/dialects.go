package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"go.yaml.in/yaml/v3"

	"fhirhook/channel/resthook"
	"fhirhook/cmd/internal/app"
	"fhirhook/fhir/auth"
)

// dialectsCmd is `fhirhook dialects`. With --config it shows the operator's own dialects, too, and names what is
// wrong with them.
type dialectsCmd struct {
	Name string `arg:"" optional:"" help:"Only this dialect, with its description as it stands in a configuration file."`
	JSON bool   `name:"json" help:"Print a JSON array: each dialect as in the configuration file, with its samples."`
}

// check implements checker.
func (c *dialectsCmd) check(_ streams, own ownDialects, _ auth.Config, _ origins) error {
	return app.CheckDialects(own)
}

// Run prints a table of the dialects and a sample of all that each sends.
func (c *dialectsCmd) Run(s streams, own ownDialects) error {
	if err := app.CheckDialects(own); err != nil {
		return err
	}
	all := slices.Concat(resthook.Dialects(), own)
	if c.Name != "" {
		d, ok := resthook.Find(all, c.Name)
		if !ok {
			return fmt.Errorf("%w: there is no dialect %s; fhirhook dialects lists them", app.ErrConfiguration, c.Name)
		}
		all = []resthook.Dialect{d}
	}
	var b bytes.Buffer
	var err error
	switch {
	case c.JSON:
		err = dialectsJSON(&b, all)
	case c.Name != "":
		err = errors.Join(describe(&b, all[0]), samples(&b, all[0]))
	default:
		err = dialectsTable(&b, all)
		for _, d := range all {
			err = errors.Join(err, samples(&b, d))
		}
	}
	if err != nil {
		return err
	}
	_, err = s.out.Write(b.Bytes())
	return err
}

// dialectsTable is for people.
func dialectsTable(w io.Writer, all []resthook.Dialect) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tREQUEST\tDELETE\tCONTENT-TYPE\tSIGNATURE\tSUCCESS\tTIMEOUT\tRETRIES\tORDER")
	for _, d := range all {
		fmt.Fprintln(t, strings.Join([]string{
			d.Name, request(d.Change), request(d.Delete), orDash(d.ContentType), signature(d), d.Success.String(), d.Timeout.String(), retries(d), d.Orders[0],
		}, "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, d := range all {
		fmt.Fprintf(w, "%s: %s\n", d.Name, orDash(d.About))
	}
	return nil
}

func request(f resthook.Form) string {
	switch {
	case f.Method == "":
		return "-"
	case f.Address == resthook.AtResource:
		return f.Method + " endpoint/Type/id"
	default:
		return f.Method + " endpoint"
	}
}

func signature(d resthook.Dialect) string {
	if d.Signature.Header == "" {
		return "-"
	}
	return d.Signature.Header + " (" + d.Signature.Form + ")"
}

func retries(d resthook.Dialect) string {
	if d.Requests == 0 {
		return d.Ladder
	}
	return d.Ladder + ", " + strconv.Itoa(d.Requests) + " requests"
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// describe prints a dialect so that it can be copied into a configuration file and changed there.
func describe(w io.Writer, d resthook.Dialect) error {
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(map[string][]resthook.Dialect{dialectsKey: {d}}); err != nil {
		return fmt.Errorf("describe the dialect %s: %w", d.Name, err)
	}
	return e.Close()
}

// sampleTitles says what each kind of sample is.
var sampleTitles = map[string]string{
	"create": "create", "update": "update", "delete": "delete", "ping": "ping",
	"bare": "create, for a Subscription without channel.payload",
}

// samples prints requests byte for byte, but that lines end here as lines of a text do.
func samples(w io.Writer, d resthook.Dialect) error {
	all, err := d.Samples()
	if err != nil {
		return err
	}
	for _, s := range all {
		head, body, _ := bytes.Cut(s.Wire, []byte("\r\n\r\n"))
		fmt.Fprintf(w, "\n=== %s: %s\n%s\n", d.Name, sampleTitles[s.Kind], bytes.ReplaceAll(head, []byte("\r\n"), []byte("\n")))
		if len(body) > 0 {
			fmt.Fprintf(w, "\n%s\n", body)
		}
	}
	if !d.CanDelete() {
		fmt.Fprintf(w, "\n=== %s: delete\nnone; a Subscription that asks for it is refused\n", d.Name)
	}
	return nil
}

// sampleJSON is a sample for scripts: what was signed with what, and the very bytes.
type sampleJSON struct {
	Kind   string    `json:"kind"`
	Secret string    `json:"secret"`
	Time   time.Time `json:"time"`
	Method string    `json:"method"`
	URL    string    `json:"url"`
	Body   *string   `json:"body"` // null: none
	Wire   string    `json:"wire"` // request line, headers in order and body
}

func dialectsJSON(w io.Writer, all []resthook.Dialect) error {
	type shown struct {
		Dialect json.RawMessage `json:"dialect"`
		Samples []sampleJSON    `json:"samples"`
	}
	list := []shown{}
	for _, d := range all {
		described, err := asJSON(d)
		if err != nil {
			return err
		}
		one := shown{Dialect: described}
		made, err := d.Samples()
		if err != nil {
			return err
		}
		for _, s := range made {
			j := sampleJSON{
				Kind: s.Kind, Secret: resthook.SampleSecret, Time: s.Time, Method: s.Request.Method, URL: s.Request.URL, Wire: string(s.Wire),
			}
			if s.Request.Body != nil {
				body := string(s.Request.Body)
				j.Body = &body
			}
			one.Samples = append(one.Samples, j)
		}
		list = append(list, one)
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(list)
}

// asJSON writes a dialect with the keys of the configuration file.
func asJSON(d resthook.Dialect) (json.RawMessage, error) {
	text, err := yaml.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("describe the dialect %s: %w", d.Name, err)
	}
	var keys map[string]any
	if err := yaml.Unmarshal(text, &keys); err != nil {
		return nil, fmt.Errorf("describe the dialect %s: %w", d.Name, err)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(keys); err != nil {
		return nil, fmt.Errorf("describe the dialect %s: %w", d.Name, err)
	}
	return b.Bytes(), nil
}
