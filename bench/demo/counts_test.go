package main

import (
	"context"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zmsg/zmsg/internal/testenv"
	"github.com/zmsg/zmsg/model"
)

const countedIncrements = 6000

// countedDemo returns a demo whose increments are in the fake service.
func countedDemo(t *testing.T, faulty bool) (*demo, *fake) {
	t.Helper()
	f, bases := newFake(t, faulty)
	d := newDemo(options{
		addrs: bases, items: 6, authors: 2, reads: 1, workers: 6, seed: 7, increments: countedIncrements, counters: 501,
	})
	d.report.out = io.Discard
	t.Cleanup(d.api.close)
	if _, err := d.load(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return d, f
}

// checkCounts runs what follows the load, with the fake's counters in the place of SQL's, and returns how
// many mismatches there were before and after.
func checkCounts(t *testing.T, d *demo, f *fake) int {
	t.Helper()
	if n, err := d.verifyCounts(t.Context()); err != nil || n != 2*(501+6*ownCounters) {
		t.Fatalf("%d counters read, %v", n, err)
	}
	compareSQLCounts(d.report, d.tally.finals(), d.values, maps.Clone(f.counts))
	return d.report.mismatches
}

// The tally must stay exact whatever happens to requests and answers, and where it cannot, allow no more
// than what is open.
func TestDemo_TallyIsExact(t *testing.T) {
	t.Parallel()
	for name, faulty := range map[string]bool{"Calm": false, "Faulty": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, f := countedDemo(t, faulty)
			if n := checkCounts(t, d, f); n != 0 {
				t.Errorf("%d mismatches: %s", n, strings.Join(d.report.shown, "\n"))
			}
			c := d.report.counted
			if c.acknowledged+c.uncertain != countedIncrements {
				t.Errorf("%d increments acknowledged and %d uncertain of %d", c.acknowledged, c.uncertain, countedIncrements)
			}
			if !faulty && c.uncertain > 0 || faulty == (c.failedReads == 0) {
				t.Errorf("%d uncertain increments, %d failed reads", c.uncertain, c.failedReads)
			}
			if c.repeated < countedIncrements/20 || d.progress.reads.Load() == 0 {
				t.Errorf("%d repeats, %d reads", c.repeated, d.progress.reads.Load())
			}
			open, negative := 0, 0
			for _, f := range d.tally.finals() {
				if f.low != f.high {
					open++
				}
				if f.low < 0 {
					negative++
				}
			}
			if open > c.uncertain || negative == 0 {
				t.Errorf("%d counters are open for %d uncertain increments, %d are negative", open, c.uncertain, negative)
			}
		})
	}
}

// Whatever the service spoils must be found, at both replicas and in SQL.
func TestDemo_FindsCountersThatWereSpoilt(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		spoil func(d *demo, f *fake)
		want  int
	}{
		"LostIncrement":    {func(d *demo, f *fake) { f.counts[d.tally.shared[0].Counter]-- }, 3},
		"DoubledIncrement": {func(d *demo, f *fake) { f.counts[d.tally.shared[3].Counter]++ }, 3},
		"LostCounter":      {func(d *demo, f *fake) { delete(f.counts, d.tally.shared[0].Counter) }, 3},
		"LostSet":          {func(d *demo, f *fake) { f.counts[d.tally.own[5].Counter] += 5000 }, 3},
		"StrayCounter":     {func(_ *demo, f *fake) { f.counts[model.Counter{Subject: "x", Metric: "y"}] = 1 }, 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, f := countedDemo(t, false)
			c.spoil(d, f)
			if n := checkCounts(t, d, f); n != c.want {
				t.Errorf("%d mismatches, want %d: %s", n, c.want, strings.Join(d.report.shown, "\n"))
			}
		})
	}
}

