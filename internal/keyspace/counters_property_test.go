package keyspace

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/zmsg/zmsg/model"
)

// sums are the values of counters.
type sums map[model.Counter]int64

func (s sums) add(d *model.Delta) { s[d.Counter] += d.N }

// of returns the values of one subject, without zeros.
func (s sums) of(subject string) map[string]int64 {
	values := make(map[string]int64)
	for c, n := range s {
		if c.Subject == subject && n != 0 {
			values[c.Metric] = n
		}
	}
	return values
}

var subjects = []string{"a", "b"}

// ledger is a shard of counters beside a simple account of what it must hold.
type ledger struct {
	*shard
	truth    sums // of all changes, but for those that SQL left out and that are released
	sql      sums // at the position
	position model.Version
	skipped  model.Version
	released model.Version
	trimmed  model.Version  // the stream holds what lies after
	queue    []model.Queued // after the released position
	hot      map[string]bool
	keys     map[string]string // what a repeat is answered
	seq      int64
}

func newLedger(t *rapid.T, h shard) *ledger {
	h.t = t
	if err := h.c.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	h.open(1, 0)
	return &ledger{shard: &h, truth: sums{}, sql: sums{}, hot: map[string]bool{}, keys: map[string]string{}}
}

func drawCount(t *rapid.T) model.Count {
	c := model.Count{
		Counter: model.Counter{
			Subject: rapid.SampledFrom(subjects).Draw(t, "subject"),
			Metric:  rapid.SampledFrom([]string{"x", "y"}).Draw(t, "metric"),
		},
		Op: rapid.SampledFrom([]model.CountOp{model.CountAdd, model.CountAdd, model.CountSet, model.CountRemove}).Draw(t, "op"),
	}
	if c.Op != model.CountRemove {
		c.N = rapid.OneOf(rapid.Int64Range(-3, 3), rapid.Int64Range(-most, most), rapid.SampledFrom([]int64{-most, 1 - most, most - 1, most})).Draw(t, "n")
	}
	if key := rapid.SampledFrom([]string{"", "", "k1", "k2"}).Draw(t, "key"); key != "" {
		c.IdempotencyKey, c.Fingerprint = key, fmt.Sprint(c.Counter, c.Op, c.N)
	}
	return c
}

// counts makes some changes in one call and compares every answer with what the account says.
func (l *ledger) counts(t *rapid.T) {
	m := mode{blind: rapid.Bool().Draw(t, "blind")}
	list := rapid.SliceOfN(rapid.Custom(drawCount), 1, 4).Draw(t, "counts")
	answers := strings.Split(l.count(m, list...), ", ")
	held, done := map[string]bool{}, 0
	for i, c := range list {
		want := l.expect(c, m.blind, held)
		if answers[i] != want {
			t.Fatalf("%+v (%+v) is answered %q, want %q", c, m, answers[i], want)
		}
		if strings.HasPrefix(want, "ok") {
			done++
		}
	}
	if done > 0 {
		events := l.stream(l.sp.Events(l.s))
		if got, want := events[len(events)-1], fmt.Sprintf("%d-%d c %d", l.epoch, l.seq, done); got != want {
			t.Fatalf("event %q, want %q", got, want)
		}
	}
}

// expect brings one change to account and returns how it must be answered.
func (l *ledger) expect(c model.Count, blind bool, held map[string]bool) string {
	if held[c.Subject] {
		return "cold"
	}
	if answer, ok := l.keys[c.IdempotencyKey]; ok {
		fingerprint, result, _ := strings.Cut(answer, "|")
		if fingerprint != c.Fingerprint {
			return "reused"
		}
		if first, err := model.ParseCountResult(result); err == nil && first.Version > l.trimmed {
			return fmt.Sprintf("replay %s queued %s", result, StreamID(first.Version))
		}
		return "replay " + result
	}
	hot, total := l.hot[c.Subject], l.truth[c.Counter]
	delta, after := c.N, total+c.N
	if c.Op != model.CountAdd {
		delta, after = c.N-total, c.N
	}
	switch queued := l.pendingOf(c.Counter) + c.N; {
	case !hot && (!blind || c.Op != model.CountAdd || abs(queued) > most):
		held[c.Subject] = true
		return "cold"
	case hot && c.Op != model.CountRemove && abs(after) > most:
		return fmt.Sprint("range ", total)
	}
	l.seq++
	l.truth[c.Counter] = total + delta
	l.queue = append(l.queue, model.Queued{
		Version: model.NewVersion(l.epoch, l.seq), Delta: &model.Delta{Counter: c.Counter, N: delta},
	})
	value := ""
	if hot {
		value = fmt.Sprint(after)
	}
	if c.IdempotencyKey != "" {
		l.keys[c.IdempotencyKey] = fmt.Sprintf("%s|%s|%d|%d", c.Fingerprint, value, l.epoch, l.seq)
	}
	return fmt.Sprintf("ok %d %s", l.seq, value)
}

// pendingOf returns what is queued of a counter after the released position.
func (l *ledger) pendingOf(c model.Counter) int64 {
	all := sums{}
	for _, q := range l.queue {
		all.add(q.Delta)
	}
	return all[c]
}

func abs(n int64) int64 { return max(n, -n) }

// commit brings some of the queue to SQL, which may leave one change out.
func (l *ledger) commit(t *rapid.T) {
	var waiting []model.Queued
	for _, q := range l.queue {
		if q.Version > l.position {
			waiting = append(waiting, q)
		}
	}
	if len(waiting) == 0 {
		return
	}
	waiting = waiting[:rapid.IntRange(1, len(waiting)).Draw(t, "changes")]
	l.position = waiting[len(waiting)-1].Version
	out := rapid.IntRange(-3*len(waiting), len(waiting)-1).Draw(t, "left out")
	for i, q := range waiting {
		if i == out {
			l.skipped = l.position
			continue
		}
		l.sql.add(q.Delta)
	}
}

