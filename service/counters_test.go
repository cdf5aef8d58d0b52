package service_test

import (
	"context"
	"maps"
	"strings"
	"testing"

	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

var countSync = service.CountOptions{Store: model.StoreSync}

// changes are the single changes, by name.
var changes = map[string]func(*service.Counters, context.Context, model.Counter, int64, service.CountOptions) (service.CountWritten, error){
	"increment": (*service.Counters).Increment,
	"set":       (*service.Counters).Set,
	"remove": func(c *service.Counters, ctx context.Context, n model.Counter, _ int64, o service.CountOptions) (service.CountWritten, error) {
		return c.Remove(ctx, n, o)
	},
}

func TestCounters_RefuseBadNames(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		counter model.Counter
		field   string
	}{
		"NoSubject":     {counter("", "likes"), "/subject"},
		"DotSubject":    {counter(".", "likes"), "/subject"},
		"DotsMetric":    {counter("post:1", ".."), "/metric"},
		"LongSubject":   {counter(strings.Repeat("s", service.MaxSubject+1), "likes"), "/subject"},
		"Slash":         {counter("a/b", "likes"), "/subject"},
		"Space":         {counter("a b", "likes"), "/subject"},
		"Quote":         {counter(`a"b`, "likes"), "/subject"},
		"Bar":           {counter("a|b", "likes"), "/subject"},
		"NotASCII":      {counter("é", "likes"), "/subject"},
		"NoMetric":      {counter("a", ""), "/metric"},
		"LongMetric":    {counter("a", strings.Repeat("m", service.MaxMetric+1)), "/metric"},
		"MetricPercent": {counter("a", "%41"), "/metric"},
		"MetricMark":    {counter("a", "!"), "/metric"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := newCounting()
			c := newCounters(fake)
			for _, change := range changes {
				_, err := change(c, t.Context(), tt.counter, 1, service.CountOptions{})
				wantErr(t, err, model.Invalid, tt.field)
			}
			_, err := c.Get(t.Context(), tt.counter)
			wantErr(t, err, model.Invalid, tt.field)
			results, err := c.BatchIncrement(t.Context(), []service.Increment{{Counter: tt.counter, Delta: 1}}, service.CountOptions{})
			if err != nil {
				t.Fatal(err)
			}
			wantErr(t, results[0].Err, model.Invalid, tt.field)
			if tt.counter.Metric != "" {
				wantErr(t, c.BatchGet(t.Context(), []model.Counter{tt.counter})[0].Err, model.Invalid, tt.field)
			}
			if tt.field == "/subject" {
				_, err = c.Subject(t.Context(), tt.counter.Subject)
				wantErr(t, err, model.Invalid, tt.field)
			}
			if len(fake.calls) != 0 || len(fake.reads) != 0 {
				t.Errorf("%d calls and %d reads went out", len(fake.calls), len(fake.reads))
			}
		})
	}
}

func TestCounters_RefuseAmountsOutOfRange(t *testing.T) {
	t.Parallel()
	fake := newCounting()
	c := newCounters(fake)
	for _, n := range []int64{model.MaxCount + 1, -model.MaxCount - 1, 1<<63 - 1, -1 << 63} {
		_, err := c.Increment(t.Context(), likes, n, service.CountOptions{})
		wantErr(t, err, model.Invalid, "/delta")
		_, err = c.Set(t.Context(), likes, n, service.CountOptions{})
		wantErr(t, err, model.Invalid, "/value")
	}
	if len(fake.calls) != 0 {
		t.Errorf("%d calls went out", len(fake.calls))
	}
}

func TestCounters_AcceptAtTheirLimits(t *testing.T) {
	t.Parallel()
	c := newCounters(newCounting())
	n := counter("AZaz09_.:~@-"+strings.Repeat("s", service.MaxSubject-12), "AZaz09_.:~@-"+strings.Repeat("m", service.MaxMetric-12))
	for _, amount := range []int64{model.MaxCount, -model.MaxCount, 0} {
		for name, change := range changes {
			if _, err := change(c, t.Context(), n, amount, service.CountOptions{}); err != nil {
				t.Errorf("%s of %d: %v", name, amount, err)
			}
		}
	}
}

