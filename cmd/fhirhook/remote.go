package main

import (
	"os"

	"fhirhook/cmd/internal/client"
)

// remote is the flags of every command that asks a running server.
type remote struct {
	Server string `help:"Base URL of the running server." default:"http://127.0.0.1:8080/fhir/R4"`
	Token  string `help:"Bearer token; better set by FHIRHOOK_TOKEN, for command lines are seen by others." placeholder:"TOKEN"`
	JSON   bool   `name:"json" help:"Print a JSON object a line, for scripts." env:"-"`
}

// client opens the server.
func (r *remote) client(s streams) (*client.Client, error) {
	o := client.Options{Server: r.Server, Token: r.Token, JSON: r.JSON, Out: s.out, Err: s.err, Terminal: terminal(s.err)}
	if terminal(os.Stdin) {
		o.In = os.Stdin
	}
	return client.New(o)
}
