package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zmsg/zmsg/internal/testenv"
)

// load measures how long each takes to come back with many keys, from the log as it was written and from a
// rewritten one.
func load(ctx context.Context, s settings) error {
	fmt.Printf("\nLoading %d keys at the start, from stopped to answering\n\n", s.keys)
	fmt.Println("| files | kv s | redis s | kv keys/s | redis keys/s | kv / redis |")
	fmt.Println("|---|---|---|---|---|---|")
	p, err := start(ctx, s, testenv.RedisOptions{AppendOnly: true, Args: []string{"--auto-aof-rewrite-percentage", "0"}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	for _, r := range p {
		if err := fill(ctx, r.Addr(), s.keys, shapes[0]); err != nil {
			return err
		}
	}
	if err := restart(ctx, s, p, "a log of commands"); err != nil {
		return err
	}
	for _, r := range p {
		if err := rewrite(ctx, r); err != nil {
			return err
		}
	}
	return restart(ctx, s, p, "a rewritten log (RDB)")
}

func restart(ctx context.Context, s settings, p pair, files string) error {
	var took [2]float64
	for i, r := range p {
		if err := r.Stop(); err != nil {
			return err
		}
		began := time.Now()
		if err := r.Start(ctx); err != nil {
			return err
		}
		took[i] = time.Since(began).Seconds()
		if n, err := r.Do(ctx, "DBSIZE"); err != nil || n != fmt.Sprint(s.keys) {
			return fmt.Errorf("%s has %s keys: %w", names[i], n, err)
		}
	}
	n := float64(s.keys)
	fmt.Printf("| %s | %.2f | %.2f | %.0f | %.0f | %.2f |\n", files, took[0], took[1], n/took[0], n/took[1], took[1]/took[0])
	return nil
}

func rewrite(ctx context.Context, r *testenv.Redis) error {
	if _, err := r.Do(ctx, "BGREWRITEAOF"); err != nil {
		return err
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		running, err := field(ctx, r, "aof_rewrite_in_progress")
		if err != nil {
			return err
		}
		if running == 0 {
			return nil
		}
	}
}
