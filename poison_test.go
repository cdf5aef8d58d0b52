package zmsg_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

// exec runs statements in SQL.
func (w *world) exec(tb testing.TB, statements ...string) {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), w.dsn)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(tb.Context())) }()
	for _, s := range statements {
		if _, err := conn.Exec(tb.Context(), s); err != nil {
			tb.Fatalf("%s: %v", s, err)
		}
	}
}

// hold keeps everybody from writing to a table, until the function returned is called.
func (w *world) hold(tb testing.TB, table string) (release func()) {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), w.dsn)
	if err != nil {
		tb.Fatal(err)
	}
	release = sync.OnceFunc(func() { _ = conn.Close(context.WithoutCancel(tb.Context())) })
	tb.Cleanup(release)
	for _, s := range []string{"BEGIN", "LOCK TABLE " + table + " IN SHARE MODE"} {
		if _, err := conn.Exec(tb.Context(), s); err != nil {
			tb.Fatalf("%s: %v", s, err)
		}
	}
	return release
}

// What SQL refuses in these tests: items with this content, and counters of this metric above a value.
const (
	poison      = "poison"
	capped      = "capped"
	cappedAt    = 100
	refuseItems = `ALTER TABLE feeds ADD CONSTRAINT no_poison CHECK (content NOT LIKE '%` + poison + `%')`
	takeItems   = `ALTER TABLE feeds DROP CONSTRAINT no_poison`
	refuseAbove = `ALTER TABLE counters ADD CONSTRAINT no_more CHECK (metric <> '` + capped + `' OR value <= 100)`
	takeAll     = `ALTER TABLE counters DROP CONSTRAINT no_more`

	checkViolation = "23514" // its SQLSTATE
)

// letters returns all dead letters, seen through r.
func (r *replica) letters(t *testing.T) []model.DeadLetter {
	t.Helper()
	list, err := r.DeadLetters.List(t.Context(), 0, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// onlyLetter returns the dead letter if there is exactly one.
func (r *replica) onlyLetter(t *testing.T) model.DeadLetter {
	t.Helper()
	list := r.letters(t)
	if len(list) != 1 {
		t.Fatalf("%d dead letters: %+v", len(list), list)
	}
	return list[0]
}

// wantText checks what the replicas read: the exact read at once, the other one soon.
func wantText(t *testing.T, id model.ID, want string, replicas ...*replica) {
	t.Helper()
	for i, r := range replicas {
		if got := r.text(t, id, true); got != want {
			t.Errorf("replica %d reads %q exactly, want %q", i, got, want)
		}
		eventually(t, 2*time.Second, fmt.Sprintf("replica %d reads %q", i, want), func() bool { return r.text(t, id, false) == want })
	}
}

// wantKind checks the kind of an error.
func wantKind(t *testing.T, what string, err error, want model.Kind) {
	t.Helper()
	if err == nil || model.KindOf(err) != want {
		t.Errorf("%s: %v, want an error of kind %d", what, err, want)
	}
}

// texts returns the content of all items in SQL.
func (w *world) texts(t *testing.T) map[model.ID]string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), w.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	rows, err := conn.Query(t.Context(), "SELECT id, content FROM feeds WHERE NOT deleted")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[model.ID]string)
	var id model.ID
	var content string
	if _, err := pgx.ForEachRow(rows, []any{&id, &content}, func() error {
		found[id] = strings.Trim(content, `"`)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

// putAll writes n new items through the replicas in turn, in batches. Where bad says so the content is one
// that SQL refuses.
func putAll(t *testing.T, n int, author model.ID, bad func(i int) bool, replicas ...*replica) map[model.ID]string {
	t.Helper()
	want := make(map[model.ID]string, n)
	const size = 100
	for from := 0; from < n; from += size {
		var ops []service.BatchOp
		for i := from; i < min(n, from+size); i++ {
			text := textN(i)
			if bad(i) {
				text = poison
			}
			d := draft(newID(), author, text)
			ops = append(ops, service.BatchOp{Op: model.OpPut, Draft: d})
			want[d.ID] = text
		}
		for _, res := range replicas[from/size%len(replicas)].Feeds.Batch(t.Context(), ops, delayed) {
			if res.Err != nil {
				t.Fatalf("batch: %v", res.Err)
			}
		}
	}
	return want
}

// One bad row among a thousand: the others arrive, and of the bad one everybody reads what was before it,
// from whatever cache, until an operator has it stored.
func TestP7_OneBadRowOfAThousand(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]string{"NewItem": "", "ItemThatExists": "before"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a, b := w.open(t), w.open(t)
			bad, author := newID(), newID()
			if before != "" {
				a.mustPut(t, bad, author, before, stored)
			}
			w.exec(t, refuseItems)
			release := w.hold(t, "feeds")
			want := putAll(t, 500, author, func(int) bool { return false }, a, b)
			a.mustPut(t, bad, author, poison, delayed)
			for id, text := range putAll(t, 499, author, func(int) bool { return false }, a, b) {
				want[id] = text
			}
			wantText(t, bad, poison, a, b) // until now it is as good as any
			release()
			w.awaitDrained(t)
			if before != "" {
				want[bad] = before
			}
			w.wantTexts(t, want)
			letter := a.onlyLetter(t)
			if letter.Kind != "item" || letter.Key != bad.String() || letter.Code != checkViolation || !strings.Contains(letter.Reason, "no_poison") {
				t.Errorf("dead letter %+v", letter)
			}
			wantText(t, bad, before, a, b)
			w.evictAll(t)
			wantText(t, bad, before, a, b)
			w.checkShardGoesOn(t, bad, a, b)
			w.checkRetry(t, letter, author, before, a, b)
		})
	}
}

