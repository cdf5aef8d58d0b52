package redisconn

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// PipelineConfig bounds a Pipeline. Zero values take the defaults.
type PipelineConfig struct {
	InFlight  int           // pipelines under way at once; default 4
	MaxBatch  int           // commands in one pipeline; default 256
	MaxQueued int           // callers whose commands wait; default 4096. Past it, callers wait to queue
	Timeout   time.Duration // of one pipeline; default 2s
}

// ErrClosed means that the Pipeline has been closed.
var ErrClosed = errors.New("pipeline is closed")

// Pipeline lets the commands of concurrent callers share round trips. A pipeline leaves as soon as
// one of the slots in flight is free, with whatever has gathered by then: at low load nothing waits.
// No order holds between commands, not even between those of one DoMany. Blocking commands and
// transactions do not belong here.
//
// The work is done by runners, goroutines that exist only while there is some: a caller that finds a
// free slot starts one, and a runner goes on until the queue is empty. It then frees its slot and
// looks once more, because a caller that has queued meanwhile has found no free slot.
type Pipeline struct {
	send  func(ctx context.Context, batch []*call)
	cfg   PipelineConfig
	queue chan *call
	slots chan struct{}

	mu      sync.Mutex // guards closed against runners starting
	closed  bool
	closing chan struct{}
	runners sync.WaitGroup
}

// call is the commands of one caller, at most MaxBatch.
type call struct {
	cmds  []redis.Cmder
	one   [1]redis.Cmder // cmds of a single command, without an allocation of its own
	state atomic.Uint32
	done  chan struct{} // closed when cmds hold their results
	err   error         // of the call as a whole, set before done is closed
}

// A call is taken by a runner or abandoned by its caller, never both: what has been taken is written
// by the runner until done is closed.
const (
	callQueued uint32 = iota
	callTaken
	callAbandoned
)

// NewPipeline returns a Pipeline over client, which stays the caller's to close, after the Pipeline.
func NewPipeline(client redis.UniversalClient, cfg PipelineConfig) *Pipeline {
	return pipelineBy(cfg, func(ctx context.Context, batch []*call) {
		if len(batch) == 1 && len(batch[0].cmds) == 1 {
			// Process leaves the error in the command, as Exec does.
			_ = client.Process(ctx, batch[0].cmds[0])
			return
		}
		_, _ = gathered(ctx, client, batch).Exec(ctx)
	})
}

// pipelineBy returns a Pipeline whose batches are run by send, which leaves its results in the calls.
func pipelineBy(cfg PipelineConfig, send func(context.Context, []*call)) *Pipeline {
	cfg.InFlight = cmp.Or(cfg.InFlight, 4)
	cfg.MaxBatch = cmp.Or(cfg.MaxBatch, 256)
	cfg.MaxQueued = cmp.Or(cfg.MaxQueued, 4096)
	cfg.Timeout = cmp.Or(cfg.Timeout, 2*time.Second)
	return &Pipeline{
		send:    send,
		cfg:     cfg,
		queue:   make(chan *call, cfg.MaxQueued),
		slots:   make(chan struct{}, cfg.InFlight),
		closing: make(chan struct{}),
	}
}

// Do runs cmd and returns its error. When ctx ends first, its error is returned at once, while the
// command may still run: after any error the caller must leave cmd alone.
func (p *Pipeline) Do(ctx context.Context, cmd redis.Cmder) error {
	c := &call{done: make(chan struct{})}
	c.one[0] = cmd
	c.cmds = c.one[:]
	if err := p.enqueue(ctx, c); err != nil {
		return err
	}
	if err := p.await(ctx, c); err != nil {
		return err
	}
	return cmd.Err()
}

// DoMany runs the commands. It returns nil when all have been answered, each then holds its own
// result or error. After an error the caller must leave all of them alone: some may still run.
func (p *Pipeline) DoMany(ctx context.Context, cmds []redis.Cmder) error {
	calls := make([]*call, 0, (len(cmds)+p.cfg.MaxBatch-1)/p.cfg.MaxBatch)
	for len(cmds) > 0 {
		n := min(len(cmds), p.cfg.MaxBatch)
		c := &call{cmds: cmds[:n:n], done: make(chan struct{})}
		cmds = cmds[n:]
		if err := p.enqueue(ctx, c); err != nil {
			abandon(calls)
			return err
		}
		calls = append(calls, c)
	}
	for i, c := range calls {
		if err := p.await(ctx, c); err != nil {
			abandon(calls[i:])
			return err
		}
	}
	return nil
}

// abandon spares Redis the calls that no runner has taken.
func abandon(calls []*call) {
	for _, c := range calls {
		c.state.CompareAndSwap(callQueued, callAbandoned)
	}
}

// enqueue puts c into the queue, waiting while it is full, and sees to it that a runner will come.
func (p *Pipeline) enqueue(ctx context.Context, c *call) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-p.closing:
		return ErrClosed
	default:
	}
	select {
	case p.queue <- c:
	case <-ctx.Done():
		return ctx.Err()
	case <-p.closing:
		return ErrClosed
	}
	if p.takeSlot() {
		return p.startRunner() //nolint:contextcheck // a pipeline outlives the callers that share it
	}
	return nil
}

func (p *Pipeline) takeSlot() bool {
	select {
	case p.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

func (p *Pipeline) startRunner() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		<-p.slots
		return ErrClosed
	}
	p.runners.Add(1)
	go p.run()
	return nil
}

// await waits for c's results. The results win over an end of ctx at the same time.
func (p *Pipeline) await(ctx context.Context, c *call) error {
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		c.state.CompareAndSwap(callQueued, callAbandoned)
		return ctx.Err()
	case <-p.closing:
		if c.state.CompareAndSwap(callQueued, callAbandoned) {
			return ErrClosed
		}
		select { // a runner has it, and Close waits for runners
		case <-c.done:
			return c.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// run is a runner. It owns one slot.
func (p *Pipeline) run() {
	defer p.runners.Done()
	var batch []*call
	for {
		for batch = p.gather(batch[:0]); len(batch) > 0; batch = p.gather(batch[:0]) {
			p.execute(batch)
			clear(batch)
		}
		<-p.slots
		if len(p.queue) == 0 || !p.takeSlot() {
			return
		}
	}
}

// gather takes what is queued, up to MaxBatch commands; one call that does not fit on top may
// exceed it, because it cannot be put back.
func (p *Pipeline) gather(batch []*call) []*call {
	for n := 0; n < p.cfg.MaxBatch; {
		select {
		case c := <-p.queue:
			if c.state.CompareAndSwap(callQueued, callTaken) {
				batch = append(batch, c)
				n += len(c.cmds)
			}
		default:
			return batch
		}
	}
	return batch
}

// execute runs a batch under a time limit of its own, so that no caller's end fails the others.
func (p *Pipeline) execute(batch []*call) {
	ctx, cancel := context.WithTimeout(context.Background(), p.cfg.Timeout)
	defer cancel()
	p.send(ctx, batch)
	for _, c := range batch {
		close(c.done)
	}
}

// gathered returns a pipeline of client with the commands of all calls.
func gathered(ctx context.Context, client redis.UniversalClient, batch []*call) redis.Pipeliner {
	pipe := client.Pipeline()
	for _, c := range batch {
		_ = pipe.BatchProcess(ctx, c.cmds...) // only queues; it never fails
	}
	return pipe
}

// Close refuses further commands and those that are queued, and waits for the pipelines under way.
func (p *Pipeline) Close() {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.closing)
	}
	p.mu.Unlock()
	p.runners.Wait()
}
