package redisconn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// Durable is a Pipeline whose commands are acknowledged only when they are as durable as was asked for.
// Each pipeline goes to one process and ends with the proof, on the same connection: concurrent callers
// share one wait. Before some proofs a key is written, which expires: it is named by the key of a caller with
// ":durable" behind, and so belongs to the same slot of a Cluster if that has a {hash tag}, as it must have.
//
// A command that only read is held back too, until what it has seen is durable: so the answer to a repeated
// request promises as much as the first one did.
type Durable struct {
	conn  *Conn
	d     Durability
	cfg   PipelineConfig
	plain *Pipeline // without proofs

	mu     sync.Mutex
	closed bool
	nodes  map[*redis.Client]*durableNode
}

// Pipelines that wait for a disk are slow, a second with appendfsync everysec. So more of them are under
// way, and each takes more along.
const (
	durableInFlight = 8
	durableMaxBatch = 1024
)

// NewDurable returns a Durable over conn, which stays the caller's to close, after the Durable. Of cfg the
// limits hold for each Redis process, and the Timeout is extended by the wait for disk or replicas. With
// LevelMemory it is a Pipeline and nothing else.
func NewDurable(conn *Conn, cfg PipelineConfig, d Durability) *Durable {
	d = d.withDefaults()
	plain := NewPipeline(conn.Client(), cfg)
	if d.Level == LevelMemory {
		return &Durable{d: d, plain: plain}
	}
	cfg.InFlight = cmp.Or(cfg.InFlight, durableInFlight)
	cfg.MaxBatch = cmp.Or(cfg.MaxBatch, durableMaxBatch)
	cfg.Timeout = cmp.Or(cfg.Timeout, 2*time.Second) + d.Timeout
	return &Durable{conn: conn, d: d, cfg: cfg, plain: plain, nodes: make(map[*redis.Client]*durableNode)}
}

// Durability returns what acknowledged commands survive.
func (d *Durable) Durability() Durability { return d.d }

// Do runs cmd, whose keys are served by the process that serves key, and returns its error. The error wraps
// ErrNotDurable when cmd has run, or may have, and may be lost yet. As with Pipeline.Do, the caller must
// leave cmd alone after an error.
func (d *Durable) Do(ctx context.Context, key string, cmd redis.Cmder) error {
	if d.d.Level == LevelMemory {
		return d.plain.Do(ctx, cmd)
	}
	n, err := d.enter(ctx, key)
	if err != nil {
		return err
	}
	defer d.leave(n)
	return n.pipe.Do(ctx, cmd)
}

// DoPlain runs cmd and returns its error, as a Pipeline does. It waits for no proof, also where there should be
// one: for those who do not answer before something else has shown that the effect lasts.
func (d *Durable) DoPlain(ctx context.Context, cmd redis.Cmder) error { return d.plain.Do(ctx, cmd) }

// DoMany runs the commands, whose keys are all served by the process that serves key. It returns nil when
// all have been answered, each then holds its own result or error, and what succeeded is durable. After an
// error the caller must leave all of them alone: some may still run.
func (d *Durable) DoMany(ctx context.Context, key string, cmds []redis.Cmder) error {
	if d.d.Level == LevelMemory {
		return d.plain.DoMany(ctx, cmds)
	}
	n, err := d.enter(ctx, key)
	if err != nil {
		return err
	}
	defer d.leave(n)
	return n.pipe.DoMany(ctx, cmds)
}

// Close refuses further commands and those that are queued, and waits for the pipelines under way.
func (d *Durable) Close() {
	d.plain.Close()
	d.mu.Lock()
	d.closed = true
	nodes := d.nodes
	d.nodes = nil
	d.mu.Unlock()
	for _, n := range nodes {
		n.pipe.Close()
	}
}

// enter returns the pipeline of the process that serves key, which stays until leave.
func (d *Durable) enter(ctx context.Context, key string) (*durableNode, error) {
	client, err := d.conn.Node(ctx, key)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, ErrClosed
	}
	n := d.nodes[client]
	if n == nil {
		d.forget()
		n = d.newNode(client)
		d.nodes[client] = n
	}
	n.users++
	n.key = key
	return n, nil
}

