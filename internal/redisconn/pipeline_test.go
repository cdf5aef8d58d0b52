package redisconn

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zmsg/zmsg/internal/testenv"
)

func newPipeline(tb testing.TB, client redis.UniversalClient, cfg PipelineConfig) *Pipeline {
	tb.Helper()
	p := NewPipeline(client, cfg)
	tb.Cleanup(p.Close)
	return p
}

func TestPipelineGivesEachCallerItsOwnResult(t *testing.T) {
	t.Parallel()
	conn := open(t, Config{Addr: []string{testenv.RedisAddr(t)}})
	p := newPipeline(t, conn.Client(), PipelineConfig{MaxBatch: 16})
	var callers sync.WaitGroup
	for g := range 64 {
		callers.Go(func() {
			for i := range 50 {
				key := keyName(g*1000 + i)
				if err := p.Do(t.Context(), redis.NewStatusCmd(t.Context(), "set", key, key)); err != nil {
					t.Errorf("set %s: %v", key, err)
					return
				}
				get := redis.NewStringCmd(t.Context(), "get", key)
				if err := p.Do(t.Context(), get); err != nil || get.Val() != key {
					t.Errorf("get %s: %q, %v", key, get.Val(), err)
					return
				}
				if err := p.Do(t.Context(), redis.NewStringCmd(t.Context(), "get", "no"+key)); !errors.Is(err, redis.Nil) {
					t.Errorf("get of a missing key: %v", err)
				}
				if err := p.Do(t.Context(), redis.NewIntCmd(t.Context(), "incr", key)); err == nil {
					t.Errorf("incr of the word %s succeeded", key)
				}
			}
		})
	}
	callers.Wait()
}

