package queue

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// Journal keeps what this replica has queued, or answered repeats of, and SQL does not hold yet, in the replica's
// own memory. If the
// stream is lost with its Redis, the replicas bring its writes to SQL themselves, each its own: what has
// been answered is then lost only if a replica ends in the same moment.
//
// It needs no bound of its own: it holds nothing that the streams do not hold, and those have one.
type Journal struct {
	table     *shards.Table
	direct    Direct
	metrics   *metrics
	log       *zap.Logger
	pageBytes int64

	shards []journalShard
	writes atomic.Int64
	bytes  atomic.Int64
	lost   prometheus.Counter
}

// journalShard is the journal of one shard.
type journalShard struct {
	flushing chan struct{} // holds one value while a flush is under way

	mu   sync.Mutex
	list []model.Queued // in the order of versions; what lies before head is gone
	head int
	// Entries of epochs before ended are taken no more: their writers have lost the permission, so that
	// nobody is told of a success. Those before flushed are in SQL, except those that are lost.
	ended, flushed int64
	lost           lostRange
}

// lostRange is what flushes came too late for: the versions after after, of epochs before before. Some of them
// may be in SQL.
type lostRange struct {
	after  model.Version
	before int64
}

func (l *lostRange) add(after model.Version, before int64) {
	if l.before == 0 || after < l.after {
		l.after = after
	}
	l.before = max(l.before, before)
}

// JournalDeps are what a Journal works with.
type JournalDeps struct {
	Table      *shards.Table
	Direct     Direct
	Drainer    *Drainer // whose metrics count what is flushed, too
	Log        *zap.Logger
	Registerer prometheus.Registerer
}

// NewJournal returns an empty journal.
func NewJournal(cfg Config, d JournalDeps) *Journal {
	j := &Journal{
		table: d.Table, direct: d.Direct, metrics: d.Drainer.metrics, log: d.Log, pageBytes: cfg.BatchBytes, shards: make([]journalShard, d.Table.Shards()),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "zmsg", Subsystem: "queue", Name: "lost_total",
			Help: "Queued writes that went with their Redis before this replica could store them.",
		}),
	}
	for s := range j.shards {
		j.shards[s].flushing = make(chan struct{}, 1)
	}
	d.Registerer.MustRegister(j.lost, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "zmsg", Subsystem: "queue", Name: "journal_writes",
		Help: "Writes queued by this replica that it keeps in memory until they are stored.",
	}, func() float64 { return float64(j.Len()) }))
	return j
}

// Len returns how many writes the journal holds.
func (j *Journal) Len() int { return int(j.writes.Load()) }

// Bytes returns about how much memory they take.
func (j *Journal) Bytes() int64 { return j.bytes.Load() }

// Unstored reports whether the journal holds writes of shard s that are not known to be stored.
func (j *Journal) Unstored(s int) bool {
	released := j.table.ReleasedUpTo(s)
	sh := &j.shards[s]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	j.dropReleased(sh, released)
	return len(sh.list) > sh.head
}

// Add takes a write that is queued, before it is answered. What it points to must not change any more. A write that
// the journal holds is not taken again.
func (j *Journal) Add(q model.Queued) {
	released := j.table.ReleasedUpTo(q.Shard)
	sh := &j.shards[q.Shard]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	j.dropReleased(sh, released)
	if q.Version.Epoch() < sh.ended || isReleased(q.Version, released) {
		return
	}
	at, found := sh.find(q.Version)
	if found {
		return // a repeat
	}
	sh.list = slices.Insert(sh.list, at, q) // seldom before others: their writers were faster
	j.writes.Add(1)
	j.bytes.Add(sizeOf(&q))
}

// adopt takes the write that element i of a reply tells of, which this replica is about to answer for although
// it did not make it, or has not heard that it did: the answer to the first request was lost on its way. Whoever
// made it may know nothing of it.
func (j *Journal) adopt(r keyspace.Reply, i, shard int) {
	if q, ok := r.Queued(i, shard); ok {
		j.Add(q)
	}
}

// isReleased reports whether v is in SQL because its stream was released so far. A position of a later epoch
// says nothing of v: it may be beyond what was left of the stream.
func isReleased(v, released model.Version) bool {
	return v <= released && v.Epoch() == released.Epoch()
}

// Trim drops what has been released.
func (j *Journal) Trim() {
	for s := range j.shards {
		released := j.table.ReleasedUpTo(s)
		sh := &j.shards[s]
		sh.mu.Lock()
		j.dropReleased(sh, released)
		sh.mu.Unlock()
	}
}

func (j *Journal) dropReleased(sh *journalShard, released model.Version) {
	j.dropWhile(sh, func(v model.Version) bool { return isReleased(v, released) })
}

// dropWhile drops the oldest entries for which f holds, and returns how many. The caller holds mu.
func (j *Journal) dropWhile(sh *journalShard, f func(v model.Version) bool) int {
	first, bytes := sh.head, int64(0)
	for sh.head < len(sh.list) && f(sh.list[sh.head].Version) {
		bytes += sizeOf(&sh.list[sh.head])
		sh.list[sh.head] = model.Queued{} // lets go of the content
		sh.head++
	}
	dropped := sh.head - first
	if dropped == 0 {
		return 0
	}
	j.writes.Add(int64(-dropped))
	j.bytes.Add(-bytes)
	switch left := len(sh.list) - sh.head; {
	case left == 0 && cap(sh.list) > journalKeep:
		sh.list, sh.head = nil, 0
	case left <= sh.head: // each entry is moved once for each one dropped, at most
		n := copy(sh.list, sh.list[sh.head:])
		clear(sh.list[n:])
		sh.list, sh.head = sh.list[:n], 0
	}
	return dropped
}