func (d *Durable) leave(n *durableNode) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n.users--
	n.left = time.Now()
}

// idleAfter is how long a pipeline is kept that nobody uses.
const idleAfter = time.Minute

// forget drops idle pipelines, those of processes that have left a Cluster among them; the others are made
// again when they are needed. d.mu is held.
func (d *Durable) forget() {
	for client, n := range d.nodes {
		if n.users == 0 && len(n.pipe.slots) == 0 && time.Since(n.left) > idleAfter {
			n.pipe.Close() // which has nothing to wait for
			delete(d.nodes, client)
		}
	}
}

// durableNode is the pipeline to one process.
type durableNode struct {
	*Durable
	client *redis.Client // has the patience for the proof
	mode   atomic.Uint32 // a Mode; ModeMemory: not known
	pipe   *Pipeline

	// Guarded by Durable.mu:
	users int
	left  time.Time // when the latest user did
	key   string    // of the latest user: the process serves it, as far as is known
}

// mark returns the name of a key that the process serves.
func (n *durableNode) mark() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.key + ":durable"
}

// readPatience is what a client that sets no limit of its own waits for a reply, beyond the proof.
const readPatience = 3 * time.Second

func (d *Durable) newNode(client *redis.Client) *durableNode {
	patience := client.Options().ReadTimeout
	if patience <= 0 {
		patience = readPatience
	}
	n := &durableNode{Durable: d, client: client.WithTimeout(patience + d.d.Timeout)}
	n.pipe = pipelineBy(d.cfg, n.send)
	return n
}

// send runs a batch and its proof. The mode may be out of date, after a failover for one: the proof then
// fails, whatever the mode is, and the next batch asks anew.
func (n *durableNode) send(ctx context.Context, batch []*call) {
	mode, err := n.learn(ctx)
	if err != nil {
		for _, c := range batch {
			c.err = err // nothing has run
		}
		n.reload(ctx)
		return
	}
	pipe := gathered(ctx, n.client, batch)
	proof := n.d.proof(ctx, mode, n.mark())
	_ = pipe.BatchProcess(ctx, proof.cmds...)
	_, _ = pipe.Exec(ctx)
	if err := proof.check(); err != nil {
		n.mode.Store(uint32(ModeMemory))
		refuse(batch, fmt.Errorf("%w: %w", ErrNotDurable, err))
		n.reload(ctx)
	} else if redirected(batch) {
		n.reload(ctx)
	}
}

// learn returns how the process meets the level. WAIT is known to every Redis.
func (n *durableNode) learn(ctx context.Context) (Mode, error) {
	if n.d.Level == LevelReplicated {
		return ModeWait, nil
	}
	if mode := Mode(n.mode.Load()); mode != ModeMemory {
		return mode, nil
	}
	mode, err := n.d.metBy(ctx, n.client)
	if err == nil {
		n.mode.Store(uint32(mode))
	}
	return mode, err
}

// refuse gives err to the calls of which a command has succeeded. Where none has, the commands' own errors
// say more, as that a script is not loaded.
func refuse(batch []*call, err error) {
	for _, c := range batch {
		for _, cmd := range c.cmds {
			if own := cmd.Err(); own == nil || errors.Is(own, redis.Nil) {
				c.err = err
				break
			}
		}
	}
}

// redirected reports whether the process does not serve the keys any more.
func redirected(batch []*call) bool {
	for _, c := range batch {
		for _, cmd := range c.cmds {
			if redis.HasErrorPrefix(cmd.Err(), "MOVED") {
				return true
			}
		}
	}
	return false
}

// reload has the layout of a Cluster asked for anew in the background. The client does so by itself only
// for commands whose place it finds.
func (n *durableNode) reload(ctx context.Context) {
	if n.conn.cluster != nil {
		n.conn.cluster.ReloadState(ctx)
	}
}
