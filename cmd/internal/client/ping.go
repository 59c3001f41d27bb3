package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// Ping is what `fhirhook ping --json` prints: a test notification and what came of it.
type Ping struct {
	ID           string `json:"id"`
	Subscription string `json:"subscription"`
	Attempt
	Headers []Header `json:"headers"` // that a receiver verifies
}

// Header is one that was sent.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Ping sends a test notification. One that isn't taken is an error, after it was printed.
func (c *Client) Ping(ctx context.Context, name string) error {
	id, path, err := subscriptionPath(name)
	if err != nil {
		return err
	}
	var answer parameters
	if _, err := c.do(ctx, request{method: http.MethodPost, path: path + "/$ping", timeout: patience}, &answer); err != nil {
		return err
	}
	p := Ping{ID: answer.Parameter.text("id"), Subscription: id, Attempt: attempt(answer.Parameter), Headers: []Header{}}
	for _, one := range answer.Parameter {
		if one.Name == "header" {
			p.Headers = append(p.Headers, Header{one.Part.text("name"), one.Part.text("value")})
		}
	}
	if c.JSON {
		err = lines(c.Out, []Ping{p})
	} else {
		err = p.print(c)
	}
	if err == nil && p.State != "delivered" {
		err = fmt.Errorf("the endpoint of Subscription/%s did not take the test", id)
	}
	return err
}

func (p Ping) print(c *Client) error {
	var errs []error
	line := func(name, value string) {
		if value != "" {
			_, err := fmt.Fprintf(c.Out, "  %-18s  %s\n", printable(name, 40), printable(value, 400))
			errs = append(errs, err)
		}
	}
	_, err := fmt.Fprintf(c.Out, "Subscription/%s  %s  %s in %s\n", p.Subscription, printable(p.State, 20), printable(p.answer(), 40),
		p.took())
	errs = append(errs, err)
	line("id", p.ID)
	line("reply", p.Reply)
	line("error", p.ErrorClass)
	line("hint", p.Hint)
	for _, h := range p.Headers {
		line(h.Name, h.Value)
	}
	return errors.Join(errs...)
}
