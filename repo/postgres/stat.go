package postgres

import (
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Stat are the statistics of the connections at one moment, those of both pools added up.
type Stat struct{ reads, control *pgxpool.Stat }

// Stat returns the statistics of both pools.
func (db *DB) Stat() Stat { return Stat{reads: db.pool.Stat(), control: db.control.Stat()} }

// MaxConns returns the limit of connections.
func (s Stat) MaxConns() int32 { return s.reads.MaxConns() + s.control.MaxConns() }

// AcquiredConns returns how many connections are in use.
func (s Stat) AcquiredConns() int32 { return s.reads.AcquiredConns() + s.control.AcquiredConns() }

// IdleConns returns how many connections are idle.
func (s Stat) IdleConns() int32 { return s.reads.IdleConns() + s.control.IdleConns() }

// ConstructingConns returns how many connections are being opened.
func (s Stat) ConstructingConns() int32 {
	return s.reads.ConstructingConns() + s.control.ConstructingConns()
}

// AcquireCount returns how often a connection was taken.
func (s Stat) AcquireCount() int64 { return s.reads.AcquireCount() + s.control.AcquireCount() }

// EmptyAcquireCount returns how often none was idle, so that the taker waited.
func (s Stat) EmptyAcquireCount() int64 {
	return s.reads.EmptyAcquireCount() + s.control.EmptyAcquireCount()
}

// EmptyAcquireWaitTime returns how long takers have waited in all.
func (s Stat) EmptyAcquireWaitTime() time.Duration {
	return s.reads.EmptyAcquireWaitTime() + s.control.EmptyAcquireWaitTime()
}

// CanceledAcquireCount returns how many waits for a connection were given up.
func (s Stat) CanceledAcquireCount() int64 {
	return s.reads.CanceledAcquireCount() + s.control.CanceledAcquireCount()
}
