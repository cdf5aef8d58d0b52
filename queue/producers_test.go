package queue

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/redisconn"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// direct writes to a database in memory, as the real one does, while that is the home. once, if set, is
// what the next call returns instead.
type direct struct {
	*memory
	mu   sync.Mutex
	once error
}

func (d *direct) failOnce(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.once = err
}

// enter locks the database if the shard is served there, or, to flush, is not served in Redis.
func (d *direct) enter(shard int, epoch int64, flush bool) (unlock func(), err error) {
	d.mu.Lock()
	err, d.once = d.once, nil
	d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	d.memory.mu.Lock()
	sh := d.shards[shard]
	if sh.Epoch != epoch || (!sh.AtSQL() && (!flush || sh.Ready)) {
		d.memory.mu.Unlock()
		return nil, model.ErrMoved
	}
	return d.memory.mu.Unlock, nil
}

func (d *direct) Write(_ context.Context, shard int, epoch int64, w *model.Write) (model.WriteResult, error) {
	unlock, err := d.enter(shard, epoch, false)
	if err != nil {
		return model.WriteResult{}, err
	}
	defer unlock()
	if record, known := d.records[w.IdempotencyKey]; known {
		result, same := model.ResultIn(record, w.Fingerprint)
		if !same {
			return model.WriteResult{Outcome: model.OutcomeKeyReused}, nil
		}
		return model.ParseWriteResult(result)
	}
	row := d.rows[w.ID]
	it := model.Item{
		ID: w.ID, AuthorID: w.AuthorID, Kind: w.Kind, Content: w.Content, CreatedAt: w.At, UpdatedAt: w.At,
		Version: max(row.Version+1, model.NewVersion(epoch, 0)), Deleted: w.Op == model.OpDelete,
	}
	d.rows[w.ID] = it
	res := model.WriteResult{
		ID: w.ID, Outcome: model.OutcomeApplied, Version: it.Version, CreatedAt: w.At, UpdatedAt: w.At, Created: row.Version == 0, Committed: true,
	}
	if w.IdempotencyKey != "" {
		d.records[w.IdempotencyKey] = model.Record(w.Fingerprint, res.Encode())
	}
	return res, nil
}

func (d *direct) Count(_ context.Context, shard int, epoch int64, counts []model.Count) ([]model.CountResult, error) {
	unlock, err := d.enter(shard, epoch, false)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var results []model.CountResult
	for _, c := range counts {
		n := c.N
		if c.Op == model.CountAdd {
			n += d.counters[c.Counter]
		}
		d.counters[c.Counter] = n
		results = append(results, model.CountResult{Outcome: model.OutcomeApplied, Value: n, Known: true, Committed: true})
	}
	return results, nil
}

func (d *direct) Remember(_ context.Context, shard int, epoch int64, key string, result []byte) ([]byte, bool, error) {
	unlock, err := d.enter(shard, epoch, false)
	if err != nil {
		return nil, false, err
	}
	defer unlock()
	if record, known := d.records[key]; known {
		return []byte(record), true, nil
	}
	d.records[key] = string(result)
	return result, false, nil
}

func (d *direct) Flush(_ context.Context, shard int, epoch int64, writes []model.Queued) (applied model.Applied, err error) {
	unlock, err := d.enter(shard, epoch, true)
	if err != nil {
		return applied, err
	}
	defer unlock()
	for i := range writes {
		q := &writes[i]
		_, known := d.records[q.Key]
		switch {
		case q.Version <= d.shards[shard].Position, known && q.Key != "", d.flushed[q.Version]:
			applied.LeftOut++
			continue
		case d.refuse != nil && d.refuse(q):
			letter := model.DeadLetter{ID: int64(len(d.letters) + 1), Shard: shard, Version: q.Version, Write: *q}
			d.letters, applied.DeadLetters = append(d.letters, letter), append(applied.DeadLetters, letter)
		case q.Item != nil && d.rows[q.Item.ID].Version < q.Version:
			d.rows[q.Item.ID] = *q.Item
			applied.ItemRows++
		case q.Delta != nil:
			d.counters[q.Delta.Counter] += q.Delta.N
			d.counted[q.Version]++
			d.flushed[q.Version] = true
			applied.CounterRows++
		}
		if q.Key != "" {
			d.records[q.Key] = q.Record
		}
	}
	return applied, nil
}

// keys are the idempotency keys of a database in memory.
type keys struct{ *memory }

func (k keys) Recall(_ context.Context, _ int, key string) (string, bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.away.Load() {
		return "", false, model.NewUnavailable("the database is away", model.ErrDatabase)
	}
	record, ok := k.records[key]
	return record, ok, nil
}

// letters are the dead letters of a database in memory.
type letters struct{ *memory }

func (l letters) List(_ context.Context, after int64, limit int) ([]model.DeadLetter, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	page := slices.DeleteFunc(slices.Clone(l.letters), func(d model.DeadLetter) bool { return d.ID <= after })
	return page[:min(limit, len(page))], nil
}