// wantTexts checks all items in SQL.
func (w *world) wantTexts(t *testing.T, want map[model.ID]string) {
	t.Helper()
	inSQL := w.texts(t)
	if len(inSQL) != len(want) {
		t.Errorf("SQL holds %d items, want %d", len(inSQL), len(want))
	}
	for id, text := range want {
		if inSQL[id] != text {
			t.Errorf("%s is %q in SQL, want %q", id, inSQL[id], text)
		}
	}
}

// checkShardGoesOn writes another item of the shard.
func (w *world) checkShardGoesOn(t *testing.T, bad model.ID, a, b *replica) {
	t.Helper()
	space := keyspace.New(testShards)
	other := newID()
	for space.Shard(other) != space.Shard(bad) {
		other = newID()
	}
	a.mustPut(t, other, newID(), "goes on", stored)
	wantText(t, other, "goes on", a, b)
}

// checkRetry has the write of a dead letter stored.
func (w *world) checkRetry(t *testing.T, letter model.DeadLetter, author model.ID, before string, a, b *replica) {
	t.Helper()
	item := letter.Write.Item.ID
	if listed := slices.Contains(b.listed(t, true, author), item); listed != (before != "") {
		t.Errorf("listed before the retry: %v", listed)
	}
	wantKind(t, "retry of what is still refused", b.DeadLetters.Retry(t.Context(), letter.ID), model.Invalid)
	if again := a.onlyLetter(t); again.ID != letter.ID {
		t.Errorf("the dead letter has become %+v", again)
	}
	w.exec(t, takeItems)
	if err := b.DeadLetters.Retry(t.Context(), letter.ID); err != nil {
		t.Fatalf("retry: %v", err)
	}
	wantText(t, item, poison, a, b)
	for _, r := range []*replica{a, b} {
		if !slices.Contains(r.listed(t, true, author), item) {
			t.Error("not listed after the retry")
		}
	}
	if got := w.sql(t, item); got.version != letter.Version || got.content != strconv.Quote(poison) {
		t.Errorf("SQL holds %+v", got)
	}
	if list := a.letters(t); len(list) != 0 {
		t.Errorf("left are %+v", list)
	}
	wantKind(t, "retry of what is gone", a.DeadLetters.Retry(t.Context(), letter.ID), model.NotFound)
}

