package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"

	"fhirhook/channel/resthook"
	"fhirhook/fhir/auth"
)

// dialectsKey, accessKey and originsKey are the keys of the configuration file that are no flags.
const dialectsKey = "dialects"

// configFile answers flags from the YAML file: below the command line and the environment, above defaults.
type configFile struct {
	path     string
	values   map[string]any
	dialects []resthook.Dialect // the operator's own, as far as they could be read
	access   auth.Config        // who may call, as far as that could be read
	origins  []resthook.Origin  // what single origins of endpoints need, the same
	wrong    error              // what couldn't be read of them
}

// ownDialects are those of the configuration file, for the commands that deliver or show.
type ownDialects []resthook.Dialect

// configOf finds --config (or FHIRHOOK_CONFIG) before the command line is parsed, for the file decides how
// it is parsed. It returns nil if none is named.
func configOf(args []string) (*configFile, error) {
	path := os.Getenv("FHIRHOOK_CONFIG")
	for i, arg := range args {
		if value, ok := strings.CutPrefix(arg, "--config="); ok {
			path = value
		} else if arg == "--config" && i+1 < len(args) {
			path = args[i+1]
		}
	}
	if path == "" {
		return nil, nil //nolint:nilnil // no file is an ordinary answer
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	return newConfigFile(path, text)
}

// newConfigFile reads the text of a configuration file.
func newConfigFile(path string, text []byte) (_ *configFile, err error) {
	file := &configFile{path: path}
	if err := yaml.Unmarshal(text, &file.values); err != nil {
		return nil, fmt.Errorf("configuration %s is not a YAML mapping of flags to values: %w", path, err)
	}
	if file.dialects, err = resthook.ParseDialects(text); err != nil {
		file.wrong = fmt.Errorf("configuration %s: %s: %w", path, dialectsKey, err)
	}
	delete(file.values, dialectsKey)
	if file.access, err = parseAccess(text); err != nil {
		file.wrong = errors.Join(file.wrong, fmt.Errorf("configuration %s: %s: %w", path, accessKey, err))
	}
	delete(file.values, accessKey)
	if file.origins, err = resthook.ParseOrigins(text); err != nil {
		file.wrong = errors.Join(file.wrong, fmt.Errorf("configuration %s: %s: %w", path, originsKey, err))
	}
	delete(file.values, originsKey)
	return file, nil
}

// Validate implements kong.Resolver; unknown keys are found later, when the command is known.
func (f *configFile) Validate(*kong.Application) error { return nil }

// Resolve implements kong.Resolver.
func (f *configFile) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if len(flag.Envs) == 0 {
		return nil, nil //nolint:nilnil // what stands in no environment is for the command line alone
	}
	for _, name := range flag.Envs {
		if _, ok := os.LookupEnv(name); ok {
			return nil, nil //nolint:nilnil // the environment stands above the file
		}
	}
	switch value := f.values[flag.Name].(type) {
	case nil:
		return nil, nil //nolint:nilnil // not in the file
	case []any:
		texts := make([]string, len(value))
		for i, v := range value {
			texts[i] = fmt.Sprint(v)
		}
		return strings.Join(texts, ","), nil
	case bool, string:
		return value, nil
	default:
		return fmt.Sprint(value), nil
	}
}

// unknown names every key of the file that is no flag of the command: a typo must not be a silent default. The
// file may be that of serve, for other commands take from it what they know.
func (f *configFile) unknown(chosen *kong.Context) error {
	known := map[string]bool{}
	for _, path := range chosen.Path {
		for _, flag := range path.Flags {
			known[flag.Name] = true
		}
	}
	for _, command := range chosen.Model.Children {
		if command.Name == "serve" {
			for _, flag := range command.Flags {
				known[flag.Name] = true
			}
		}
	}
	var wrong []string
	for key := range f.values {
		if !known[key] {
			wrong = append(wrong, key)
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	slices.Sort(wrong)
	return fmt.Errorf("configuration %s: no flag of %q is called %s; see fhirhook %[2]s --help",
		f.path, chosen.Command(), strings.Join(wrong, ", "))
}
