package main

import (
	"fhirhook/channel/settings"
	"fhirhook/fhir/auth"
)

// accessKey is the section of the configuration file that says who may call.
const accessKey = "auth"

// parseAccess reads the section auth of a configuration, as settings.Decode says; what could be read is returned beside the error.
func parseAccess(text []byte) (auth.Config, error) {
	var file struct {
		Auth   auth.Config
		Others map[string]any `yaml:",inline"`
	}
	err := settings.Decode(text, &file)
	return file.Auth, err
}
