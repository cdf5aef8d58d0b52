package snowflake

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/zmsg/zmsg/internal/lifecycle"
)

// MaxBatch is the largest number of IDs of one call.
const MaxBatch = 10_000

// ErrNoLease says that no window of time is held, so that no ID can be made now: the database has been
// away for longer than the window, or was never reached.
var ErrNoLease = errors.New("no IDs can be made now")

// Config of a Generator.
type Config struct {
	Window time.Duration `env:"ID_WINDOW" envDefault:"2m" unit:"duration" desc:"time reserved ahead in the database; IDs are made for so long while it is away, and a crashed process holds its node for so long"`
	// Margin is 0 because PostgreSQL keeps what it has committed, unless it fails over to a standby
	// that lags. Where that may happen, the lost reservation reached up to Window beyond the clock, so
	// a margin of Window plus the lag of clocks between the servers keeps IDs unique. It delays
	// the first ID after each start by as much, less the second that timestamps may run ahead.
	Margin  time.Duration `env:"ID_FAILOVER_MARGIN" envDefault:"0s" unit:"duration" desc:"delay of a node's first ID; at least ID_WINDOW plus the difference of clocks, where the database may fail over to a standby that lags (asynchronous replication)"`
	MaxWait time.Duration `env:"ID_MAX_WAIT" envDefault:"500ms" unit:"duration" desc:"longest wait of a request for an ID when none can be made"`

	// Elapsed, if not nil, replaces the monotonic clock: for tests that pause and step it.
	Elapsed func() time.Duration `env:"-"`
}

// Validate reports every setting that cannot work, by the name of its variable.
func (c Config) Validate() error {
	var errs []error
	if c.Window < 100*time.Millisecond || c.Window > time.Hour {
		errs = append(errs, errors.New("ID_WINDOW: must be from 100ms to 1h"))
	}
	if c.Margin < 0 || c.Margin > 24*time.Hour {
		errs = append(errs, errors.New("ID_FAILOVER_MARGIN: must be from 0 to 24h"))
	}
	if c.MaxWait < 0 {
		errs = append(errs, errors.New("ID_MAX_WAIT: must not be negative"))
	}
	return errors.Join(errs...)
}

// Generator makes IDs. It is safe for concurrent use. Start takes a node in the background, and does not
// wait for it.
type Generator struct {
	*lifecycle.Loop // renews the grant

	cfg   Config
	nodes Nodes

	mu      sync.Mutex // never held over a wait or a call of nodes
	clock   clock
	slots   slots
	held    bool
	changed chan struct{} // closed when a grant comes or is extended
	failure error         // of the last call of nodes
	stats   Stats
}

// Stats is what a Generator has done and where it stands.
type Stats struct {
	Held     bool      `json:"held"`
	Node     int       `json:"node"`
	Epoch    int64     `json:"epoch"`    // of the node
	Until    time.Time `json:"until"`    // end of the reservation
	Minted   uint64    `json:"minted"`   // IDs
	Waits    uint64    `json:"waits"`    // calls that could not be served at once
	Acquired uint64    `json:"acquired"` // nodes taken
	Extended uint64    `json:"extended"` // extensions
	Lost     uint64    `json:"lost"`     // nodes lost, or given back because the clock stepped back
	Failures uint64    `json:"failures"` // failed calls of the database
}

// New returns a Generator that has not started.
func New(cfg Config, nodes Nodes) (*Generator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Elapsed == nil {
		start := time.Now()
		cfg.Elapsed = func() time.Duration { return time.Since(start) }
	}
	g := &Generator{cfg: cfg, nodes: nodes, changed: make(chan struct{}), clock: clock{elapsed: cfg.Elapsed}}
	g.Loop = lifecycle.NewLoop(g.keep)
	return g, nil
}

// Mint returns n new IDs (1 to MaxBatch) in ascending order. When none can be made it waits for at
// most MaxWait, then returns an error that is ErrNoLease; or ctx's error, if ctx ends before.
func (g *Generator) Mint(ctx context.Context, n int) ([]ID, error) {
	if n < 1 || n > MaxBatch {
		return nil, fmt.Errorf("cannot make %d IDs at once: from 1 to %d", n, MaxBatch)
	}
	ids, pause, changed := g.take(make([]ID, 0, n), n)
	if len(ids) == n {
		return ids, nil
	}
	timeout := time.NewTimer(g.cfg.MaxWait)
	defer timeout.Stop()
	for len(ids) < n {
		ready := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			ready.Stop()
			return nil, ctx.Err()
		case <-timeout.C:
			ready.Stop()
			return nil, g.unavailable()
		case <-changed:
			ready.Stop()
		case <-ready.C:
		}
		ids, pause, changed = g.take(ids, n)
	}
	return ids, nil
}

// take completes ids to n, as far as it can. If it cannot, another try is worth it after pause, or
// when changed is closed.
func (g *Generator) take(ids []ID, n int) (got []ID, pause time.Duration, changed <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held {
		now := g.clock.now()
		if had := len(ids); had > 0 && g.slots.first(now) < ids[had-1] {
			ids = ids[:0] // another node after the clock stepped back: begin anew, to keep the order
		}
		had := len(ids)
		ids = g.slots.take(ids, n-had, now)
		g.stats.Minted += uint64(len(ids) - had)
		if len(ids) == n {
			return ids, 0, nil
		}
	}
	g.stats.Waits++
	return ids, g.pause(), g.changed
}

// pause returns how long to wait before trying again, if no grant comes before.
func (g *Generator) pause() time.Duration {
	if g.held {
		if ms, ok := g.slots.wait(g.clock.now()); ok {
			return time.Duration(max(ms, 1)) * time.Millisecond
		}
	}
	return g.cfg.Window // longer than anybody waits without a grant
}

// Ready returns nil if an ID could be made now or within the second that timestamps may run ahead.
func (g *Generator) Ready() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held {
		if ms, ok := g.slots.wait(g.clock.now()); ok && ms <= ahead {
			return nil
		}
	}
	return g.unavailableLocked()
}

func (g *Generator) unavailable() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.unavailableLocked()
}

func (g *Generator) unavailableLocked() error {
	switch {
	case g.clock.set && g.clock.now() >= endMillis:
		return fmt.Errorf("%w: the 41 bits of time ended at %s", ErrNoLease, ExpiresAt().Format(time.RFC3339))
	case g.failure != nil:
		return fmt.Errorf("%w: %w", ErrNoLease, g.failure)
	default:
		return ErrNoLease
	}
}

// Stats returns a snapshot.
func (g *Generator) Stats() Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.stats
	s.Held = g.held
	if g.held {
		s.Node, s.Epoch, s.Until = g.slots.grant.Node, g.slots.grant.Epoch, time.UnixMilli(g.slots.until).UTC()
	}
	return s
}