// An increment of unknown outcome that has no key is not sent again, and its counter may have two values.
func TestCounting_UncertainIncrement(t *testing.T) {
	t.Parallel()
	f, bases := newFake(t, false)
	d := newDemo(options{addrs: bases, counters: 2, seed: 7})
	d.report.out = io.Discard
	t.Cleanup(d.api.close)
	c := d.newCounting(0)
	bare, keyed := c.draw(), c.keyed(c.draw(), 100)
	if again := c.settleSome([]*increment{bare, keyed}, nil); len(again) != 1 || again[0] != keyed || c.api.calm() {
		t.Fatalf("%v are sent again, calm: %v", again, c.api.calm())
	}
	if err := c.sendAlone(t.Context(), []*increment{keyed}); err != nil {
		t.Fatal(err)
	}
	name := bare.counter.Counter
	for _, took := range []bool{true, false} {
		if took {
			f.counts[name] += bare.delta
		}
		var values []int64
		for _, counter := range d.tally.shared {
			values = append(values, f.counts[counter.Counter])
		}
		compareCounts(d.report, "fake", d.tally.finals(), values)
		if took {
			f.counts[name] -= bare.delta
		}
	}
	if d.report.mismatches != 0 || d.report.counted.uncertain != 1 {
		t.Errorf("%d mismatches, %d uncertain", d.report.mismatches, d.report.counted.uncertain)
	}
	f.counts[name] += 2 * bare.delta
	compareCounts(d.report, "fake", d.tally.finals()[:1], []int64{f.counts[d.tally.shared[0].Counter]})
	compareCounts(d.report, "fake", d.tally.finals()[1:], []int64{f.counts[d.tally.shared[1].Counter]})
	if d.report.mismatches != 1 {
		t.Errorf("%d mismatches after it took effect twice", d.report.mismatches)
	}
}

// A service that forgets keys, or answers repeats anew, is found while the load runs.
func TestDemo_FindsForgottenKeys(t *testing.T) {
	t.Parallel()
	f, bases := newFake(t, false)
	d := newDemo(options{addrs: bases, items: 6, authors: 2, reads: 1, workers: 6, seed: 7, increments: 5000, counters: 50})
	d.report.out = io.Discard
	t.Cleanup(d.api.close)
	c := d.newCounting(1)
	for range 5 {
		if _, err := c.next(t.Context(), 200); err != nil {
			t.Fatal(err)
		}
	}
	f.mu.Lock()
	clear(f.keys)
	f.mu.Unlock()
	if len(c.repeats)+len(c.batches) == 0 {
		t.Fatal("nothing is to be repeated")
	}
	if err := c.finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d.report.mismatches == 0 {
		t.Error("repeats that had an effect were not noticed")
	}
}

func TestCounter_Check(t *testing.T) {
	t.Parallel()
	r := newReport(io.Discard)
	c := newTally(1, 1).shared[0]
	c.sent.add(5)
	c.acked.add(2)
	began := c.now()
	c.sent.add(3) // while the read runs
	for value, wrong := range map[int64]bool{1: true, 2: false, 8: false, 9: true} {
		before := r.mismatches
		c.check(r, "", began, value)
		if (r.mismatches > before) != wrong {
			t.Errorf("%d is taken as wrong: %v", value, !wrong)
		}
	}
	if low, high := c.possible(c.now()); low != 8 || high != 8 {
		t.Errorf("after 8 was read it must be from %d to %d", low, high)
	}
	during := c.now()
	c.forget()
	for _, e := range []earlier{during, c.now()} {
		if low, high := c.possible(e); low != 2 || high != 8 {
			t.Errorf("after Redis was lost it must be from %d to %d", low, high)
		}
	}
	both := newTally(1, 4).shared[3]
	both.sent.add(5)
	both.sent.add(-3)
	both.acked.add(-1)
	if low, high := both.possible(both.now()); low != -3 || high != 4 {
		t.Errorf("from %d to %d, want -3 to 4", low, high)
	}
}

func TestCounter_Delta(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 1))
	for _, grows := range []bool{true, false} {
		c := counter{grows: grows}
		one, negative := 0, 0
		for range 1000 {
			switch d := c.delta(rng); {
			case d == 1:
				one++
			case d < 0:
				negative++
			case d == 0:
				t.Fatal("an increment of 0")
			}
		}
		if one < 600 || (negative > 0) == grows {
			t.Errorf("grows %v: %d of 1000 are 1, %d negative", grows, one, negative)
		}
	}
}

func TestLoadCounts(t *testing.T) {
	t.Parallel()
	dsn := testenv.DB(t)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // The database goes with the test.
	_, err = conn.Exec(t.Context(), `CREATE TABLE counters (subject text, metric text, value bigint);
		INSERT INTO counters VALUES ('demo-1:2', 'a', 7), ('demo-1:2', 'b', -8), ('demo-2:2', 'a', 9)`)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := loadCounts(t.Context(), dsn, "demo-1:")
	want := map[model.Counter]int64{{Subject: "demo-1:2", Metric: "a"}: 7, {Subject: "demo-1:2", Metric: "b"}: -8}
	if err != nil || !maps.Equal(rows, want) {
		t.Errorf("%v, %v", rows, err)
	}
}

