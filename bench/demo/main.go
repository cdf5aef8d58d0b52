// Command demo runs zmsg as a social application would, through HTTP, and checks what it says against
// what it was told: it writes items of many authors over two replicas, edits and deletes some, reads
// them back, and in the end compares every item and every author's list with SQL and with its own
// record of all acknowledged writes. It exits with 1 unless all of them agree.
//
//	go run ./bench/demo [-items 100000] [-authors 5000] [-kill]
//	go run ./bench/demo -addrs http://a:8080,http://b:8080 -dsn postgres://...
//
// Without -addrs it builds the server and runs two replicas on a private PostgreSQL and Redis.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	addrs   []string
	dsn     string
	items   int
	authors int
	reads   int
	workers int
	kill    bool
	seed    uint64
}

func parseFlags(args []string) (options, error) {
	var o options
	var addrs string
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.StringVar(&addrs, "addrs", "", "comma-separated base `URLs` of running replicas; default: start two")
	flags.StringVar(&o.dsn, "dsn", "", "PostgreSQL `URL` of the replicas, to verify with; needed with -addrs")
	flags.IntVar(&o.items, "items", 100_000, "items to create")
	flags.IntVar(&o.authors, "authors", 5_000, "authors to create them for")
	flags.IntVar(&o.reads, "reads", 0, "reads of the read-back; default: as many as items")
	flags.IntVar(&o.workers, "workers", 48, "concurrent requests")
	flags.BoolVar(&o.kill, "kill", false, "kill -9 one replica halfway through the load, and start it again")
	flags.Uint64Var(&o.seed, "seed", rand.Uint64(), "seed of all random choices")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if addrs != "" {
		o.addrs = strings.Split(addrs, ",")
	}
	if o.reads == 0 {
		o.reads = o.items
	}
	return o, o.check()
}

func (o *options) check() error {
	var err error
	if o.items < 1 || o.authors < 2 || o.reads < 1 || o.workers < 1 {
		err = errors.New("-items, -reads and -workers must be at least 1, -authors at least 2")
	}
	if len(o.addrs) > 0 && o.dsn == "" {
		err = errors.Join(err, errors.New("-addrs needs -dsn: the result is verified in SQL"))
	}
	if len(o.addrs) > 0 && o.kill {
		err = errors.Join(err, errors.New("-kill needs replicas of its own: leave -addrs out"))
	}
	return err
}

func main() {
	opts, err := parseFlags(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err = run(ctx, opts)
		stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

var errMismatches = errors.New("what was read is not what was written")

func run(ctx context.Context, opts options) (err error) {
	var servers *stack
	if len(opts.addrs) == 0 {
		if servers, err = startStack(ctx); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, servers.close()) }()
		opts.addrs, opts.dsn = servers.addrs(), servers.dsn()
	}
	d := newDemo(opts)
	d.report.say("%d items of %d authors, %d workers, seed %d", opts.items, opts.authors, opts.workers, opts.seed)
	if err := d.phases(ctx, servers); err != nil {
		if servers != nil {
			err = fmt.Errorf("%w\n%s", err, servers.logs())
		}
		return err
	}
	if d.report.print() > 0 {
		return errMismatches
	}
	return nil
}

// demo is one run.
type demo struct {
	opts    options
	api     *api
	book    *book
	report  *report
	authors authors
}

func newDemo(opts options) *demo {
	r := newReport(os.Stdout)
	return &demo{
		opts: opts, report: r, book: &book{},
		api:     newAPI(opts.addrs, opts.workers, r),
		authors: newAuthors(opts.seed, opts.authors),
	}
}

// phases runs the phases in order. servers is nil if the replicas are not ours.
func (d *demo) phases(ctx context.Context, servers *stack) error {
	defer d.api.close()
	steps := []struct {
		name string
		run  func(context.Context) (int, error)
	}{
		{"load", func(ctx context.Context) (int, error) { return d.load(ctx, servers) }},
		{"invalidation", d.measureInvalidation},
		{"read back", d.readBack},
		{"drain", d.awaitDrained},
		{"verify SQL", d.verifySQL},
		{"verify GET", d.verifyItems},
		{"verify lists", d.verifyLists},
	}
	for _, s := range steps {
		start := time.Now()
		n, err := s.run(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		d.report.phase(s.name, n, time.Since(start))
	}
	return nil
}
