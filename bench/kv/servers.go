package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/zmsg/zmsg/internal/testenv"
)

// pair is kv and Redis, run with the same settings.
type pair [2]*testenv.Redis

// names are theirs.
var names = [2]string{"kv", "redis"}

// start starts both.
func start(ctx context.Context, s settings, opts testenv.RedisOptions) (p pair, err error) {
	for i := range p {
		if p[i], err = startOne(ctx, s, i, opts); err != nil {
			return p, errors.Join(err, p.close())
		}
	}
	return p, nil
}

func startOne(ctx context.Context, s settings, i int, opts testenv.RedisOptions) (*testenv.Redis, error) {
	if names[i] == "kv" {
		if err := os.Setenv(testenv.StandIn, s.bin); err != nil {
			return nil, err
		}
		defer func() { _ = os.Unsetenv(testenv.StandIn) }() // cannot fail for a name that Setenv took
	}
	return testenv.StartRedis(ctx, opts)
}

func (p pair) close() error {
	var err error
	for _, r := range p {
		if r != nil {
			err = errors.Join(err, r.Close())
		}
	}
	return err
}

// field returns a number of INFO.
func field(ctx context.Context, r *testenv.Redis, name string) (int64, error) {
	text, err := r.Do(ctx, "INFO")
	if err != nil {
		return 0, err
	}
	for line := range strings.SplitSeq(text, "\r\n") {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strconv.ParseInt(value, 10, 64)
		}
	}
	return 0, fmt.Errorf("INFO has no %s", name)
}

// resident is the memory of a server's process, in bytes.
func resident(ctx context.Context, r *testenv.Redis) (int64, error) {
	pid, err := field(ctx, r, "process_id")
	if err != nil {
		return 0, err
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.SplitSeq(string(status), "\n") {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("the process does not tell its memory")
}