func (l letters) Get(_ context.Context, id int64) (model.DeadLetter, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.letters {
		if d.ID == id {
			return d, nil
		}
	}
	return model.DeadLetter{}, &model.Error{Kind: model.NotFound, Message: "there is no such dead letter"}
}

func (l letters) Discard(_ context.Context, id int64) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.drop(id), nil
}

func (l letters) drop(id int64) bool {
	before := len(l.letters)
	l.letters = slices.DeleteFunc(l.letters, func(d model.DeadLetter) bool { return d.ID == id })
	return len(l.letters) < before
}

func (l letters) Stored(_ context.Context, shard int, v model.Version) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.letters, func(d model.DeadLetter) bool { return d.Shard == shard && d.Version == v }), nil
}

func (l letters) RetryItem(ctx context.Context, id int64) (bool, error) {
	d, err := l.Get(ctx, id)
	if err != nil {
		return false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rows[d.Write.Item.ID].Version > d.Version {
		return false, nil
	}
	l.rows[d.Write.Item.ID] = *d.Write.Item
	return l.drop(id), nil
}

// totals loads totals from a database in memory.
type totals struct{ *rig }

func (t totals) Load(ctx context.Context, g *shards.Grant, subjects []string) error {
	if t.sql.away.Load() {
		return model.NewUnavailable("the database is away", model.ErrDatabase)
	}
	t.sql.mu.Lock()
	sh := t.sql.shards[g.Shard]
	values := make(map[string][]any)
	for c, n := range t.sql.counters {
		values[c.Subject] = append(values[c.Subject], c.Metric, n)
	}
	t.sql.mu.Unlock()
	if err := t.Complete(ctx, g, sh.Position, sh.Skipped); err != nil {
		return err
	}
	for _, subject := range subjects {
		s := g.Shard
		args := append([]any{g.Epoch, keyspace.Hex(sh.Position), 60_000}, values[subject]...)
		cmd := g.Scripts.Cmd(ctx, keyspace.LoadTotals, []string{t.space.Meta(s), t.space.TotalsKey(s, subject), t.space.PendingKey(s, subject)}, args...)
		if err := t.conn.Client().Process(ctx, cmd); err != nil {
			return err
		}
	}
	return nil
}

// newProducers makes all that writes to the queue.
func (r *rig) newProducers(cfg Config, pipe *redisconn.Durable) {
	r.direct = &direct{memory: r.sql}
	r.journal = NewJournal(cfg, JournalDeps{Table: r.table, Direct: r.direct, Drainer: r.Drainer, Log: zap.NewNop(), Registerer: r.registry})
	r.backlog = NewBacklog(cfg, BacklogDeps{
		Space: r.space, Table: r.table, Redis: r.conn, Journal: r.journal, Drainer: r.Drainer,
		Memory: func() shards.Memory { return shards.Memory{} }, Log: zap.NewNop(), Registerer: r.registry,
	})
	r.producer = NewProducer(cfg, ProducerDeps{
		Space: r.space, Table: r.table, Pipe: pipe, Loader: r.sql, Observer: r.sql, Drainer: r.Drainer, Rows: r.sql,
		Direct: r.direct, Keys: keys{r.sql}, Letters: letters{r.sql}, Journal: r.journal, Backlog: r.backlog,
	})
	r.counts = NewCounts(cfg, CountsDeps{
		Space: r.space, Table: r.table, Pipe: pipe, Drainer: r.Drainer, Shards: r.sql, Direct: r.direct, Keys: keys{r.sql},
		Totals: totals{r}, Letters: letters{r.sql}, Journal: r.journal, Backlog: r.backlog,
	})
}

// flush brings the journal to SQL, if the test is about it.
func (r *rig) flush(ctx context.Context, sh model.Shard) error {
	if !r.sql.journaled {
		return nil
	}
	return r.journal.Flush(ctx, sh)
}

// journaled prepares a rig whose journal outlives its Redis.
func journaled(sql *memory) { sql.journaled = true }

// loseRedis kills Redis with all it holds, and returns when SQL is the home of everything.
func (r *rig) loseRedis() {
	r.t.Helper()
	if err := r.redis.Kill(); err != nil {
		r.t.Fatal(err)
	}
	r.eventually("SQL is the home", func() bool { return r.table.AtSQL() == testShards })
}

// returnRedis starts Redis again, empty, and returns when it is the home of everything.
func (r *rig) returnRedis() {
	r.t.Helper()
	if err := r.redis.Start(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.eventually("Redis is the home", func() bool { return r.table.AtSQL() == 0 && r.table.Granted() == testShards })
}

// wantError checks an error's kind, and that its message is of such a case.
func wantError(t *testing.T, err error, kind model.Kind, message string) {
	t.Helper()
	if err == nil || model.KindOf(err) != kind || !strings.Contains(err.Error(), message) {
		t.Errorf("got %v, want %d with %q", err, kind, message)
	}
}
