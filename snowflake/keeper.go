package snowflake

import (
	"context"
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"time"
)

// Stop ends the making of IDs and gives the node back, so that another process can have it at once.
func (g *Generator) Stop(ctx context.Context) error {
	if err := g.Loop.Stop(ctx); err != nil {
		return err
	}
	return g.giveBack(ctx)
}

// keep renews the grant each third of the window, sooner after a failure.
func (g *Generator) keep(ctx context.Context) {
	for {
		pause := g.cfg.Window / 3
		if err := g.renew(ctx); err != nil {
			pause = g.cfg.Window/20 + mathrand.N(g.cfg.Window/20) // random, lest replicas ask in step
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// renew extends the grant, or takes another when it is lost. While the database is away the grant
// stays in use: its own end stops it.
func (g *Generator) renew(ctx context.Context) error {
	err := g.extend(ctx)
	if errors.Is(err, ErrLost) {
		err = g.acquire(ctx)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failure = err
	if err != nil && ctx.Err() == nil {
		g.stats.Failures++
	}
	return err
}

func (g *Generator) extend(ctx context.Context) error {
	grant, held := g.current()
	if !held {
		return ErrLost
	}
	sent := g.clock.elapsed()
	call, cancel := context.WithTimeout(ctx, g.cfg.Window/3)
	defer cancel()
	next, err := g.nodes.Extend(call, grant, g.cfg.Window)
	if errors.Is(err, ErrLost) {
		g.drop()
		g.count(&g.stats.Lost)
		return err
	}
	if err != nil {
		return err
	}
	if g.extended(sent, next) {
		return nil
	}
	// The clock has stepped back, and this node's next timestamps are far ahead of it. Another
	// node has its slots of now.
	g.count(&g.stats.Lost)
	if err := g.giveBack(ctx); err != nil {
		return err
	}
	return ErrLost
}

// extended puts an extension into effect. It returns false if the slots left are out of reach.
func (g *Generator) extended(sent time.Duration, next Grant) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.clock.observe(sent, next.Now)
	g.slots.extend(next)
	g.stats.Extended++
	g.announce()
	return !g.slots.outrun(g.clock.now())
}

func (g *Generator) acquire(ctx context.Context) error {
	sent := g.clock.elapsed()
	call, cancel := context.WithTimeout(ctx, g.cfg.Window/3)
	defer cancel()
	grant, err := g.nodes.Acquire(call, rand.Text(), g.cfg.Window)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.clock.observe(sent, grant.Now)
	g.slots, g.held = newSlots(grant, g.cfg.Margin), true
	g.stats.Acquired++
	g.announce()
	return nil
}

// announce wakes those who wait for a grant.
func (g *Generator) announce() {
	close(g.changed)
	g.changed = make(chan struct{})
}

func (g *Generator) count(n *uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	*n++
}

func (g *Generator) current() (Grant, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.slots.grant, g.held
}

// drop ends the use of the grant. It returns the latest timestamp used.
func (g *Generator) drop() (grant Grant, last int64, held bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	held, g.held = g.held, false
	return g.slots.grant, g.slots.millis, held
}

// giveBack frees the node, after its use has ended: the other way round an ID made in between could
// be made again by the next holder.
func (g *Generator) giveBack(ctx context.Context) error {
	grant, last, held := g.drop()
	if !held {
		return nil
	}
	return g.nodes.Release(ctx, grant, last)
}