func TestPipelineDoManySplitsAndKeepsErrorsApart(t *testing.T) {
	t.Parallel()
	conn := open(t, Config{Addr: []string{testenv.RedisAddr(t)}})
	p := newPipeline(t, conn.Client(), PipelineConfig{MaxBatch: 7, MaxQueued: 2, InFlight: 1})
	if err := conn.Client().Set(t.Context(), "word", "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	cmds := make([]redis.Cmder, 100)
	for i := range cmds {
		if i%10 == 3 {
			cmds[i] = redis.NewIntCmd(t.Context(), "incr", "word")
		} else {
			cmds[i] = redis.NewIntCmd(t.Context(), "incr", keyName(i))
		}
	}
	if err := p.DoMany(t.Context(), cmds); err != nil {
		t.Fatal(err)
	}
	for i, cmd := range cmds {
		if failed := cmd.Err() != nil; failed != (i%10 == 3) {
			t.Errorf("command %d: %v", i, cmd.Err())
		}
	}
	if err := p.DoMany(t.Context(), nil); err != nil {
		t.Errorf("no commands: %v", err)
	}
}

// slowClient counts pipelines and holds them until it is let go.
type slowClient struct {
	redis.UniversalClient
	gate     chan struct{}
	started  atomic.Int64
	executed atomic.Int64
}

func (c *slowClient) Process(ctx context.Context, cmd redis.Cmder) error {
	c.started.Add(1)
	select {
	case <-c.gate:
	case <-ctx.Done():
		cmd.SetErr(ctx.Err())
		return ctx.Err()
	}
	c.executed.Add(1)
	return c.UniversalClient.Process(ctx, cmd)
}

// until polls cond until it holds.
func until(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	within(tb, 10*time.Second, what, cond)
}

func within(tb testing.TB, limit time.Duration, what string, cond func() bool) {
	tb.Helper()
	for end := time.Now().Add(limit); !cond(); {
		if time.Now().After(end) {
			tb.Fatalf("%s: not within %v", what, limit)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestPipelineCancelReturnsAtOnceAndFailsNobodyElse(t *testing.T) {
	t.Parallel()
	conn := open(t, Config{Addr: []string{testenv.RedisAddr(t)}})
	slow := &slowClient{UniversalClient: conn.Client(), gate: make(chan struct{})}
	p := newPipeline(t, slow, PipelineConfig{InFlight: 1, Timeout: time.Minute})

	first := make(chan error, 1)
	firstCtx, cancelFirst := context.WithCancel(t.Context())
	go func() { first <- p.Do(firstCtx, redis.NewIntCmd(firstCtx, "incr", "n")) }()
	until(t, "first command under way", func() bool { return slow.started.Load() == 1 })

	second := make(chan error, 1)
	secondCtx, cancelSecond := context.WithCancel(t.Context())
	go func() { second <- p.Do(secondCtx, redis.NewIntCmd(secondCtx, "incr", "n")) }()
	third := make(chan error, 1)
	cmd := redis.NewIntCmd(t.Context(), "incr", "n")
	go func() { third <- p.Do(t.Context(), cmd) }()
	until(t, "two queued", func() bool { return len(p.queue) == 2 })

	cancelFirst()
	cancelSecond()
	for _, done := range []chan error{first, second} {
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled caller got %v", err)
		}
	}
	close(slow.gate)
	// The first was sent already and the second never was: the third counts two.
	if err := <-third; err != nil || cmd.Val() != 2 {
		t.Errorf("third caller: %d, %v", cmd.Val(), err)
	}
}

func TestPipelineQueueIsBounded(t *testing.T) {
	t.Parallel()
	conn := open(t, Config{Addr: []string{testenv.RedisAddr(t)}})
	slow := &slowClient{UniversalClient: conn.Client(), gate: make(chan struct{})}
	p := newPipeline(t, slow, PipelineConfig{InFlight: 1, MaxQueued: 3, Timeout: time.Minute})
	results := make(chan error, 4)
	do := func() { results <- p.Do(t.Context(), redis.NewIntCmd(t.Context(), "incr", "n")) }
	go do()
	until(t, "first command under way", func() bool { return slow.started.Load() == 1 })
	for range 3 {
		go do()
	}
	until(t, "full queue", func() bool { return len(p.queue) == 3 })

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := p.Do(ctx, redis.NewIntCmd(ctx, "incr", "n")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("caller at a full queue got %v", err)
	}
	close(slow.gate)
	for range 4 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if n, err := conn.Client().Get(t.Context(), "n").Int(); err != nil || n != 4 {
		t.Errorf("counted %d, %v", n, err)
	}
}

func TestPipelineTimeoutIsItsOwn(t *testing.T) {
	t.Parallel()
	client := redis.NewClient(&redis.Options{
		Addr: deaf(t), MaxRetries: noRetry, ContextTimeoutEnabled: true, DialerRetries: 1,
	})
	t.Cleanup(func() { _ = client.Close() })
	p := newPipeline(t, client, PipelineConfig{Timeout: 50 * time.Millisecond})
	began := time.Now()
	var callers sync.WaitGroup
	for range 20 {
		callers.Go(func() {
			if err := p.Do(context.WithoutCancel(t.Context()), redis.NewIntCmd(t.Context(), "incr", "n")); err == nil {
				t.Error("a deaf server answered")
			}
		})
	}
	callers.Wait()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("gave up after %v", took)
	}
}

func TestPipelineStormOfCancellations(t *testing.T) {
	t.Parallel()
	conn := open(t, Config{Addr: []string{testenv.RedisAddr(t)}})
	p := newPipeline(t, conn.Client(), PipelineConfig{MaxBatch: 8, MaxQueued: 16})
	var acknowledged, attempted atomic.Int64
	var callers sync.WaitGroup
	for range 48 {
		callers.Go(func() {
			for range 100 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(2000))*time.Microsecond)
				attempted.Add(1)
				if rand.IntN(4) == 0 {
					cmds := []redis.Cmder{redis.NewIntCmd(ctx, "incr", "n"), redis.NewIntCmd(ctx, "incr", "m")}
					if err := p.DoMany(ctx, cmds); err == nil && cmds[0].Err() == nil {
						acknowledged.Add(1)
					}
				} else if cmd := redis.NewIntCmd(ctx, "incr", "n"); p.Do(ctx, cmd) == nil {
					if cmd.Val() < 1 {
						t.Errorf("incr gave %d", cmd.Val())
					}
					acknowledged.Add(1)
				}
				cancel()
			}
		})
	}
	callers.Wait()
	// A caller without a deadline gets through, so no slot and no queue place has been lost.
	cmd := redis.NewStringCmd(t.Context(), "get", "n")
	if err := p.Do(t.Context(), cmd); err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseInt(cmd.Val(), 10, 64)
	if err != nil || n < acknowledged.Load() || n > attempted.Load() {
		t.Errorf("%d increments, %d acknowledged, %d attempted (%v)", n, acknowledged.Load(), attempted.Load(), err)
	}
	if acknowledged.Load() == 0 {
		t.Error("nothing was acknowledged")
	}
}