// release releases a part of what is committed, by what the caller read or by what the script reads.
func (l *ledger) release(t *rapid.T) {
	if l.position == l.released {
		return
	}
	r := releaseArgs{
		most: rapid.IntRange(1, 5).Draw(t, "most"), read: rapid.Bool().Draw(t, "read"), from: l.released, skipped: l.skipped, sums: sums{},
	}
	if r.read && rapid.Bool().Draw(t, "outdated") {
		r.from--
	}
	for _, q := range l.queue {
		if q.Version <= l.position {
			r.sums[q.Delta.Counter] += q.Delta.N
		}
	}
	short := l.skipped > l.released
	l.releaseWith(l.position, r)
	up, err := ParseHex(l.meta("rel"))
	if err != nil || up <= l.released {
		t.Fatalf("release of %d after %d came to %d, %v", l.position, l.released, up, err)
	}
	l.released = up
	l.seq = l.integer(l.meta("seq"))
	l.queue = slices.DeleteFunc(l.queue, func(q model.Queued) bool { return q.Version <= up })
	if short {
		l.settleTruth()
	}
}

// settleTruth accepts what SQL left out: from here on the truth is what SQL has, and will have.
func (l *ledger) settleTruth() {
	l.truth = maps.Clone(l.sql)
	for _, q := range l.queue {
		if q.Version > l.position {
			l.truth.add(q.Delta)
		}
	}
	clear(l.hot)
}

// reload brings what SQL says. It must be refused unless the position is the released one.
func (l *ledger) reload(t *rapid.T) {
	subject := rapid.SampledFrom(subjects).Draw(t, "subject")
	got := l.load(l.position, subject, l.sql.of(subject))
	if at := l.position == l.released; at != strings.HasPrefix(got, "ok") || at == strings.HasPrefix(got, "behind") {
		t.Fatalf("load of %s at %d, released up to %d: %s", subject, l.position, l.released, got)
	}
	l.hot[subject] = l.hot[subject] || l.position == l.released
}

// reopen drains the shard and opens its next epoch.
func (l *ledger) reopen(*rapid.T) {
	for _, q := range l.queue {
		if q.Version > l.position {
			l.sql.add(q.Delta)
			l.position = q.Version
		}
	}
	l.open(l.epoch+1, l.position)
	l.released, l.trimmed, l.queue, l.seq = l.position, l.position, nil, 0
	l.settleTruth()
}

func (l *ledger) drop(t *rapid.T) {
	subject := rapid.SampledFrom(subjects).Draw(t, "subject")
	if err := l.c.Del(t.Context(), l.sp.TotalsKey(l.s, subject)).Err(); err != nil {
		t.Fatal(err)
	}
	delete(l.hot, subject)
}

func (l *ledger) trim(*rapid.T) {
	l.run(Trim, []string{l.sp.Meta(l.s), l.sp.Queue(l.s)}, l.epoch)
	l.trimmed = l.released
}

// check compares everything with the account.
func (l *ledger) check(t *rapid.T) {
	released, all := l.totals(subjects...)
	if released != Hex(l.released) || l.meta("seq") != fmt.Sprint(l.seq) {
		t.Fatalf("released up to %s, want %s; sequence %s, want %d", released, Hex(l.released), l.meta("seq"), l.seq)
	}
	for i, subject := range subjects {
		want := sums{}
		for _, q := range l.queue {
			want.add(q.Delta)
		}
		if got := l.pending(subject); !maps.Equal(got, want.of(subject)) {
			t.Fatalf("pending sums of %s: %v, want %v", subject, got, want.of(subject))
		}
		if (all[i] != nil) != l.hot[subject] {
			t.Fatalf("%s is hot: %v, want %v", subject, all[i], l.hot[subject])
		}
		if all[i] == nil {
			continue
		}
		maps.DeleteFunc(all[i], func(_ string, n int64) bool { return n == 0 })
		if !maps.Equal(all[i], l.truth.of(subject)) {
			t.Fatalf("totals of %s: %v, want %v", subject, all[i], l.truth.of(subject))
		}
	}
	var entries []model.Queued
	for _, q := range l.queued() {
		if q.Version > l.released {
			entries = append(entries, q)
		}
	}
	if err := sameDeltas(entries, l.queue); err != nil {
		t.Fatal(err)
	}
}

func sameDeltas(got, want []model.Queued) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d changes are queued, want %d", len(got), len(want))
	}
	var errs []error
	for i, q := range got {
		if w := want[i]; q.Delta == nil || q.Version != w.Version || q.Delta.Counter != w.Delta.Counter || q.Delta.N != w.Delta.N {
			errs = append(errs, fmt.Errorf("%+v is queued, want %+v of %+v", q, w.Version, w.Delta))
		}
	}
	return errors.Join(errs...)
}

// Whatever happens in whatever order: a total that is hot is the sum of all changes, and what is pending
// is the sum of the entries that are not released.
func TestTotalsAndPendingSumsAreExactThroughout(t *testing.T) {
	t.Parallel()
	h := newCounters(t)
	rapid.Check(t, func(t *rapid.T) {
		l := newLedger(t, *h)
		t.Repeat(map[string]func(*rapid.T){
			"":       l.check,
			"count":  l.counts,
			"commit": l.commit,
			// Release and load twice, for they must meet the same position.
			"release": l.release, "release again": l.release,
			"load": l.reload, "load again": l.reload,
			"drop": l.drop, "trim": l.trim, "reopen": l.reopen,
		})
	})
}
