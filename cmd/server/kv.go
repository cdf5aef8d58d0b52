package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/zmsg/zmsg/kv"
)

const kvHelp = `zmsg kv is an in-memory database that speaks Redis's protocol and keeps its data in files.

Usage:
  zmsg kv [--addr HOST:PORT] [--dir DIR] [--SETTING VALUE]...   serve; any Redis client will do
  zmsg kv check [--fix] [--dir DIR]                             check the files, and mend them

  --addr HOST:PORT   where to listen (127.0.0.1:6379)
  --port PORT        the port alone; 0 listens on no TCP port
  --bind HOST        the host alone
  --unixsocket PATH  listen there too
  --dir DIR          where the files are (kv-data); it is made if it is not there
  --SETTING VALUE    any setting that CONFIG SET knows, by redis-server's names. The most useful:
      --appendonly yes|no                     log every change (yes)
      --appendfsync always|everysec|no        when the log is synced (everysec)
      --save "SECONDS CHANGES ..."            snapshots by themselves (none)
      --maxmemory 1gb                         limit of keys and values (none)
      --maxmemory-policy allkeys-lru|...      what happens then (noeviction)
      --requirepass PASSWORD                  ask clients for it (none)

check --fix cuts off what is damaged at the end of the log, after it has put a copy beside it.
`

// kvGC is how much the heap grows between collections, in percent. Values live long, and most of them have
// no pointers to follow, so that collecting often costs little and keeps the memory small.
const kvGC = 30

// kvArgs are the command line of zmsg kv.
type kvArgs struct {
	check, fix bool
	addr       string
	socket     string
	settings   map[string]string
}

func kvCommand(ctx context.Context, args, environ []string, out, errOut io.Writer) error {
	if slices.ContainsFunc(args, func(a string) bool { return a == "-h" || a == "-help" || a == "--help" }) {
		_, err := io.WriteString(out, kvHelp)
		return err
	}
	parsed, err := parseKV(args)
	if err != nil {
		return usageError{fmt.Errorf("kv: %w", err)}
	}
	if parsed.check {
		return checkKV(parsed, out) //nolint:contextcheck // nothing runs scripts
	}
	if !slices.ContainsFunc(environ, func(v string) bool { return strings.HasPrefix(v, "GOGC=") }) {
		debug.SetGCPercent(kvGC)
	}
	return serveKV(ctx, parsed, slog.New(slog.NewTextHandler(errOut, nil)))
}

func parseKV(args []string) (kvArgs, error) {
	a := kvArgs{addr: "127.0.0.1:6379", settings: map[string]string{"dir": "kv-data", "appendonly": "yes"}}
	if len(args) > 0 && args[0] == "check" {
		a.check, args = true, args[1:]
	}
	for len(args) > 0 {
		name, ok := strings.CutPrefix(args[0], "--")
		if !ok || name == "" {
			return a, fmt.Errorf("%q is no setting: --NAME VALUE is wanted", args[0])
		}
		args = args[1:]
		if a.check && name == "fix" {
			a.fix = true
			continue
		}
		name, value, given := strings.Cut(name, "=")
		if !given {
			if len(args) == 0 {
				return a, fmt.Errorf("--%s wants a value", name)
			}
			value, args = args[0], args[1:]
			for name == "save" && len(args) > 0 && !strings.HasPrefix(args[0], "--") { // --save 60 1, as redis-server has it
				value, args = value+" "+args[0], args[1:]
			}
		}
		if err := a.set(strings.ToLower(name), value); err != nil {
			return a, err
		}
	}
	return a, nil
}

func (a *kvArgs) set(name, value string) error {
	host, port, err := net.SplitHostPort(a.addr)
	if err != nil {
		return err
	}
	switch name {
	case "addr":
		if _, _, err := net.SplitHostPort(value); err != nil {
			return fmt.Errorf("--addr: %w", err)
		}
		a.addr = value
	case "port":
		a.addr = net.JoinHostPort(host, value)
	case "bind":
		a.addr = net.JoinHostPort(value, port)
	case "unixsocket":
		a.socket = value
	default:
		a.settings[name] = value
	}
	return nil
}

func checkKV(a kvArgs, out io.Writer) error {
	reports, err := kv.Check(a.settings["dir"], a.fix)
	for _, r := range reports {
		state := "whole"
		switch {
		case r.Copy != "":
			state = fmt.Sprintf("mended: %d bytes were cut off; %s is as it was", r.Cut, r.Copy)
		case r.Err != nil:
			state = "damaged"
		}
		if _, err := fmt.Fprintf(out, "%s: %d bytes, %d keys, %d commands, %s\n", r.Name, r.Size, r.Keys, r.Commands, state); err != nil {
			return err
		}
		for _, w := range r.Warnings {
			if _, err := fmt.Fprintf(out, "  %s\n", w); err != nil {
				return err
			}
		}
	}
	return err
}

// serveKV opens the database and serves it until ctx ends or a client sends SHUTDOWN.
func serveKV(ctx context.Context, a kvArgs, log *slog.Logger) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Listening comes first: whether the address is free is known before the data is loaded. Who connects
	// meanwhile waits.
	listeners, err := listenKV(ctx, a)
	if err != nil {
		return err
	}
	db, err := kv.Open(kv.Options{ //nolint:contextcheck // scripts end with the database
		Dir: a.settings["dir"], Settings: a.settings, Logger: log, OnShutdown: cancel,
		Progress: func(p kv.Progress) {
			log.Info("loading", "bytes", p.Loaded, "of", p.Total, "keys", p.Keys, "commands", p.Commands,
				"elapsed", p.Elapsed.Round(time.Millisecond), "mb_per_second", int(p.Rate()/1e6))
		},
	})
	if err != nil {
		for _, ln := range listeners {
			_ = ln.Close()
		}
		if errors.Is(err, kv.ErrInvalidOption) {
			return usageError{err}
		}
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	served := make(chan error, len(listeners))
	for _, ln := range listeners {
		go func() { served <- db.Serve(ln) }()
		log.Info("serving", "addr", ln.Addr(), "dir", a.settings["dir"], "appendonly", a.settings["appendonly"], "pid", os.Getpid())
		if tcp, ok := ln.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() && a.settings["requirepass"] == "" {
			log.Warn("anybody who reaches this address can read and write; set --requirepass", "addr", ln.Addr())
		}
	}
	select {
	case <-ctx.Done():
		log.Info("stopping")
		return nil
	case err := <-served:
		return err
	}
}

func listenKV(ctx context.Context, a kvArgs) (listeners []net.Listener, err error) {
	var lc net.ListenConfig
	if _, port, _ := net.SplitHostPort(a.addr); port != "0" || a.socket == "" {
		ln, err := lc.Listen(ctx, "tcp", a.addr)
		if err != nil {
			return nil, err
		}
		listeners = append(listeners, ln)
	}
	if a.socket != "" {
		ln, err := lc.Listen(ctx, "unix", a.socket)
		if err != nil {
			for _, ln := range listeners {
				_ = ln.Close()
			}
			return nil, err
		}
		listeners = append(listeners, ln)
	}
	return listeners, nil
}
