package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zmsg/zmsg/internal/testenv"
)

// shape is a way to keep many small values.
type shape struct {
	name string
	add  func(ctx context.Context, p redis.Pipeliner, i int)
}

var shapes = []shape{
	{"strings: key and value of 16 bytes", func(ctx context.Context, p redis.Pipeliner, i int) {
		p.Set(ctx, fmt.Sprintf("key:%012d", i), fmt.Sprintf("val:%012d", i), 0)
	}},
	{"one hash: field and value of 16 bytes", func(ctx context.Context, p redis.Pipeliner, i int) {
		p.HSet(ctx, "hash", fmt.Sprintf("key:%012d", i), fmt.Sprintf("val:%012d", i))
	}},
	{"one sorted set: member of 16 bytes", func(ctx context.Context, p redis.Pipeliner, i int) {
		p.ZAdd(ctx, "zset", redis.Z{Score: float64(i * 7919 % 1_000_003), Member: fmt.Sprintf("key:%012d", i)})
	}},
	{"hashes of 10 fields in 16-byte keys", func(ctx context.Context, p redis.Pipeliner, i int) {
		p.HSet(ctx, fmt.Sprintf("hash:%011d", i/10), fmt.Sprintf("field%d", i%10), fmt.Sprintf("val:%012d", i))
	}},
}

// memory fills both with many small values and compares their processes' memory, at its fullest and when
// the values have been overwritten by others of other lengths.
func memory(ctx context.Context, s settings) error {
	fmt.Printf("\nMemory: resident bytes per element, %d elements\n\n", s.keys)
	fmt.Println("| shape | kv | redis | kv / redis |")
	fmt.Println("|---|---|---|---|")
	for _, sh := range shapes {
		var perKey [2]float64
		for i := range perKey {
			bytes, err := fillOne(ctx, s, i, sh)
			if err != nil {
				return fmt.Errorf("%s: %w", sh.name, err)
			}
			perKey[i] = float64(bytes) / float64(s.keys)
		}
		note := ""
		if sh.name == shapes[0].name {
			note = fmt.Sprintf(" (goal 110: %s)", verdict(110, perKey[0]))
		}
		fmt.Printf("| %s | %.0f%s | %.0f | %.2f |\n", sh.name, perKey[0], note, perKey[1], perKey[0]/perKey[1])
	}
	return nil
}

func fillOne(ctx context.Context, s settings, i int, sh shape) (bytes int64, err error) {
	r, err := startOne(ctx, s, i, testenv.RedisOptions{})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	before, err := resident(ctx, r)
	if err != nil {
		return 0, err
	}
	if err := fill(ctx, r.Addr(), s.keys, sh); err != nil {
		return 0, err
	}
	after, err := resident(ctx, r)
	return after - before, err
}

// fill adds n elements in pipelines.
func fill(ctx context.Context, addr string, n int, sh shape) (err error) {
	c := redis.NewClient(&redis.Options{Addr: addr, ReadTimeout: time.Minute, WriteTimeout: time.Minute})
	defer func() { err = errors.Join(err, c.Close()) }()
	const batch = 2000
	for from := 0; from < n; from += batch {
		p := c.Pipeline()
		for i := from; i < min(from+batch, n); i++ {
			sh.add(ctx, p, i)
		}
		if _, err := p.Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}
