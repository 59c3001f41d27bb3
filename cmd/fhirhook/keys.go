package main

import (
	"fmt"
	"os"

	"fhirhook/cmd/internal/app"
)

// keyFlags are the flags of every command that opens a data folder. The key itself is no flag, for the command
// lines of processes are seen by all.
type keyFlags struct {
	KeyFile string `help:"File with the key that secrets are encrypted with, 32 bytes in base64; or put it into FHIRHOOK_KEY. Default: master.key in the data folder, made if it isn't there." type:"path" placeholder:"FILE"`
}

func (k keyFlags) keys() app.Keys { return app.Keys{File: k.KeyFile, Text: os.Getenv("FHIRHOOK_KEY")} }

// rekeyCmd is `fhirhook rekey`.
type rekeyCmd struct {
	Data       string `help:"Folder of the embedded store, which no server is using." default:"./data" type:"existingdir"`
	NewKeyFile string `help:"File with the new key. Default: a new master.key in the data folder." type:"path" placeholder:"FILE"`
	keyFlags   `embed:""`
}

// Run wraps the data keys anew.
func (c *rekeyCmd) Run(s streams) error {
	if err := app.Rekey(c.Data, c.keys(), app.Keys{File: c.NewKeyFile}); err != nil {
		return err
	}
	key := c.NewKeyFile
	if key == "" {
		key = "the new master.key in it"
	}
	fmt.Fprintf(s.out, "%s opens with %s from now on, and with no other key\n", c.Data, key)
	return nil
}
