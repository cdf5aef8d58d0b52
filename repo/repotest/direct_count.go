package repotest

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/zmsg/zmsg/model"
)

var countTests = []test{
	{"DirectCount/Outcomes", countOutcomes},
	{"DirectCount/InOrder", countsInOrder},
	{"DirectCount/MaxMetrics", maxMetrics},
	{"DirectCount/P3_RepeatsHaveOneEffect", countRepeats},
	{"DirectCount/P4_IncrementsAreExact", exactIncrements},
	{"DirectCount/P4_OverlappingCalls", overlappingCalls},
}

func likes(subject string) model.Counter { return model.Counter{Subject: subject, Metric: "likes"} }

func add(n int64) model.Count { return model.Count{Counter: likes("s"), N: n} }
func set(n int64) model.Count { return model.Count{Counter: likes("s"), Op: model.CountSet, N: n} }

var removal = model.Count{Counter: likes("s"), Op: model.CountRemove}

func countKey(c model.Count, key, fingerprint string) model.Count {
	c.IdempotencyKey, c.Fingerprint = key, fingerprint
	return c
}

func counts(t *testing.T, r Repo, epoch int64, changes ...model.Count) []model.CountResult {
	t.Helper()
	got, err := r.Direct.Count(t.Context(), 0, epoch, changes)
	if err != nil || len(got) != len(changes) {
		t.Fatalf("Count: %+v, %v", got, err)
	}
	return got
}

// countCases are changes of one counter, and what each must be answered.
func countCases() []struct {
	name  string
	count model.Count
	want  model.CountResult
} {
	const most = model.MaxCount
	value := func(n int64) model.CountResult {
		return model.CountResult{Outcome: model.OutcomeApplied, Value: n, Known: true}
	}
	again := func(n int64) model.CountResult {
		return model.CountResult{Outcome: model.OutcomeApplied, Value: n, Known: true, Replayed: true}
	}
	outOfRange := func(n int64) model.CountResult {
		return model.CountResult{Outcome: model.OutcomeOutOfRange, Value: n, Known: true}
	}
	return []struct {
		name  string
		count model.Count
		want  model.CountResult
	}{
		{"remove what never was", removal, value(0)},
		{"add", add(3), value(3)},
		{"add a negative", add(-5), value(-2)},
		{"set", set(40), value(40)},
		{"add with a key", countKey(add(2), "k", "f"), value(42)},
		{"go on", add(8), value(50)},
		{"repeat", countKey(add(2), "k", "f"), again(42)},
		{"reuse the key", countKey(add(2), "k", "g"), model.CountResult{Outcome: model.OutcomeKeyReused}},
		{"remove", removal, value(0)},
		{"remove again", removal, value(0)},
		{"set the most", set(most), value(most)},
		{"one too many", add(1), outOfRange(most)},
		{"an overflow of the type", add(1<<63 - 1), outOfRange(most)},
		{"set too much", set(most + 1), outOfRange(most)},
		{"a refused change leaves its key alone", countKey(add(1), "r", "f"), outOfRange(most)},
		{"from end to end", countKey(add(-2*most), "r", "f"), value(-most)},
		{"one too few", add(-1), outOfRange(-most)},
		{"the other overflow", add(-1 << 63), outOfRange(-most)},
		{"set to zero", set(0), value(0)},
	}
}

// Each change in a call of its own, and all in one call, are the same.
func countOutcomes(t *testing.T, r Repo) {
	sh := atSQL(t, r)
	for _, tc := range countCases() {
		tc.want.Committed = true
		if got := counts(t, r, sh.Epoch, tc.count); got[0] != tc.want {
			t.Fatalf("%s:\n got %+v\nwant %+v", tc.name, got[0], tc.want)
		}
		if tc.want.Outcome != model.OutcomeApplied || tc.want.Replayed {
			continue
		}
		want := map[string]int64{"likes": tc.want.Value}
		if tc.count.Op == model.CountRemove {
			want = nil
		}
		wantTotals(t, r, "s", want)
	}
}

func countsInOrder(t *testing.T, r Repo) {
	sh := atSQL(t, r)
	var changes []model.Count
	for _, tc := range countCases() {
		other := tc.count
		other.Subject = "another"
		other.IdempotencyKey = ""
		changes = append(changes, tc.count, other)
	}
	got := counts(t, r, sh.Epoch, changes...)
	for i, tc := range countCases() {
		tc.want.Committed = true
		if got[2*i] != tc.want {
			t.Errorf("%s:\n got %+v\nwant %+v", tc.name, got[2*i], tc.want)
		}
	}
	wantTotals(t, r, "s", map[string]int64{"likes": 0})
	wantTotals(t, r, "another", map[string]int64{"likes": 0})
	// Nothing but removals, and nothing at all.
	if got := counts(t, r, sh.Epoch, removal, removal); got[1].Outcome != model.OutcomeApplied {
		t.Errorf("removed twice: %+v", got)
	}
	wantTotals(t, r, "s", nil)
	counts(t, r, sh.Epoch)
}

