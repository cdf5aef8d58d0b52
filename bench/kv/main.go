// Command kv measures zmsg kv beside a redis-server with the same settings, in alternating rounds of one
// run, and prints what it finds as tables: throughput by redis-benchmark, the Go API and the connection in
// process beside go-redis over loopback, memory per key, and loading.
//
// Machines are noisy: the figures to look at are the ratios. Each is the median over the rounds of kv's
// figure divided by Redis's in the same round.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// settings are the command line.
type settings struct {
	bin      string
	rounds   int
	requests int
	keys     int
	only     string
}

func main() {
	var s settings
	flag.StringVar(&s.bin, "bin", "bin/zmsg", "the zmsg binary")
	flag.IntVar(&s.rounds, "rounds", 5, "rounds that count, after one to warm up")
	flag.IntVar(&s.requests, "requests", 200_000, "requests of each measurement without pipelining; four times as many with")
	flag.IntVar(&s.keys, "keys", 1_000_000, "keys, elements and rounds where memory, loading and growth are measured")
	flag.StringVar(&s.only, "only", "", "one part alone: throughput, api, memory, load or growth")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, s)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/kv:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) error {
	for _, part := range []struct {
		name string
		run  func(context.Context, settings) error
	}{
		{"throughput", throughput}, {"api", api}, {"memory", memory}, {"load", load}, {"growth", growth},
	} {
		if s.only != "" && s.only != part.name {
			continue
		}
		if err := part.run(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}

// median returns the middle of the values, which it sorts.
func median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	if n%2 == 1 {
		return values[n/2]
	}
	return (values[n/2-1] + values[n/2]) / 2
}

// verdict says whether a ratio reaches its goal.
func verdict(ratio, goal float64) string {
	if ratio >= goal {
		return "reached"
	}
	return "FALLS SHORT"
}
