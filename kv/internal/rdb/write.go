package rdb

import (
	"io"
	"strconv"
	"time"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/table"
)

// redisVersion is the Redis whose files these are.
const redisVersion = "7.0.15"

// WriteOptions say how a file is written.
type WriteOptions struct {
	Compress bool  // strings of more than 20 bytes are compressed if that saves something
	Checksum bool  // the file ends with a sum over it; else with zero
	AOFBase  bool  // the file is the base of an append-only file
	Memory   int64 // bytes in use, which the file tells
	// Use returns how long an entry has not been used, or how often it has been, for the eviction that goes
	// on after loading; what is negative is not written. It runs while the entry may be in use: it must
	// read nothing but the entry. May be nil.
	Use func(*table.Entry) (idle time.Duration, frequency int)
	// Progress is told, from time to time and at the end, how many bytes and keys have been written. May be
	// nil.
	Progress func(bytes int64, keys int)
}

// Write writes a snapshot to w and returns how many bytes that were. It needs no lock. It writes in pieces of
// 64 KB, or of one string that is longer. It ends with the first error of w, and so with the one by which
// w says that it shall end.
func Write(w io.Writer, snap *engine.Snapshot, o WriteOptions) (int64, error) {
	e := &fileWriter{o: o, snap: snap}
	e.w, e.sums, e.compress = w, o.Checksum, o.Compress
	e.buf = make([]byte, 0, bufferSize)
	e.header()
	for db, t := range snap.Tables {
		if t.Len() > 0 {
			e.database(db, t)
		}
	}
	e.byte(opEOF)
	e.flush()
	crc := e.crc
	e.sums = false
	e.uint64(crc)
	e.flush()
	e.progress()
	return e.n, e.err
}

type fileWriter struct {
	sink
	o     WriteOptions
	snap  *engine.Snapshot
	keys  int
	shown int64 // bytes when progress was told last
}

func (e *fileWriter) header() {
	e.raw([]byte("REDIS0010"))
	e.aux("redis-ver", redisVersion)
	e.aux("redis-bits", "64")
	e.aux("ctime", strconv.FormatInt(e.snap.Now/1000, 10))
	e.aux("used-mem", strconv.FormatInt(e.o.Memory, 10))
	base := "0"
	if e.o.AOFBase {
		base = "1"
	}
	e.aux("aof-base", base)
}

func (e *fileWriter) database(db int, t *table.Table) {
	e.byte(opSelectDB)
	e.length(uint64(db))
	volatile := 0
	for en := range t.All() {
		if en.Deadline() != 0 {
			volatile++
		}
	}
	e.byte(opResizeDB)
	e.length(uint64(t.Len()))
	e.length(uint64(volatile))
	for en := range t.All() {
		if e.err != nil {
			return
		}
		e.entry(en)
	}
}

func (e *fileWriter) entry(en *table.Entry) {
	if engine.TypeOf(en) == engine.TypeTrie {
		e.aux(auxType, auxTrie)
	}
	if d := en.Deadline(); d != 0 {
		e.byte(opExpireMillis)
		e.uint64(uint64(d))
	}
	e.use(en)
	value := valueOf(en)
	e.byte(e.typeOf(value))
	e.text(en.Key())
	e.value(value)
	e.keys++
	if e.n-e.shown >= 1<<20 {
		e.progress()
	}
}

func (e *fileWriter) use(en *table.Entry) {
	if e.o.Use == nil {
		return
	}
	idle, frequency := e.o.Use(en)
	if idle >= 0 {
		e.byte(opIdle)
		e.length(uint64(idle / time.Second))
	}
	if frequency >= 0 {
		e.byte(opFreq)
		e.byte(byte(min(frequency, 255)))
	}
}

func (e *fileWriter) progress() {
	e.shown = e.n
	if e.o.Progress != nil {
		e.o.Progress(e.n, e.keys)
	}
}
