package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zmsg/zmsg/kv/internal/table"
)

// Engine is one database: its keyspaces, its clients, and what they share.
type Engine struct {
	mu sync.Mutex

	commands map[string]*Command
	config   *Config
	spaces   []*Keyspace

	clients map[int64]*Client
	nextID  int64

	journal Journal
	commits atomic.Pointer[Journal] // the same, for who has no lock
	persist Persistence
	unit    unit
	dirty   int64 // changes since the start; each write command adds at least one
	saved   int64 // dirty at the last snapshot
	savedAt time.Time
	// saveFailed: the last snapshot could not be written.
	saveFailed bool

	now      int64  // unix ms, of the command that runs; 0 until it asks
	lruClock uint32 // seconds, 24 bits
	stamp    uint32 // of the newest snapshot's successors; see Snapshot
	snapshot *Snapshot

	after   []func() // for the end of the running unit
	ready   []readyKey
	serving bool
	parked  int64 // how often clients have been parked
	pubsub  subscriptions
	monitor map[int64]*Client

	loading    bool
	noTouch    bool // the running command's client does not count as a user of keys
	paused     pause
	touched    []touched
	rand       *mathrand.Rand
	evictions  evictor
	stats      Stats
	slow       slowLog
	aheadKeys  [table.MaxPrefetch][]byte // of lookAhead
	onShutdown func(LastSnapshot, bool) error
	interrupt  func()
	port       atomic.Int32
	stopping   atomic.Bool

	runID   string
	started time.Time

	stop   context.CancelFunc
	joined sync.WaitGroup
}

// Stats counts what has happened since the start (or CONFIG RESETSTAT).
type Stats struct {
	Connections, Commands, Errors  int64
	Hits, Misses, Expired, Evicted int64
	Published                      int64
	Rejected                       int64 // connections refused
	InputBytes, OutputBytes        int64 // by the fronts
}

// New returns an engine with empty keyspaces and no commands. Start starts what it does by itself.
func New(config *Config) *Engine {
	id := make([]byte, 20)
	_, _ = rand.Read(id) // never fails
	e := &Engine{
		commands: make(map[string]*Command, 300),
		config:   config,
		clients:  make(map[int64]*Client),
		monitor:  make(map[int64]*Client),
		pubsub:   newSubscriptions(),
		stamp:    1,
		rand:     mathrand.New(mathrand.NewPCG(mathrand.Uint64(), mathrand.Uint64())),
		runID:    hex.EncodeToString(id),
		started:  time.Now(),
		savedAt:  time.Now(),
	}
	e.unit.db = -1
	e.lruClock = lruSeconds(time.Now())
	for i := range config.Databases {
		e.spaces = append(e.spaces, newKeyspace(e, i))
	}
	e.Register(transactionCommands...)
	return e
}

// Start starts the clock's work: expiry, timeouts of pauses, and the eviction clock.
func (e *Engine) Start() {
	ctx, stop := context.WithCancel(context.Background())
	e.stop = stop
	e.joined.Go(func() { e.cron(ctx) })
}

// Close ends what the engine does by itself and disconnects its clients. The journal and the files are the
// owner's to close, afterwards.
func (e *Engine) Close() {
	if e.stop != nil {
		e.stop()
	}
	e.mu.Lock()
	for _, c := range e.clients {
		c.Kick()
	}
	e.mu.Unlock()
	e.joined.Wait()
}

// Go runs f in a goroutine that Close waits for. f must end soon after the engine is closed.
func (e *Engine) Go(f func()) { e.joined.Go(f) }

// Lock takes the engine's lock, for owners that must see several things at one moment.
func (e *Engine) Lock() { e.mu.Lock(); e.now = 0 }

// Unlock releases the engine's lock.
func (e *Engine) Unlock() { e.mu.Unlock() }

// Config returns the engine's settings.
func (e *Engine) Config() *Config { return e.config }

// Stats returns the counters. Needs the lock.
func (e *Engine) Stats() *Stats { return &e.stats }

// RunID is the process's identity: 40 hexadecimal digits, new at each start.
func (e *Engine) RunID() string { return e.runID }

// Started is when the engine was made.
func (e *Engine) Started() time.Time { return e.started }

// Keyspace returns the database of number i, or nil.
func (e *Engine) Keyspace(i int) *Keyspace {
	if i < 0 || i >= len(e.spaces) {
		return nil
	}
	return e.spaces[i]
}

// Keyspaces returns all databases.
func (e *Engine) Keyspaces() []*Keyspace { return e.spaces }

// SwapKeyspaces exchanges the contents of two databases.
func (e *Engine) SwapKeyspaces(a, b int) {
	x, y := e.spaces[a], e.spaces[b]
	x.t, y.t = y.t, x.t
	x.acct, y.acct = y.acct, x.acct
	x.expires, y.expires = y.expires, x.expires
	x.touchAllWatched(y)
	y.touchAllWatched(x)
	x.signalAll()
	y.signalAll()
}

// Now is the time of the command that runs, in unix milliseconds. It does not move during a command, a
// transaction or a script.
func (e *Engine) Now() int64 {
	if e.now == 0 {
		e.now = time.Now().UnixMilli()
	}
	return e.now
}

// Rand is the source of random choices.
func (e *Engine) Rand() *mathrand.Rand { return e.rand }

// Dirty is the number of changes since the start.
func (e *Engine) Dirty() int64 { return e.dirty }

// Loading reports whether the data is being loaded.
func (e *Engine) Loading() bool { return e.loading }

// SetLoading says whether the data is being loaded: commands are refused meanwhile, and nothing expires.
// Needs the lock.
func (e *Engine) SetLoading(on bool) { e.loading = on }

// Clients returns the connected clients, without those of the engine itself.
func (e *Engine) Clients() map[int64]*Client { return e.clients }

// cron does ten times a second what nobody asks for.
func (e *Engine) cron(ctx context.Context) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case at := <-tick.C:
			more := true
			for more && ctx.Err() == nil {
				e.Lock()
				e.lruClock = lruSeconds(at)
				e.endPause(at)
				// Many due keys are removed in slices, so that commands get their turn.
				more = !e.loading && e.expireSome(expireSlice) && time.Since(at) < expireShare
				e.evict(evictTick)
				e.Unlock()
			}
		}
	}
}

func lruSeconds(t time.Time) uint32 { return uint32(t.Unix()) & (1<<24 - 1) }