func maxMetrics(t *testing.T, r Repo) {
	sh := atSQL(t, r)
	metric := func(n int, op model.CountOp) model.Count {
		return model.Count{Counter: model.Counter{Subject: "s", Metric: fmt.Sprintf("m%d", n)}, Op: op, N: 1}
	}
	var changes []model.Count
	for n := range model.MaxMetrics + 1 {
		changes = append(changes, metric(n, model.CountAdd))
	}
	for n, got := range counts(t, r, sh.Epoch, changes...) {
		if want := n == model.MaxMetrics; (got.Outcome == model.OutcomeTooManyMetrics) != want {
			t.Errorf("metric %d: %+v", n, got)
		}
	}
	many, fine := model.OutcomeTooManyMetrics, model.OutcomeApplied
	for i, tc := range []struct {
		count model.Count
		want  model.Outcome
	}{
		{metric(1000, model.CountAdd), many},
		{metric(1000, model.CountSet), many},
		{metric(1000, model.CountRemove), fine},
		{metric(7, model.CountAdd), fine},
		{metric(7, model.CountRemove), fine},
		{metric(1000, model.CountSet), fine},
		{metric(7, model.CountAdd), many},
		{model.Count{Counter: likes("another"), N: 1}, fine},
	} {
		if got := counts(t, r, sh.Epoch, tc.count)[0]; got.Outcome != tc.want {
			t.Errorf("change %d, %+v: %+v", i, tc.count, got)
		}
	}
}

func countRepeats(t *testing.T, r Repo) {
	sh := atSQL(t, r)
	var g errgroup.Group
	var mu sync.Mutex
	results := make(map[model.CountResult]int)
	for i := range 50 {
		g.Go(func() error {
			c := countKey(add(7), "k", "f")
			c.Subject = fmt.Sprintf("s%d", i) // one key is one effect, wherever it is
			got, err := r.Direct.Count(t.Context(), 0, sh.Epoch, []model.Count{c, c})
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			results[got[0]]++
			results[got[1]]++
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	first := model.CountResult{Outcome: model.OutcomeApplied, Value: 7, Known: true, Committed: true}
	repeat := first
	repeat.Replayed = true
	if results[first] != 1 || results[repeat] != 99 {
		t.Errorf("100 repeats: %+v", results)
	}
	changed := 0
	for i := range 50 {
		got, err := r.Counters.Totals(t.Context(), 0, []string{fmt.Sprintf("s%d", i)})
		if err != nil {
			t.Fatal(err)
		}
		changed += len(got.Values)
	}
	if changed != 1 {
		t.Errorf("100 repeats changed %d counters", changed)
	}
}

// Every value from 1 on is told to one of those who count at the same time.
func exactIncrements(t *testing.T, r Repo) {
	const n = 64
	sh := atSQL(t, r)
	values := make([]int64, n)
	var g errgroup.Group
	for i := range n {
		g.Go(func() error {
			got, err := r.Direct.Count(t.Context(), 0, sh.Epoch, []model.Count{add(1)})
			if err == nil {
				values[i] = got[0].Value
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(values)
	for i, v := range values {
		if v != int64(i+1) {
			t.Fatalf("the values told are %v", values)
		}
	}
	wantTotals(t, r, "s", map[string]int64{"likes": n})
}

// Calls that name the same counters and keys in any order all come through.
func overlappingCalls(t *testing.T, r Repo) {
	const callers, rounds, subjects = 6, 8, 10
	sh := atSQL(t, r)
	var g errgroup.Group
	for c := range callers {
		g.Go(func() error {
			for round := range rounds {
				var changes []model.Count
				for i := range subjects {
					s := i
					if (c+round)%2 == 1 {
						s = subjects - 1 - i
					}
					change := model.Count{Counter: likes(fmt.Sprint(s)), N: 1}
					changes = append(changes, change, countKey(change, fmt.Sprintf("%d/%d", round, s), "f"))
				}
				if _, err := r.Direct.Count(t.Context(), 0, sh.Epoch, changes); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for s := range subjects {
		wantTotals(t, r, fmt.Sprint(s), map[string]int64{"likes": callers*rounds + rounds})
	}
}
