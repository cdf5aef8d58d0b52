package handlers_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/zmsg/zmsg/handlers"
	"github.com/zmsg/zmsg/model"
)

func report() model.QueueReport {
	return model.QueueReport{
		Replica: "a-1", Replicas: []string{"a-1", "b-22"}, Level: "busy", DeadLetters: 2, Waiting: 1024,
		Work: model.QueueWork{
			Commits: 4321, CommitTime: 2345678 * time.Nanosecond, ItemWrites: 2000, ItemRows: 1999, Increments: 1000000, IncrementRows: 16000,
			DeadLetters: 3, Takeovers: 1, MovedToRedis: 160, MovedToSQL: 80, Lost: 7,
		},
		Shards: []model.ShardReport{
			{
				Shard: 0, Home: "redis", Process: "run1", Epoch: 3, Drainer: "a-1", Position: model.NewVersion(3, 1500),
				Backlog: 1234567, Bytes: 3 << 20, Lag: 1234 * time.Millisecond,
			},
			{Shard: 9, Home: "sql", Epoch: 12, Drainer: "b-22", Position: model.NewVersion(11, 7), Bytes: 512, Lag: 83 * time.Second, RedisOut: true},
			{Shard: 10, Counters: true, Home: "none", Process: "run2", RedisOut: true, Backlog: 999, Bytes: 1 << 11, Lag: 1500 * time.Microsecond},
		},
	}
}

func TestAdminQueueAsText(t *testing.T) {
	t.Parallel()
	const want = `level busy   backlog 1,235,566 (3.0 MiB)   lag 1m23s   waiting 1,024   dead letters 2   replicas 2
this is a-1; alive: a-1, b-22
since its start: 4,321 commits of 2.35ms; 2,000 item writes in 1,999 rows; 1,000,000 increments in 16,000 rows (0.016 each)
  160 shards moved to redis, 80 to sql; 1 takeovers; 3 dead letters, 7 writes lost; breaker open for 2 shards

SHARD  HOLDS     HOME   EPOCH    BACKLOG     SIZE    LAG  POSITION  DRAINER  SERVED BY
    0  items     redis      3  1,234,567  3.0 MiB   1.2s    3-1500  a-1      run1
    9  items     sql       12          0    512 B  1m23s      11-7  b-22     (out of reach)
   10  counters  none       0        999  2.0 KiB    2ms         -  -        run2 (out of reach)
`
	d := adminDeps()
	d.Queue = func(context.Context) model.QueueReport { return report() }
	h := handlers.Admin(d)
	for _, accept := range []string{"", "*/*", "text/html, text/plain;q=0.5"} {
		w := askAdmin(t, h, http.MethodGet, "/admin/queue", "Accept", accept)
		wantStatus(t, w, http.StatusOK)
		wantHeaders(t, w, "Content-Type", "text/plain; charset=utf-8", "Vary", "Accept", "Cache-Control", "no-store")
		if w.Body.String() != want {
			t.Errorf("Accept %q: got\n%s\nwant\n%s", accept, w.Body, want)
		}
	}
}

func TestAdminQueueAsTextWithoutDatabase(t *testing.T) {
	t.Parallel()
	d := adminDeps()
	d.Queue = func(context.Context) model.QueueReport {
		return model.QueueReport{Replica: "a", Level: "ok", DeadLetters: -1}
	}
	const want = `level ok   backlog 0 (0 B)   lag 0s   waiting 0   dead letters unknown   replicas 0
this is a; alive: -
since its start: 0 commits of 0s; 0 item writes in 0 rows; 0 increments in 0 rows (0 each)
  0 shards moved to redis, 0 to sql; 0 takeovers; 0 dead letters, 0 writes lost; breaker open for 0 shards

SHARD  HOLDS  HOME  EPOCH  BACKLOG  SIZE  LAG  POSITION  DRAINER  SERVED BY
`
	if w := askAdmin(t, handlers.Admin(d), http.MethodGet, "/admin/queue"); w.Body.String() != want {
		t.Errorf("got\n%s\nwant\n%s", w.Body, want)
	}
}

func TestAdminQueueAsJSON(t *testing.T) {
	t.Parallel()
	const want = `{"replica":"a-1","replicas":["a-1","b-22"],"level":"busy","backlog_writes":1235566,"backlog_bytes":3148288,` +
		`"lag_seconds":83,"waiting":1024,"dead_letters":2,"since_start":{"commits":4321,"commit_seconds_mean":0.002345678,` +
		`"item_writes":2000,"item_rows":1999,"increments":1000000,"increment_rows":16000,"dead_letters":3,"lost_writes":7,` +
		`"takeovers":1,"shards_moved_to_redis":160,"shards_moved_to_sql":80},"shards":[` +
		`{"shard":0,"holds":"items","home":"redis","process":"run1","epoch":3,"drainer":"a-1","position":"3298534884828",` +
		`"backlog_writes":1234567,"backlog_bytes":3145728,"lag_seconds":1.234,"redis_out":false},` +
		`{"shard":9,"holds":"items","home":"sql","epoch":12,"drainer":"b-22","position":"12094627905543",` +
		`"backlog_writes":0,"backlog_bytes":512,"lag_seconds":83,"redis_out":true},` +
		`{"shard":10,"holds":"counters","home":"none","process":"run2","epoch":0,"drainer":"","position":"0",` +
		`"backlog_writes":999,"backlog_bytes":2048,"lag_seconds":0.0015,"redis_out":true}]}`
	d := adminDeps()
	d.Queue = func(context.Context) model.QueueReport { return report() }
	w := askAdmin(t, handlers.Admin(d), http.MethodGet, "/admin/queue", "Accept", "text/html, Application/JSON;q=0.9")
	wantStatus(t, w, http.StatusOK)
	wantHeaders(t, w, "Content-Type", "application/json")
	if w.Body.String() != want {
		t.Errorf("got\n%s\nwant\n%s", w.Body, want)
	}
	d.Queue = func(context.Context) model.QueueReport { return model.QueueReport{DeadLetters: -1} }
	const none = `{"replica":"","replicas":[],"level":"","backlog_writes":0,"backlog_bytes":0,"lag_seconds":0,"waiting":0,"dead_letters":null,` +
		`"since_start":{"commits":0,"commit_seconds_mean":0,"item_writes":0,"item_rows":0,"increments":0,"increment_rows":0,` +
		`"dead_letters":0,"lost_writes":0,"takeovers":0,"shards_moved_to_redis":0,"shards_moved_to_sql":0},"shards":[]}`
	if w = askAdmin(t, handlers.Admin(d), http.MethodGet, "/admin/queue", "Accept", "application/json"); w.Body.String() != none {
		t.Errorf("got\n%s\nwant\n%s", w.Body, none)
	}
}
