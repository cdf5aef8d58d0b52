package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/zmsg/zmsg/internal/testenv"
	"github.com/zmsg/zmsg/kv"
)

const apiKeys = 100_000

// api measures the Go API and go-redis over the connection in process beside go-redis over loopback to a
// redis-server.
func api(ctx context.Context, s settings) (err error) {
	dir, err := os.MkdirTemp("", "bench-kv-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	db, err := kv.Open(kv.Options{Dir: dir, Fsync: kv.EverySecond}) //nolint:contextcheck // scripts end with the database
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	r, err := startOne(ctx, s, 1, testenv.RedisOptions{AppendOnly: true, Args: []string{"--appendfsync", "everysec"}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	inside := redis.NewClient(&redis.Options{Dialer: db.Dialer})
	defer func() { err = errors.Join(err, inside.Close()) }()
	outside := redis.NewClient(&redis.Options{Addr: r.Addr()})
	defer func() { err = errors.Join(err, outside.Close()) }()

	keys, value := make([]string, apiKeys), []byte("0123456789abcdef")
	for i := range keys {
		keys[i] = fmt.Sprintf("key:%012d", i)
	}
	for _, k := range keys {
		if err := errors.Join(db.Set(k, value), outside.Set(ctx, k, value, 0).Err()); err != nil {
			return err
		}
	}
	calls := []struct {
		name string
		call func(key string) error
	}{
		{"Go API Get", func(k string) error { _, err := db.Get(k); return err }},
		{"Go API Set", func(k string) error { return db.Set(k, value) }},
		{"go-redis in process, GET", func(k string) error { return inside.Get(ctx, k).Err() }},
		{"go-redis in process, SET", func(k string) error { return inside.Set(ctx, k, value, 0).Err() }},
		{"go-redis over loopback, GET", func(k string) error { return outside.Get(ctx, k).Err() }},
		{"go-redis over loopback, SET", func(k string) error { return outside.Set(ctx, k, value, 0).Err() }},
	}
	times := make([][]float64, len(calls))
	for round := range s.rounds + 1 {
		for i, c := range calls {
			took, err := each(keys, c.call)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if round > 0 {
				times[i] = append(times[i], took)
			}
		}
	}
	printAPI(times)
	return nil
}

func printAPI(times [][]float64) {
	m := make([]float64, len(times))
	for i := range times {
		m[i] = median(times[i])
	}
	fmt.Printf("\nOne caller, %d keys of 16 bytes with values of 16 bytes, the log at everysec (median)\n\n", apiKeys)
	fmt.Println("| call | ns | beside go-redis over loopback to redis-server | goal |")
	fmt.Println("|---|---|---|---|")
	fmt.Printf("| Go API Get | %.0f | %.0f times as fast | under 113 ns: %s |\n", m[0], m[4]/m[0], verdict(113, m[0]))
	fmt.Printf("| Go API Set | %.0f | %.0f times as fast | under 300 ns: %s |\n", m[1], m[5]/m[1], verdict(300, m[1]))
	fmt.Printf("| go-redis in process, GET | %.0f | %.1f times as fast | 10 times: %s |\n", m[2], m[4]/m[2], verdict(m[4]/m[2], 10))
	fmt.Printf("| go-redis in process, SET | %.0f | %.1f times as fast | |\n", m[3], m[5]/m[3])
	fmt.Printf("| go-redis over loopback, GET | %.0f | 1 | |\n", m[4])
	fmt.Printf("| go-redis over loopback, SET | %.0f | 1 | |\n", m[5])
}

// each returns the nanoseconds of a call, over all keys in turn for about a second.
func each(keys []string, call func(key string) error) (float64, error) {
	var failed error
	result := testing.Benchmark(func(b *testing.B) { //nolint:thelper // it is the benchmark itself
		for i := 0; b.Loop(); i++ {
			if err := call(keys[i%len(keys)]); err != nil {
				failed = err
			}
		}
	})
	return float64(result.T.Nanoseconds()) / float64(result.N), failed
}