const (
	journalKeep  = 1024 // entries for which an empty journal of a shard keeps the memory
	journalPage  = 1000 // entries of one flush
	journalEntry = 320  // bytes of an entry without its texts, about
)

// sizeOf returns about how much memory an entry takes.
func sizeOf(q *model.Queued) int64 {
	n := journalEntry + len(q.Key) + len(q.Record)
	if q.Item != nil {
		n += len(q.Item.Content) + len(q.Item.Kind)
	}
	if q.Delta != nil {
		n += len(q.Delta.Subject) + len(q.Delta.Metric)
	}
	return int64(n)
}

// Flush brings to SQL what was queued under older epochs than the shard's and is not there yet. The
// permissions of those epochs have ended. If a Redis serves the shard already, its stream is all that counts:
// what it did not hold is lost, and said so.
func (j *Journal) Flush(ctx context.Context, sh model.Shard) error {
	own := &j.shards[sh.Shard]
	select {
	case own.flushing <- struct{}{}:
		defer func() { <-own.flushing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	own.mu.Lock()
	own.ended = max(own.ended, sh.Epoch)
	j.forgo(own, sh)
	j.dropWhile(own, func(v model.Version) bool { return v <= sh.Position && v.Epoch() < sh.Epoch })
	own.mu.Unlock()
	if sh.Ready && !sh.AtSQL() {
		j.lose(own, sh)
		return nil
	}
	for {
		page := j.page(own, sh.Epoch)
		if len(page) == 0 {
			return nil
		}
		if err := j.store(ctx, sh, page); err != nil {
			return err
		}
		last := page[len(page)-1].Version
		own.mu.Lock()
		j.dropWhile(own, func(v model.Version) bool { return v <= last })
		own.mu.Unlock()
	}
}

// store brings one page to SQL.
func (j *Journal) store(ctx context.Context, sh model.Shard, page []model.Queued) error {
	began := time.Now()
	applied, err := j.direct.Flush(ctx, sh.Shard, sh.Epoch, page)
	if err != nil {
		return err
	}
	j.metrics.apply(&applied, time.Since(began))
	if n := len(applied.DeadLetters); n > 0 {
		j.log.Error("writes are kept as dead letters: the database refuses them", zap.Int("shard", sh.Shard), zap.Int("writes", n))
	}
	return nil
}

// page returns the oldest entries of epochs before epoch, as many as one transaction takes. Once there are none,
// those epochs are flushed.
func (j *Journal) page(own *journalShard, epoch int64) []model.Queued {
	own.mu.Lock()
	defer own.mu.Unlock()
	n, bytes := 0, int64(0)
	for live := own.list[own.head:]; n < min(len(live), journalPage) && live[n].Version.Epoch() < epoch && bytes < j.pageBytes; n++ {
		bytes += sizeOf(&live[n])
	}
	if n == 0 {
		own.flushed = max(own.flushed, epoch)
	}
	return slices.Clone(own.list[own.head : own.head+n])
}

// forgo gives up what is of older epochs than the position. This replica has slept while another epoch came and
// was drained: what the stream held of its writes is in SQL, the rest is lost, and the position does not tell
// one from the other. The caller holds mu.
func (j *Journal) forgo(own *journalShard, sh model.Shard) {
	n := j.dropWhile(own, func(v model.Version) bool { return v.Epoch() < min(sh.Position.Epoch(), sh.Epoch) })
	if n == 0 {
		return
	}
	own.lost.add(0, sh.Position.Epoch())
	j.log.Warn("it is not known whether queued writes are stored: the shard was moved and drained while this replica slept",
		zap.Int("shard", sh.Shard), zap.Int("writes", n))
}

// lose gives up what is left of older epochs.
func (j *Journal) lose(own *journalShard, sh model.Shard) {
	own.mu.Lock()
	n := j.dropWhile(own, func(v model.Version) bool { return v.Epoch() < sh.Epoch })
	own.flushed = max(own.flushed, sh.Epoch)
	if n > 0 {
		own.lost.add(sh.Position, sh.Epoch)
	}
	own.mu.Unlock()
	if n > 0 {
		j.lost.Add(float64(n))
		j.log.Error("queued writes are lost: Redis came back without them before they could be stored",
			zap.Int("shard", sh.Shard), zap.Int("writes", n))
	}
}

// holds reports whether v is an own write that is not known to be stored.
func (j *Journal) holds(s int, v model.Version) bool {
	sh := &j.shards[s]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	_, found := sh.find(v)
	return found
}

// find returns where in list v is, or belongs. The caller holds mu.
func (sh *journalShard) find(v model.Version) (at int, found bool) {
	live := sh.list[sh.head:]
	if n := len(live); n == 0 || live[n-1].Version < v { // as nearly always
		return len(sh.list), false
	}
	at, found = slices.BinarySearchFunc(live, v, func(q model.Queued, v model.Version) int { return cmp.Compare(q.Version, v) })
	return sh.head + at, found
}

// stored reports whether a flush has seen to it that v is in SQL, or is a dead letter. v must be a write that
// the journal once held.
func (j *Journal) stored(s int, v model.Version) bool {
	sh := &j.shards[s]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	lost := v > sh.lost.after && v.Epoch() < sh.lost.before
	return v.Epoch() < sh.flushed && !lost
}
