// Command demo runs zmsg as a social application would, through HTTP, and checks what it says against
// what it was told: it writes items of many authors over two replicas, edits and deletes some, increments
// counters and reads them meanwhile, reads the items back, and in the end compares every item, every
// author's list and every counter with SQL and with its own record of all acknowledged writes. It exits
// with 1 unless all of them agree.
//
//	go run ./bench/demo [-items 100000] [-increments 1000000] [-kill=5] [-add] [-redis-stop=10s]
//	go run ./bench/demo -addrs http://a:8080,http://b:8080 -dsn postgres://... [-admin a:9090,b:9090]
//
// Without -addrs it builds the server and runs two replicas on a private PostgreSQL and Redis. -kill ends
// one of them by SIGKILL, -redis-stop does so with Redis; see bench/demo -help.
//
// Most increments carry no idempotency key and are never repeated: where the outcome of one stays unknown
// the record allows the counter both values.
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
	addrs      []string
	admins     []string
	dsn        string
	items      int
	authors    int
	reads      int
	increments int
	counters   int
	workers    int
	kill       moment
	add        bool
	redisStop  time.Duration
	redisAt    moment
	seed       uint64
}

func parseFlags(args []string) (options, error) {
	var o options
	var addrs, admins string
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.StringVar(&addrs, "addrs", "", "comma-separated base `URLs` of running replicas; default: start two")
	flags.StringVar(&o.dsn, "dsn", "", "PostgreSQL `URL` of the replicas, to verify with; needed with -addrs")
	flags.IntVar(&o.items, "items", 100_000, "items to create")
	flags.IntVar(&o.authors, "authors", 5_000, "authors to create them for")
	flags.IntVar(&o.reads, "reads", 0, "reads of the read-back; default: as many as items")
	flags.StringVar(&admins, "admin", "", "comma-separated admin `addresses` of the replicas of -addrs, to read metrics from")
	flags.IntVar(&o.increments, "increments", 1_000_000, "increments of counters to send; 0 for none")
	flags.IntVar(&o.counters, "counters", 10_000, "counters to increment")
	flags.IntVar(&o.workers, "workers", 48, "concurrent requests")
	flags.Var(&o.kill, "kill", "kill -9 one replica at this `tenth` of the load, 0 to 9 (-kill=3; -kill alone: 5), and start it again")
	flags.BoolVar(&o.add, "add", false, "start another replica in the place of the one that was killed")
	flags.DurationVar(&o.redisStop, "redis-stop", 0, "end Redis like a crash, and start it again with its file after so long")
	flags.Var(&o.redisAt, "redis-at", "the `tenth` of the load at which -redis-stop happens (default: three tenths away from -kill)")
	flags.Uint64Var(&o.seed, "seed", rand.Uint64(), "seed of all random choices")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%q is no flag; a moment is given as -kill=3", flags.Arg(0))
	}
	if addrs != "" {
		o.addrs = strings.Split(addrs, ",")
	}
	if admins != "" {
		o.admins = strings.Split(admins, ",")
	}
	if o.redisAt == 0 {
		o.redisAt = o.kill.apart()
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
	if o.increments < 0 || o.counters < 1 || o.redisStop < 0 {
		err = errors.Join(err, errors.New("-counters must be at least 1, -increments and -redis-stop at least 0"))
	}
	if len(o.addrs) > 0 && o.dsn == "" {
		err = errors.Join(err, errors.New("-addrs needs -dsn: the result is verified in SQL"))
	}
	if len(o.addrs) > 0 && (o.kill != 0 || o.redisStop > 0) {
		err = errors.Join(err, errors.New("-kill and -redis-stop need servers of their own: leave -addrs out"))
	}
	if o.add && o.kill == 0 {
		err = errors.Join(err, errors.New("-add needs -kill"))
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
		opts.addrs, opts.admins, opts.dsn = servers.addrs(), servers.admins(), servers.dsn()
	}
	d := newDemo(opts)
	d.report.say("%d items of %d authors, %d increments of %d counters, %d workers, seed %d",
		opts.items, opts.authors, opts.increments, opts.counters, opts.workers, opts.seed)
	if err := d.scraped(ctx, func() error { return d.phases(ctx, servers) }); err != nil {
		if servers != nil {
			err = fmt.Errorf("%w\n%s", err, servers.logs())
		}
		return err
	}
	mismatches := d.report.print()
	d.metrics.print(d.report.out)
	if mismatches > 0 {
		return errMismatches
	}
	return nil
}

// demo is one run.
type demo struct {
	opts     options
	api      *api
	book     *book
	tally    *tally
	report   *report
	metrics  *scraper
	authors  authors
	progress progress
	values   [][]int64 // of the counters in the end, by replica
	fault    time.Time // when the last one happened
}

func newDemo(opts options) *demo {
	r := newReport(os.Stdout)
	return &demo{
		opts: opts, report: r, book: &book{}, tally: newTally(opts.seed, opts.counters),
		api:     newAPI(opts.addrs, opts.workers, r),
		metrics: newScraper(opts.admins),
		authors: newAuthors(opts.seed, opts.authors),
	}
}

// scraped runs work while the metrics of the replicas are read, and reads them once more when it is done.
func (d *demo) scraped(ctx context.Context, work func() error) error {
	scraping, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.metrics.run(scraping)
	}()
	err := work()
	cancel()
	<-done
	d.metrics.scrape(ctx)
	return err
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
		{"verify counters", d.verifyCounts},
		{"SQL counters", d.verifySQLCounts},
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
