package redisconn

import (
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zmsg/zmsg/internal/testenv"
)

// A Durable whose level is not met runs plain commands all the same.
func TestDurablePlainWaitsForNoProof(t *testing.T) {
	t.Parallel()
	s := testenv.NewRedis(t, testenv.RedisOptions{})
	d := newDurable(t, open(t, Config{Addr: []string{s.Addr()}}), Durability{Level: LevelReplicated, Timeout: 50 * time.Millisecond})
	if err := incr(t, d, "n"); !errors.Is(err, ErrNotDurable) {
		t.Fatalf("without replicas: %v", err)
	}
	waits := calls(t, s, "wait")
	cmd := redis.NewIntCmd(t.Context(), "incr", "n")
	if err := d.DoPlain(t.Context(), cmd); err != nil || cmd.Val() != 2 {
		t.Errorf("got %d, %v", cmd.Val(), err)
	}
	if n := calls(t, s, "wait"); n != waits {
		t.Errorf("%d calls of WAIT, %d before", n, waits)
	}
	d.Close()
	if err := d.DoPlain(t.Context(), redis.NewIntCmd(t.Context(), "incr", "n")); !errors.Is(err, ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}