// Whoever has written the item since is not overwritten by an old write.
func TestP7_RetryOfAnItemWrittenSinceIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.open(t), w.open(t)
	w.exec(t, refuseItems)
	id, author := newID(), newID()
	a.mustPut(t, id, author, poison, delayed)
	w.awaitDrained(t)
	letter := b.onlyLetter(t)
	wantText(t, id, "", a, b)
	a.mustPut(t, id, author, "since", stored)
	w.exec(t, takeItems)
	wantKind(t, "retry", b.DeadLetters.Retry(t.Context(), letter.ID), model.Conflict)
	wantText(t, id, "since", a, b)
	if again := a.onlyLetter(t); again.ID != letter.ID {
		t.Errorf("the dead letter has become %+v", again)
	}
	if err := b.DeadLetters.Discard(t.Context(), letter.ID); err != nil {
		t.Fatal(err)
	}
	if list := a.letters(t); len(list) != 0 {
		t.Errorf("left are %+v", list)
	}
	wantKind(t, "discard of what is gone", b.DeadLetters.Discard(t.Context(), letter.ID), model.NotFound)
}

// Whoever waits for the commit is told, and soon.
func TestP7_SynchronousWriteOfABadRowIsInvalid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.open(t), w.open(t)
	id, author := newID(), newID()
	likes := model.Counter{Subject: "post:1", Metric: capped}
	a.mustPut(t, id, author, "before", stored)
	w.exec(t, refuseItems, refuseAbove)
	for i, r := range []*replica{a, b} {
		began := time.Now()
		_, err := r.Feeds.Put(t.Context(), draft(id, author, poison), stored)
		wantKind(t, "put", err, model.Invalid)
		_, err = r.Feeds.Create(t.Context(), draft(0, author, poison), service.WriteOptions{
			Store: model.StoreSync, IdempotencyKey: "create-" + strconv.Itoa(i), Fingerprint: "f",
		})
		wantKind(t, "create", err, model.Invalid)
		_, err = r.Counters.Increment(t.Context(), likes, cappedAt+1, service.CountOptions{Store: model.StoreSync})
		wantKind(t, "increment", err, model.Invalid)
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("the answers took %v", took)
		}
		wantText(t, id, "before", a, b)
	}
	if n := len(a.letters(t)); n != 6 {
		t.Errorf("%d dead letters", n)
	}
	if n, err := b.Counters.Get(t.Context(), likes); err != nil || n != 0 {
		t.Errorf("the counter is %d, %v", n, err)
	}
}

// One bad row in a hundred slows the drain down, but not to a crawl: an idle machine drains about five thousand
// such writes in a second, and one that is busy with other tests still some hundreds.
func TestP7_DrainKeepsItsPaceWithBadRows(t *testing.T) {
	t.Parallel()
	const items = 5000
	w := newWorld(t)
	a := w.open(t)
	w.exec(t, refuseItems)
	drain := func(bad func(i int) bool) time.Duration {
		t.Helper()
		release := w.hold(t, "feeds")
		putAll(t, items, newID(), bad, a)
		release()
		began := time.Now()
		w.awaitDrained(t)
		return time.Since(began)
	}
	clean := drain(func(int) bool { return false })
	poisoned := drain(func(i int) bool { return i%100 == 0 })
	t.Logf("%d writes: %v, with 1%% bad ones %v", items, clean, poisoned)
	if poisoned > 4*items*time.Millisecond {
		t.Errorf("%v with bad rows, %v without", poisoned, clean)
	}
	if n := w.count(t, "SELECT count(*) FROM feeds"); n != 2*items-items/100 {
		t.Errorf("%d rows", n)
	}
	if n := len(a.letters(t)); n != items/100 {
		t.Errorf("%d dead letters", n)
	}
}
