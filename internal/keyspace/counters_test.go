package keyspace

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zmsg/zmsg/model"
)

const totalsTTL = 30 * time.Minute

// newCounters returns a shard of counters, opened in epoch 1.
func newCounters(t *testing.T) *shard {
	t.Helper()
	h := newShard(t)
	h.s = h.sp.ItemShards()
	h.open(1, 0)
	return h
}

func counter(metric string) model.Counter { return model.Counter{Subject: "post:1", Metric: metric} }

func add(metric string, n int64) model.Count {
	return model.Count{Counter: counter(metric), Op: model.CountAdd, N: n}
}

func set(metric string, n int64) model.Count {
	return model.Count{Counter: counter(metric), Op: model.CountSet, N: n}
}

func remove(metric string) model.Count {
	return model.Count{Counter: counter(metric), Op: model.CountRemove}
}

func keyed(c model.Count, key, fingerprint string) model.Count {
	c.IdempotencyKey, c.Fingerprint = key, fingerprint
	return c
}

// mode is how changes are counted: with keys that were looked up, or blindly.
type mode struct{ looked, blind bool }

func (h *shard) countArgs(m mode, counts ...model.Count) ([]string, []any) {
	args := []any{h.epoch, h.sp.Prefix(h.s), 1000, keyPeriod, flag(m.looked), flag(m.blind)}
	for i := range counts {
		args = AppendCount(args, &counts[i])
	}
	return []string{h.sp.Meta(h.s), h.sp.Queue(h.s), h.sp.Events(h.s)}, args
}

// count changes counters and returns the answers, separated by commas.
func (h *shard) count(m mode, counts ...model.Count) string {
	h.t.Helper()
	keys, args := h.countArgs(m, counts...)
	reply, err := h.try(Count, keys, args...)
	if err != nil {
		h.t.Fatalf("count: %v", err)
	}
	answers, _ := reply.([]any)
	if len(answers) != len(counts) {
		h.t.Fatalf("count of %d changes: %v", len(counts), reply)
	}
	var texts []string
	for _, a := range answers {
		if done, ok := a.([]any); ok && len(done) == 4 {
			h.wantDifference(done[1].(int64), done[3].(string))
			a = done[:3]
		}
		texts = append(texts, textOf(a))
	}
	return strings.Join(texts, ", ")
}

// wantDifference checks the difference that a change is said to have made against what is queued.
func (h *shard) wantDifference(seq int64, difference string) {
	h.t.Helper()
	id := StreamID(model.NewVersion(h.epoch, seq))
	queued := h.c.XRange(h.t.Context(), h.sp.Queue(h.s), id, id).Val()
	if len(queued) != 1 {
		h.t.Fatalf("entry %s: %v", id, queued)
	}
	if q := ParseQueued(h.s, id, queued[0].Values); q.Delta == nil || strconv.FormatInt(q.Delta.N, 10) != difference {
		h.t.Errorf("difference %s of %+v", difference, q.Delta)
	}
}

// wantCount counts and checks the answers.
func (h *shard) wantCount(want string, counts ...model.Count) {
	h.t.Helper()
	if got := h.count(mode{}, counts...); got != want {
		h.t.Errorf("count of %v: %s, want %s", counts, got, want)
	}
}

// load brings what SQL holds of a subject at a position.
func (h *shard) load(position model.Version, subject string, values map[string]int64) string {
	h.t.Helper()
	args := []any{h.epoch, Hex(position), totalsTTL.Milliseconds()}
	for metric, n := range values {
		args = append(args, metric, n)
	}
	return h.run(LoadTotals, []string{h.sp.Meta(h.s), h.sp.TotalsKey(h.s, subject), h.sp.PendingKey(h.s, subject)}, args...)
}

// mustLoad loads at the released position.
func (h *shard) mustLoad(subject string, values map[string]int64) {
	h.t.Helper()
	position, err := ParseHex(h.meta("rel"))
	if err != nil {
		h.t.Fatal(err)
	}
	if got := h.load(position, subject, values); !strings.HasPrefix(got, "ok") {
		h.t.Fatalf("load of %s: %s", subject, got)
	}
}

// totals returns the totals of subjects, nil for those that are cold, and the released position.
func (h *shard) totals(subjects ...string) (released string, all []map[string]int64) {
	h.t.Helper()
	keys := []string{h.sp.Meta(h.s)}
	for _, s := range subjects {
		keys = append(keys, h.sp.TotalsKey(h.s, s))
	}
	reply, err := h.try(Totals, keys, h.epoch)
	if err != nil {
		h.t.Fatalf("totals: %v", err)
	}
	list, _ := reply.([]any)
	if len(list) != len(keys) {
		h.t.Fatalf("totals of %d subjects: %v", len(subjects), reply)
	}
	for _, v := range list[1:] {
		pairs, hot := v.([]any)
		if !hot {
			all = append(all, nil)
			continue
		}
		values := make(map[string]int64)
		for i := 0; i < len(pairs); i += 2 {
			values[fmt.Sprint(pairs[i])] = h.integer(fmt.Sprint(pairs[i+1]))
		}
		all = append(all, values)
	}
	return fmt.Sprint(list[0]), all
}

// total returns the totals of one subject, nil if they are cold.
func (h *shard) total(subject string) map[string]int64 {
	h.t.Helper()
	_, all := h.totals(subject)
	return all[0]
}

// pending returns the pending sums of a subject.
func (h *shard) pending(subject string) map[string]int64 {
	h.t.Helper()
	fields, err := h.c.HGetAll(h.t.Context(), h.sp.PendingKey(h.s, subject)).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		h.t.Fatal(err)
	}
	sums := make(map[string]int64)
	for metric, n := range fields {
		sums[metric] = h.integer(n)
	}
	return sums
}

func (h *shard) integer(s string) int64 {
	h.t.Helper()
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

// queued returns what the stream holds, decoded.
func (h *shard) queued() []model.Queued {
	h.t.Helper()
	messages, err := h.c.XRange(h.t.Context(), h.sp.Queue(h.s), "-", "+").Result()
	if err != nil {
		h.t.Fatal(err)
	}
	var list []model.Queued
	for _, m := range messages {
		list = append(list, ParseQueued(h.s, m.ID, m.Values))
	}
	return list
}

// releaseArgs is what the release script is told beyond the position.
type releaseArgs struct {
	most    int
	read    bool // the caller read after the position from, and found what follows
	from    model.Version
	skipped model.Version
	ids     []model.ID
	sums    map[model.Counter]int64
}

func (h *shard) releaseWith(to model.Version, r releaseArgs) string {
	h.t.Helper()
	from := ""
	if r.read {
		from = Hex(r.from)
	}
	args := []any{
		h.epoch, Hex(to), StreamID(to), h.sp.Prefix(h.s), valueTTL.Milliseconds(), deletionTTL.Milliseconds(),
		r.most, eventsKept, from, Hex(r.skipped), len(r.ids),
	}
	for _, id := range r.ids {
		args = append(args, int64(id))
	}
	for c, n := range r.sums {
		args = append(args, c.Subject, c.Metric, n)
	}
	return h.run(Release, []string{h.sp.Meta(h.s), h.sp.Queue(h.s), h.sp.Events(h.s)}, args...)
}