func TestCounters_ChangeAndRead(t *testing.T) {
	t.Parallel()
	fake := newCounting()
	c := newCounters(fake)
	for _, step := range []struct {
		change string
		n      int64
		want   int64
	}{
		{"increment", 5, 5},
		{"increment", -7, -2},
		{"set", 40, 40},
		{"increment", 2, 42},
		{"remove", 0, 0},
		{"remove", 0, 0},
		{"increment", 3, 3},
	} {
		w, err := changes[step.change](c, t.Context(), likes, step.n, service.CountOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if w.Counter != likes || w.Value != step.want || !w.Known || w.Replayed {
			t.Errorf("%s %d: %+v, want %d", step.change, step.n, w, step.want)
		}
		if v, err := c.Get(t.Context(), likes); v != step.want || err != nil {
			t.Errorf("read %d, %v; want %d", v, err, step.want)
		}
	}
	if v, err := c.Get(t.Context(), counter("post:17", "none")); v != 0 || err != nil {
		t.Errorf("an unknown counter is %d, %v", v, err)
	}
	all, err := c.Subject(t.Context(), "post:17")
	if err != nil || !maps.Equal(all, map[string]int64{"likes": 3}) {
		t.Errorf("the subject has %v, %v", all, err)
	}
	if _, err = c.Subject(t.Context(), "away"); model.KindOf(err) != model.Unavailable {
		t.Errorf("a subject that cannot be read: %v", err)
	}
	if _, err = c.Get(t.Context(), counter("away", "likes")); model.KindOf(err) != model.Unavailable {
		t.Errorf("a counter that cannot be read: %v", err)
	}
}

func TestCounters_Durability(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		prepare func(*counting)
		store   model.Store
		want    string
		awaited bool
	}{
		"DelayedByDefault": {nil, model.StoreDefault, "fsync", false},
		"Delayed":          {nil, model.StoreDelayed, "fsync", false},
		"Sync":             {nil, model.StoreSync, "committed", true},
		"Busy":             {func(c *counting) { c.busy = true }, model.StoreDelayed, "committed", true},
		"AtSQL":            {func(c *counting) { c.atSQL = true }, model.StoreDelayed, "committed", false},
		"AtSQLSync":        {func(c *counting) { c.atSQL = true }, model.StoreSync, "committed", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := newCounting()
			if tt.prepare != nil {
				tt.prepare(fake)
			}
			w, err := newCounters(fake).Increment(t.Context(), likes, 1, service.CountOptions{Store: tt.store})
			if err != nil || w.Durability != tt.want || w.Value != 1 {
				t.Errorf("written %+v, %v; want %s", w, err, tt.want)
			}
			if (fake.awaited > 0) != tt.awaited || tt.awaited && fake.committed == 0 {
				t.Errorf("awaited %v, committed up to %d", fake.awaited > 0, fake.committed)
			}
		})
	}
}

func TestCounters_ValueThatIsNotKnown(t *testing.T) {
	t.Parallel()
	fake := newCounting()
	fake.blind = true
	w, err := newCounters(fake).Increment(t.Context(), likes, 1, service.CountOptions{})
	if err != nil || w.Known || w.Durability != "fsync" {
		t.Errorf("written %+v, %v", w, err)
	}
	w, err = newCounters(fake).Set(t.Context(), likes, 5, service.CountOptions{})
	if err != nil || !w.Known || w.Value != 5 {
		t.Errorf("set: %+v, %v", w, err)
	}
}