func TestPipelineServerKilled(t *testing.T) {
	t.Parallel()
	s := testenv.NewRedis(t, testenv.RedisOptions{})
	conn := open(t, Config{Addr: []string{s.Addr()}})
	p := newPipeline(t, conn.Client(), PipelineConfig{})
	var served, failed atomic.Int64
	var callers sync.WaitGroup
	for range 16 {
		callers.Go(func() {
			for failed.Load() < 200 {
				if err := p.Do(t.Context(), redis.NewIntCmd(t.Context(), "incr", "n")); err != nil {
					failed.Add(1)
				} else {
					served.Add(1)
				}
			}
		})
	}
	until(t, "commands served", func() bool { return served.Load() > 100 })
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	callers.Wait()
}

func TestPipelineClose(t *testing.T) {
	t.Parallel()
	conn := open(t, Config{Addr: []string{testenv.RedisAddr(t)}})
	slow := &slowClient{UniversalClient: conn.Client(), gate: make(chan struct{})}
	p := NewPipeline(slow, PipelineConfig{InFlight: 1, Timeout: time.Minute})
	results := make(chan error, 2)
	do := func() { results <- p.Do(t.Context(), redis.NewIntCmd(t.Context(), "incr", "n")) }
	go do()
	until(t, "first command under way", func() bool { return slow.started.Load() == 1 })
	go do()
	until(t, "second queued", func() bool { return len(p.queue) == 1 })
	closed := make(chan struct{})
	go func() { p.Close(); p.Close(); close(closed) }()
	if err := <-results; !errors.Is(err, ErrClosed) {
		t.Errorf("queued caller got %v", err)
	}
	close(slow.gate)
	if err := <-results; err != nil {
		t.Errorf("caller under way got %v", err)
	}
	<-closed
	if err := p.Do(t.Context(), redis.NewIntCmd(t.Context(), "incr", "n")); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if slow.executed.Load() != 1 {
		t.Errorf("%d commands ran", slow.executed.Load())
	}
}

func BenchmarkGet(b *testing.B) {
	conn := open(b, Config{Addr: []string{testenv.RedisAddr(b)}})
	client := conn.Client()
	if err := client.Set(b.Context(), "key", "0123456789", 0).Err(); err != nil {
		b.Fatal(err)
	}
	p := newPipeline(b, client, PipelineConfig{})
	for _, goroutines := range []int{1, 8, 64} {
		b.Run("plain/"+strconv.Itoa(goroutines), func(b *testing.B) {
			spread(b, goroutines, func(ctx context.Context) error { return client.Get(ctx, "key").Err() })
		})
		b.Run("pipeline/"+strconv.Itoa(goroutines), func(b *testing.B) {
			spread(b, goroutines, func(ctx context.Context) error {
				return p.Do(ctx, redis.NewStringCmd(ctx, "get", "key"))
			})
		})
	}
}

// spread runs b.N calls of f by a number of goroutines, whose contexts can be cancelled, as those of
// requests can.
func spread(b *testing.B, goroutines int, f func(context.Context) error) {
	b.Helper()
	b.ReportAllocs()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	var left atomic.Int64
	left.Store(int64(b.N))
	var callers sync.WaitGroup
	for range goroutines {
		callers.Go(func() {
			for left.Add(-1) >= 0 {
				if err := f(ctx); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	callers.Wait()
}
