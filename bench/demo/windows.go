package main

import (
	"fmt"
	"time"
)

// window is a part of the load, from one fault to the next: what was written in it, and how long not.
type window struct {
	name         string
	begin, end   time.Time // end is zero while it is open
	acknowledged int
	failed       int
	last         time.Time     // of the last acknowledgement
	silence      time.Duration // longest without any
	slowest      time.Duration // longest that a write took that was under way in it
}

// window ends the present window, and begins another one unless its name is "".
func (r *report) window(name string) {
	now := time.Now()
	r.mu.Lock()
	if w := r.open(); w != nil {
		w.silence = max(w.silence, now.Sub(w.last))
		w.end = now
	}
	if name != "" {
		r.windows = append(r.windows, &window{name: name, begin: now, last: now})
	}
	r.mu.Unlock()
	if name != "" {
		r.say("fault: %s", name)
	}
}

// open returns the present window, nil if there is none. r.mu is held.
func (r *report) open() *window {
	if n := len(r.windows); n > 0 && r.windows[n-1].end.IsZero() {
		return r.windows[n-1]
	}
	return nil
}

// written records an acknowledged write of a class, and how long it took until its outcome was known.
func (r *report) written(class string, took time.Duration) {
	r.latency(class, took)
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.open(); w != nil {
		w.acknowledged++
		w.silence = max(w.silence, now.Sub(w.last))
		w.last = now
	}
	for _, w := range r.windows {
		if w.end.IsZero() || now.Add(-took).Before(w.end) {
			w.slowest = max(w.slowest, took)
		}
	}
}

// uncertain records an increment whose outcome will never be known.
func (r *report) uncertain() { r.count(&r.counted.uncertain) }

// acknowledged records an increment that took effect.
func (r *report) acknowledged() { r.count(&r.counted.acknowledged) }

// repeated records an increment that was repeated, and had no effect again.
func (r *report) repeated() { r.count(&r.counted.repeated) }

// failedRead records that a read of counters, which is not repeated, failed.
func (r *report) failedRead() { r.count(&r.counted.failedReads) }

func (r *report) count(n *int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*n++
}

// printWindows prints what the windows hold.
func (r *report) printWindows(row func(string, ...any)) {
	if len(r.windows) == 0 {
		return
	}
	row("\nload since\tseconds\trequests written\tattempts failed\tlongest without a write, ms\tslowest write, ms\t")
	for _, w := range r.windows {
		row("%s\t%.1f\t%d\t%d\t%.0f\t%.0f\t", w.name, w.end.Sub(w.begin).Seconds(), w.acknowledged, w.failed, ms(w.silence), ms(w.slowest))
	}
}

// printCounted prints what became of the increments.
func (r *report) printCounted() {
	c := &r.counted
	if c.acknowledged == 0 {
		return
	}
	_, _ = fmt.Fprintf(r.out, "\n%d increments acknowledged", c.acknowledged)
	if len(r.phases) > 0 { // The first phase is the load, of items and increments at once.
		_, _ = fmt.Fprintf(r.out, ", %.0f per second", float64(c.acknowledged)/r.phases[0].took.Seconds())
	}
	_, _ = fmt.Fprintf(r.out, "; %d sent twice with their key; %d without a key of unknown outcome\n", c.repeated, c.uncertain)
	_, _ = fmt.Fprintf(r.out, "%d reads of counters under load failed\n", c.failedReads)
}