func TestCounters_Refusals(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change  string
		outcome model.Outcome
		err     error
		kind    model.Kind
		text    string
	}{
		"AddOutOfRange": {"increment", model.OutcomeOutOfRange, nil, model.Invalid, "/delta: would take the counter out of its range, which is from -9007199254740991 to 9007199254740991; it is 7"},
		"SetOutOfRange": {"set", model.OutcomeOutOfRange, nil, model.Invalid, "/value: would take"},
		"TooMany":       {"increment", model.OutcomeTooManyMetrics, nil, model.Invalid, "/metric: is new, and the subject has 256 counters"},
		"Unknown":       {"remove", model.OutcomeAuthorConflict, nil, model.Internal, "unknown outcome"},
		"Unavailable":   {"set", 0, model.NewUnavailable("no database", nil), model.Unavailable, "no database"},
		"Ended":         {"increment", 0, context.DeadlineExceeded, model.Unavailable, "the request ended before the outcome"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := newCounting()
			fake.values[likes] = 7
			fake.outcome = func(model.Count) (model.Outcome, error) { return tt.outcome, tt.err }
			_, err := changes[tt.change](newCounters(fake), t.Context(), likes, 1, service.CountOptions{})
			if err == nil || model.KindOf(err) != tt.kind || !strings.HasPrefix(err.Error(), tt.text) {
				t.Errorf("error %v of kind %d", err, model.KindOf(err))
			}
		})
	}
}

func TestCounters_ChangeThatCouldNotBeFinished(t *testing.T) {
	t.Parallel()
	fake := newCounting()
	fake.notReady[model.StoreSync] = model.NewUnavailable("no database", nil)
	c := newCounters(fake)
	_, err := c.Increment(t.Context(), likes, 1, countSync)
	wantErr(t, err, model.Unavailable, "")
	results, err := c.BatchIncrement(t.Context(), []service.Increment{{Counter: likes, Delta: 1}, {Counter: counter("", "x")}}, countSync)
	if err != nil {
		t.Fatal(err)
	}
	wantErr(t, results[0].Err, model.Unavailable, "")
	wantErr(t, results[1].Err, model.Invalid, "/subject")
	if len(fake.calls) != 0 {
		t.Errorf("%d calls went out", len(fake.calls))
	}
	fake.notReady = nil
	fake.awaitErr = context.DeadlineExceeded
	_, err = c.Increment(t.Context(), likes, 1, countSync)
	wantErr(t, err, model.Unavailable, "")
}

func TestCounters_KeyBelongsToOperationAndCounter(t *testing.T) {
	t.Parallel()
	fake := newCounting()
	c := newCounters(fake)
	opts := service.CountOptions{IdempotencyKey: strings.Repeat("long ", 50)}
	first, err := c.Increment(t.Context(), likes, 2, opts)
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Increment(t.Context(), likes, 2, service.CountOptions{IdempotencyKey: opts.IdempotencyKey, Store: model.StoreSync})
	if err != nil || !again.Replayed || again.Value != first.Value || again.Durability != service.Committed {
		t.Errorf("first %+v, again %+v, %v", first, again, err)
	}
	_, err = c.Increment(t.Context(), likes, 3, opts)
	wantErr(t, err, model.KeyReused, "Idempotency-Key")
	for name, change := range map[string]func() (service.CountWritten, error){
		"metric": func() (service.CountWritten, error) {
			return c.Increment(t.Context(), counter("post:17", "x"), 2, opts)
		},
		"subject": func() (service.CountWritten, error) {
			return c.Increment(t.Context(), counter("post:1", "likes"), 2, opts)
		},
		"set":    func() (service.CountWritten, error) { return c.Set(t.Context(), likes, 2, opts) },
		"remove": func() (service.CountWritten, error) { return c.Remove(t.Context(), likes, opts) },
	} {
		if w, err := change(); err != nil || w.Replayed {
			t.Errorf("another %s with the key: %+v, %v", name, w, err)
		}
	}
	for key := range fake.keys {
		if key == "" || len(key) > 64 {
			t.Errorf("stored key of %d bytes", len(key))
		}
	}
	if fake.remembered != 0 {
		t.Errorf("%d round trips for keys", fake.remembered)
	}
}
