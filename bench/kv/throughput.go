package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"github.com/zmsg/zmsg/internal/testenv"
)

// test is one command that redis-benchmark sends.
type test struct {
	name string
	args []string // of redis-benchmark
}

var tests = []test{
	{"SET", []string{"-t", "set"}},
	{"GET", []string{"-t", "get"}},
	{"INCR", []string{"-t", "incr"}},
	{"LPUSH", []string{"-t", "lpush"}},
	{"HSET", []string{"-t", "hset"}},
	{"ZADD", []string{"-t", "zadd"}},
	{"XADD", []string{"xadd", "mystream", "*", "myfield", "0123456789abcdef"}},
	{"MSET", []string{"-t", "mset"}},
}

// filling is how many keys are written to fill a server.
const filling = 1_000_000

// filling is how many requests do it.
func (t test) filling() int {
	if t.name == "MSET" {
		return filling / 10
	}
	return filling
}

// filler is what makes the keys that a test asks for.
func (t test) filler() test {
	if t.name == "GET" {
		return tests[0]
	}
	return t
}

// throughput runs redis-benchmark against both in turn.
func throughput(ctx context.Context, s settings) error {
	for _, logged := range []bool{false, true} {
		opts, title := testenv.RedisOptions{AppendOnly: logged}, "the log off"
		if logged {
			opts.Args = []string{"--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0"}
			title = "the log at everysec"
		}
		p, err := start(ctx, s, opts)
		if err != nil {
			return err
		}
		fmt.Printf("\nThroughput, redis-benchmark -c 50 -r 1000000 -d 16, %s (thousand requests a second; ratio: median of %d rounds)\n\n", title, s.rounds)
		fmt.Println("| command | -P | kv | redis | ratio | lowest | highest | goal |")
		fmt.Println("|---|---|---|---|---|---|---|---|")
		for _, pipeline := range []int{1, 16} {
			for _, t := range tests {
				if err := compare(ctx, s, p, t, pipeline, goal(pipeline, logged)); err != nil {
					return errors.Join(err, p.close())
				}
			}
		}
		if err := p.close(); err != nil {
			return err
		}
	}
	return nil
}

func goal(pipeline int, logged bool) float64 {
	switch {
	case pipeline == 1:
		return 1
	case logged:
		return 1.5
	default:
		return 1.3
	}
}

// compare measures one command in alternating rounds, the first of which does not count. Before that both get
// the keys, so that all rounds find the same: most of the million.
func compare(ctx context.Context, s settings, p pair, t test, pipeline int, goal float64) error {
	n := s.requests
	if pipeline > 1 {
		n *= 4
	}
	var rates [2][]float64
	var ratios []float64
	for i := range p {
		if _, err := p[i].Do(ctx, "FLUSHALL"); err != nil {
			return err
		}
		if _, err := benchmark(ctx, p[i].Addr(), t.filler(), t.filling(), 16); err != nil {
			return err
		}
	}
	for round := range s.rounds + 1 {
		var rate [2]float64
		for turn := range p {
			i := (turn + round) % 2 // neither is always the first
			var err error
			if rate[i], err = benchmark(ctx, p[i].Addr(), t, n, pipeline); err != nil {
				return err
			}
		}
		if round > 0 {
			rates[0], rates[1] = append(rates[0], rate[0]), append(rates[1], rate[1])
			ratios = append(ratios, rate[0]/rate[1])
		}
	}
	m := median(ratios)
	fmt.Printf("| %s | %d | %.0f | %.0f | %.2f | %.2f | %.2f | %.1f %s |\n", t.name, pipeline,
		median(rates[0])/1000, median(rates[1])/1000, m, ratios[0], ratios[len(ratios)-1], goal, verdict(m, goal))
	return nil
}

// benchmark returns the requests a second that redis-benchmark has measured.
func benchmark(ctx context.Context, addr string, t test, n, pipeline int) (float64, error) {
	host, port, _ := strings.Cut(addr, ":")
	args := append([]string{
		"-h", host, "-p", port, "-c", "50", "-r", "1000000", "-d", "16", "--csv",
		"-n", strconv.Itoa(n), "-P", strconv.Itoa(pipeline),
	}, t.args...)
	out, err := exec.CommandContext(ctx, "redis-benchmark", args...).Output()
	if err != nil {
		return 0, fmt.Errorf("redis-benchmark %v: %w", t.args, err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	fields := strings.Split(lines[len(lines)-1], ",")
	if len(fields) < 2 {
		return 0, fmt.Errorf("redis-benchmark %v printed %q", t.args, out)
	}
	return strconv.ParseFloat(strings.Trim(fields[1], `"`), 64)
}
