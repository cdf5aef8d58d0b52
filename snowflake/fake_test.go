package snowflake

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errAway = errors.New("the database is away")

// fakeNodes keeps the rules of Nodes in memory, under a clock that tests move.
type fakeNodes struct {
	now func() int64 // ms since 1970

	mu   sync.Mutex
	away bool
	rows []row
}

type row struct {
	holder       string
	epoch, until int64
}

func newFake(nodes int, now func() int64) *fakeNodes {
	return &fakeNodes{now: now, rows: make([]row, nodes)}
}

// realTime is the clock of time.Now, which synctest replaces.
func realTime() int64 { return time.Now().UnixMilli() + epochMillis - 900_000_000_000 } // after our epoch for synctest too, which begins in 2000

func (f *fakeNodes) setAway(away bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away = away
}

func (f *fakeNodes) Acquire(_ context.Context, holder string, window time.Duration) (Grant, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away {
		return Grant{}, errAway
	}
	now := f.now()
	for i, r := range f.rows {
		if r.until > now {
			continue
		}
		f.rows[i] = row{holder, r.epoch + 1, max(r.until, now+window.Milliseconds())}
		return Grant{i, holder, r.epoch + 1, now, max(r.until, now), f.rows[i].until}, nil
	}
	return Grant{}, ErrNoNode
}

func (f *fakeNodes) Extend(_ context.Context, g Grant, window time.Duration) (Grant, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away {
		return g, errAway
	}
	now, r := f.now(), &f.rows[g.Node]
	if r.holder != g.Holder || r.until <= now {
		return g, ErrLost
	}
	r.until = max(r.until, now+window.Milliseconds())
	g.Now, g.Until = now, r.until
	return g, nil
}

func (f *fakeNodes) Release(_ context.Context, g Grant, last int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away {
		return errAway
	}
	if r := &f.rows[g.Node]; r.holder == g.Holder {
		r.until = min(r.until, last+1)
	}
	return nil
}

func generator(tb testing.TB, cfg Config, nodes Nodes) *Generator {
	tb.Helper()
	if cfg.Window == 0 {
		cfg.Window = 10 * time.Second
	}
	if cfg.MaxWait == 0 {
		cfg.MaxWait = 500 * time.Millisecond
	}
	g, err := New(cfg, nodes)
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

// started returns a running generator that is stopped at the end of the test.
func started(tb testing.TB, cfg Config, nodes Nodes) *Generator {
	tb.Helper()
	g := generator(tb, cfg, nodes)
	if err := g.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := g.Stop(context.WithoutCancel(tb.Context())); err != nil {
			tb.Error(err)
		}
	})
	return g
}

// next makes one ID.
func (g *Generator) next(ctx context.Context) (ID, error) {
	ids, err := g.Mint(ctx, 1)
	if err != nil {
		return 0, err
	}
	return ids[0], nil
}