func TestScraper(t *testing.T) {
	t.Parallel()
	bodies := []string{
		"# HELP x y\nzmsg_queue_increments_total 100\nzmsg_queue_increment_rows_total 10\n" +
			"zmsg_queue_lag_seconds{shard=\"1\"} 2.5\nzmsg_queue_lag_seconds{shard=\"2\"} 1e-3\nzmsg_home_changes_total{to=\"sql\"} 4\ngo_x 1\n",
		"zmsg_queue_increments_total 5\nzmsg_queue_increment_rows_total 1\nzmsg_home_changes_total{to=\"redis\"} 3\n",
	}
	scrapes := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, bodies[scrapes])
		scrapes++
	}))
	s := newScraper([]string{strings.TrimPrefix(server.URL, "http://")})
	s.scrape(t.Context())
	s.scrape(t.Context()) // after a restart
	server.Close()
	s.scrape(t.Context()) // The last figures stay.
	if n := s.total(incrementsMetric, ""); n != 105 {
		t.Errorf("%v increments, want 105", n)
	}
	if n := s.total(homesMetric, `to="sql"`); n != 4 {
		t.Errorf("%v moves to SQL, want 4", n)
	}
	var out strings.Builder
	s.print(&out)
	for _, want := range []string{"11 rows for 105 increments", "2.5 s longest lag", "4 shards moved to SQL, 3 to Redis"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the summary lacks %q:\n%s", want, out.String())
		}
	}
}

func TestReport_Windows(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	r := newReport(&out)
	r.written("POST", time.Second) // before any
	r.window("first")
	r.unknownOutcome(request{}, answer{}, errors.New("broken"))
	r.window("second")
	r.written("POST", time.Hour)
	r.window("")
	r.written("POST", 0)
	first, second := r.windows[0], r.windows[1]
	if first.acknowledged != 0 || first.failed != 1 || second.acknowledged != 1 || second.failed != 0 {
		t.Errorf("%+v, %+v", first, second)
	}
	if first.slowest != time.Hour || second.slowest != time.Hour || first.silence <= 0 {
		t.Errorf("%+v, %+v", first, second)
	}
	r.print()
	if !strings.Contains(out.String(), "3600000") {
		t.Errorf("the summary lacks the slowest write:\n%s", out.String())
	}
}

func TestAdvance_TakesStepsInTheirOrder(t *testing.T) {
	t.Parallel()
	var done []string
	dueAt, now := map[string]int{"kill": 1, "back": 2, "stop": 1}, 0
	at := func(name string) step {
		return step{
			func(context.Context) (bool, error) { return now >= dueAt[name], nil },
			func(context.Context) error { done = append(done, name); return nil },
		}
	}
	faults := [][]step{{at("kill"), at("back")}, {at("stop")}}
	for ; pending(faults) > 0; now++ {
		if err := advance(t.Context(), faults); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(done, " "); got != "kill stop back" {
		t.Error(got)
	}
}

func TestParseFlags_Faults(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]options{
		"":                              {redisAt: 1 + 3},
		"-kill":                         {kill: 1 + 5, redisAt: 1 + 2},
		"-kill=0 -add":                  {kill: 1 + 0, redisAt: 1 + 3, add: true},
		"-kill=4":                       {kill: 1 + 4, redisAt: 1 + 7},
		"-kill=9 -redis-stop=10s":       {kill: 1 + 9, redisAt: 1 + 6, redisStop: 10 * time.Second},
		"-kill=4 -kill=false":           {redisAt: 1 + 3},
		"-redis-stop=1s -redis-at=5":    {redisAt: 1 + 5, redisStop: time.Second},
		"-kill=4 -redis-at=4 -kill=2":   {kill: 1 + 2, redisAt: 1 + 4},
		"-increments=0 -redis-stop=1ms": {redisAt: 1 + 3, redisStop: time.Millisecond},
	} {
		o, err := parseFlags(strings.Fields(args))
		if err != nil || o.kill != want.kill || o.redisAt != want.redisAt || o.add != want.add || o.redisStop != want.redisStop {
			t.Errorf("%s: %+v, %v", args, o, err)
		}
	}
	for _, args := range []string{"-kill 3", "-kill=10", "-kill=x", "-add", "-counters=0", "-addrs=a -dsn=b -redis-stop=1s"} {
		if _, err := parseFlags(strings.Fields(args)); err == nil {
			t.Errorf("%s is accepted", args)
		}
	}
}
