package kv

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"github.com/zmsg/zmsg/kv/internal/admin"
	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/geo"
	"github.com/zmsg/zmsg/kv/internal/hashes"
	"github.com/zmsg/zmsg/kv/internal/inproc"
	"github.com/zmsg/zmsg/kv/internal/keys"
	"github.com/zmsg/zmsg/kv/internal/lists"
	"github.com/zmsg/zmsg/kv/internal/persist"
	"github.com/zmsg/zmsg/kv/internal/pubsub"
	"github.com/zmsg/zmsg/kv/internal/scalars"
	"github.com/zmsg/zmsg/kv/internal/scripting"
	"github.com/zmsg/zmsg/kv/internal/server"
	"github.com/zmsg/zmsg/kv/internal/sets"
	"github.com/zmsg/zmsg/kv/internal/streams"
	"github.com/zmsg/zmsg/kv/internal/tries"
	"github.com/zmsg/zmsg/kv/internal/vfs"
	"github.com/zmsg/zmsg/kv/internal/zsets"
)

// DB is an open database. Its methods may be called by many goroutines.
type DB struct {
	engine *engine.Engine
	server *server.Server
	store  *persist.Store   // nil without files
	space  *engine.Keyspace // the numbered database of the methods
	calls  sync.Pool
	closed *atomic.Bool // of all numbered databases
}

// lazyLimit is how much of the log, in bytes, the methods leave to be written in the background.
const lazyLimit = 256 << 10

// Open opens a database: it loads what Options.Dir has, which takes about a second for a million keys. A
// torn end of the log, as a crash leaves it, is cut off. Other damage is an error that names the file and
// the place in it; Check and Repair look closer.
func Open(o Options) (*DB, error) {
	config, err := o.config()
	if err != nil {
		return nil, err
	}
	e := engine.New(config)
	register(e)
	db := &DB{engine: e, space: e.Keyspace(0), server: server.New(e, server.Options{}), closed: new(atomic.Bool)}
	if o.Dir != "" {
		if db.store, err = persist.Open(vfs.OS{}, e, persist.Options{Progress: o.Progress, Logger: o.Logger}); err != nil {
			return nil, err
		}
	}
	if o.OnShutdown != nil {
		e.OnShutdown(func(last engine.LastSnapshot, force bool) error {
			if db.store != nil {
				if err := db.store.SaveLast(last); err != nil && !force {
					return err
				}
			}
			o.OnShutdown()
			return nil
		})
	}
	e.Start()
	return db, nil
}

func register(e *engine.Engine) {
	for _, commands := range [][]*engine.Command{
		admin.Commands, keys.Commands, scalars.Commands, hashes.Commands, lists.Commands, sets.Commands,
		zsets.Commands, geo.Commands, streams.Commands, tries.Commands, pubsub.Commands, scripting.New(e).Commands(),
	} {
		e.Register(commands...)
	}
}

// Select returns the numbered database i of the same data, 0 to 15; Open returns that of 0. It is closed
// with it.
func (db *DB) Select(i int) (*DB, error) {
	space := db.engine.Keyspace(i)
	if space == nil {
		return nil, errors.New("kv: there is no database of that number")
	}
	return &DB{engine: db.engine, server: db.server, store: db.store, space: space, closed: db.closed}, nil
}

// Serve answers clients of Redis that connect to ln, which it owns, until Close is called; then it returns
// nil. It may be called for several listeners.
func (db *DB) Serve(ln net.Listener) error { return db.server.Serve(ln) }

// Dial returns a connection that speaks Redis's protocol: what is written to it is executed before Write
// returns. It is for one user, as any connection.
func (db *DB) Dial() (net.Conn, error) {
	if db.closed.Load() {
		return nil, ErrClosed
	}
	return inproc.Dial(db.engine)
}

// Dialer is Dial in the form that go-redis takes as redis.Options.Dialer. It does not look at its
// arguments.
func (db *DB) Dialer(ctx context.Context, _, _ string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return db.Dial()
}

// Flush returns when all changes so far have been synced to the disk, whatever Options.Fsync says. Without
// a log it does nothing.
func (db *DB) Flush() error {
	db.engine.Lock()
	j, end := db.engine.Journal(), db.engine.LogEnd()
	db.engine.Unlock()
	if j == nil {
		return nil
	}
	return j.Sync(end)
}

// Close ends the service, writes and syncs what is left of the log, and releases the files. It may be called
// again.
func (db *DB) Close() error {
	if db.closed.Swap(true) {
		return nil
	}
	db.engine.Stop()
	err := db.server.Close()
	db.engine.Close()
	if db.store != nil {
		err = errors.Join(err, db.store.Close())
	}
	return err
}

// commit waits until what a call has changed is as safe as it must be when the call returns: with Always it
// is synced. Else it may be written a little later, which a crash of the process would lose, within the
// second that EverySecond allows anyway.
func (db *DB) commit(c *call) error { return db.commitTo(c.client.LogEnd()) }

func (db *DB) commitTo(end int64) error {
	if err := db.engine.CommitLazily(end, lazyLimit); err != nil {
		return errors.Join(ErrNotSaved, err)
	}
	return nil
}
