package zmsg

import "github.com/zmsg/zmsg/internal/envconfig"

// ConfigFromEnv returns the configuration that environ gives (lines of the form NAME=value, as
// os.Environ returns them), with defaults for what it does not name. The error names every variable
// that cannot be read; Open checks the rest.
func ConfigFromEnv(environ []string) (Config, error) {
	var cfg Config
	err := envconfig.Load(&cfg, environ)
	return cfg, err
}
