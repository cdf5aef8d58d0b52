// Command server runs zmsg: serve (the default), migrate, kv, healthcheck.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/zmsg/zmsg/internal/envconfig"
)

// version is set by the build.
var version = "dev"

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // something went wrong while it ran
	exitUsage  = 2 // the command line or the configuration is wrong
)

func main() {
	signaled, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	context.AfterFunc(signaled, func() {
		stop() // before the shutdown begins: from here on another signal ends the process at once
		cancel()
	})
	code := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// usageError is a mistake in the command line or the configuration.
type usageError struct{ error }

func run(ctx context.Context, args, environ []string, out, errOut io.Writer) int {
	name, rest := "serve", args
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		name, rest = args[0], args[1:]
	}
	err := command(ctx, name, rest, environ, out, errOut)
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		_, _ = fmt.Fprintf(errOut, "zmsg: %v\n\nRun 'zmsg --help' for the commands and the settings.\n", err)
		return exitUsage
	default:
		_, _ = fmt.Fprintf(errOut, "zmsg: %v\n", err)
		return exitFailed
	}
}

func command(ctx context.Context, name string, args, environ []string, out, errOut io.Writer) error {
	if name == "kv" {
		return kvCommand(ctx, args, environ, out, errOut)
	}
	switch {
	case name == "help" || slices.ContainsFunc(args, func(a string) bool { return a == "-h" || a == "-help" || a == "--help" }):
		return help(out)
	case name == "version" || slices.Contains(args, "-version") || slices.Contains(args, "--version"):
		_, err := fmt.Fprintln(out, "zmsg", version)
		return err
	}
	var cfg Config
	err := envconfig.Load(&cfg, environ)
	if name == "serve" {
		err = errors.Join(err, cfg.validate())
	}
	if err != nil {
		return usageError{err}
	}
	if len(args) > 0 && (name == "serve" || name == "healthcheck") {
		return usageError{fmt.Errorf("%s takes no arguments, got %q", name, args[0])}
	}
	switch name {
	case "serve":
		return serve(ctx, cfg, environ, errOut)
	case "migrate":
		return migrateCommand(ctx, cfg, args, out, errOut)
	case "healthcheck":
		return healthcheck(ctx, cfg)
	default:
		return usageError{fmt.Errorf("there is no command %q", name)}
	}
}

const helpText = `zmsg is a feed, counter and ID store for social applications, over HTTP.

Usage:
  zmsg [serve]                run the service
  zmsg migrate up             bring the database's schema up to date
  zmsg migrate down N         take back the newest N migrations, and their data
  zmsg migrate force N        after a failed migration was mended by hand: the schema has version N
  zmsg migrate version        tell the version of the schema
  zmsg kv                     run the in-memory database that speaks Redis's protocol; see zmsg kv --help
  zmsg healthcheck            ask the service on this host whether it is ready (exit 0: yes)
  zmsg --version | --help

Settings, all from the environment:
`

func help(out io.Writer) error {
	if _, err := io.WriteString(out, helpText); err != nil {
		return err
	}
	return envconfig.Describe(out, Config{})
}
