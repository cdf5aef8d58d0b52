package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/zmsg/zmsg/model"
)

const (
	counterReaders = 4
	readPause      = 2 * time.Millisecond // of a reader between two reads
	readBatch      = 50
)

// observer reads counters while others increment them, and says which values cannot be.
type observer struct {
	*demo
	rng  *rand.Rand
	zipf *rand.Zipf
}

// observeCounters reads counters from all replicas in turn until done is closed. A read that fails is
// counted, and not repeated.
func (d *demo) observeCounters(ctx context.Context, reader int, done <-chan struct{}) error {
	rng := rand.New(rand.NewPCG(d.opts.seed, uint64(1<<36+reader)))
	o := observer{demo: d, rng: rng, zipf: zipf(rng, max(2, len(d.tally.shared)))}
	reads := []func(context.Context, int) error{o.readOne, o.readSubject, o.readMany}
	for i := reader; ; i++ {
		select {
		case <-done:
			return nil
		default:
		}
		if err := reads[rng.IntN(len(reads))](ctx, i%len(d.api.bases)); err != nil {
			return err
		}
		d.progress.reads.Add(1)
		if err := pause(ctx, readPause); err != nil {
			return err
		}
	}
}

// draw returns the index of a counter.
func (o *observer) draw() int { return int(o.zipf.Uint64()) % len(o.tally.shared) }

// send sends a read once. ok is false if it failed.
func (o *observer) send(ctx context.Context, replica int, req request) (ans answer, ok bool) {
	start := time.Now()
	ans, err := o.api.send(ctx, replica, req)
	if err != nil || isUnknown(ans.status) {
		o.report.failedRead()
		return ans, false
	}
	o.report.latency("read of counters", time.Since(start))
	return ans, true
}

func where(replica int) string { return fmt.Sprintf("read from replica %d", replica) }

// readOne reads one counter.
func (o *observer) readOne(ctx context.Context, replica int) error {
	c := o.tally.shared[o.draw()]
	began, req := c.now(), request{method: http.MethodGet, path: path(c.Counter)}
	ans, ok := o.send(ctx, replica, req)
	if !ok {
		return nil
	}
	body, ok := parseCount(ans)
	if !ok || body.Value == nil {
		return unexpected(req, ans)
	}
	c.check(o.report, where(replica), began, *body.Value)
	return nil
}

// readSubject reads all counters of a subject.
func (o *observer) readSubject(ctx context.Context, replica int) error {
	first := o.draw() / len(metricNames) * len(metricNames)
	counters := o.tally.shared[first:min(first+len(metricNames), len(o.tally.shared))]
	began := nowOf(counters)
	req := request{method: http.MethodGet, path: "/counters/" + counters[0].Subject}
	ans, ok := o.send(ctx, replica, req)
	if !ok {
		return nil
	}
	body, ok := parseCount(ans)
	if !ok {
		return unexpected(req, ans)
	}
	for i, c := range counters {
		c.check(o.report, where(replica), began[i], body.Values[c.Metric]) // A zero is not listed.
	}
	return nil
}

// readMany reads counters of many subjects.
func (o *observer) readMany(ctx context.Context, replica int) error {
	var counters []*counter
	var names []model.Counter
	for range readBatch {
		c := o.tally.shared[o.draw()]
		counters, names = append(counters, c), append(names, c.Counter)
	}
	began, req := nowOf(counters), countsRequest(names)
	ans, ok := o.send(ctx, replica, req)
	if !ok {
		return nil
	}
	results, ok := parseCounts(ans, len(counters))
	if !ok {
		return unexpected(req, ans)
	}
	for i, res := range results {
		switch {
		case isUnknown(res.Status):
			o.report.failedRead()
		case res.Value == nil:
			return unexpected(req, ans)
		default:
			counters[i].check(o.report, where(replica), began[i], *res.Value)
		}
	}
	return nil
}

func nowOf(counters []*counter) []earlier {
	var all []earlier
	for _, c := range counters {
		all = append(all, c.now())
	}
	return all
}
