package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/zmsg/zmsg/model"
)

// shownMismatches is how many mismatches are printed in full.
const shownMismatches = 10

// report gathers what a run finds. Its methods are safe for concurrent use.
type report struct {
	out   io.Writer
	start time.Time

	mu         sync.Mutex
	mismatches int
	places     map[string]int // where they were found
	shown      []string
	unknown    int            // outcomes that were unknown at first
	reasons    map[string]int // why, by status or error
	latencies  map[string][]time.Duration
	delays     []time.Duration
	tiers      map[string]int
	phases     []phaseResult
	windows    []*window
	counted    counted
}

// counted is what became of increments, and of reads of counters under load.
type counted struct{ acknowledged, repeated, uncertain, failedReads int }

type phaseResult struct {
	name string
	n    int
	took time.Duration
}

func newReport(out io.Writer) *report {
	return &report{
		out: out, start: time.Now(),
		places: map[string]int{}, reasons: map[string]int{}, latencies: map[string][]time.Duration{}, tiers: map[string]int{},
	}
}

// say prints a line of progress.
func (r *report) say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = fmt.Fprintf(r.out, "%7.1fs  %s\n", time.Since(r.start).Seconds(), fmt.Sprintf(format, args...))
}

// mismatch records that an item is not as it must be.
func (r *report) mismatch(where string, id model.ID, format string, args ...any) {
	r.wrong(where, fmt.Sprintf("item %d", id), format, args...)
}

// wrong records that something is not as it must be. The first ones are also shown at once, which tells
// when they came about.
func (r *report) wrong(where, what, format string, args ...any) {
	r.mu.Lock()
	r.mismatches++
	r.places[where]++
	shown := len(r.shown) < shownMismatches
	line := ""
	if shown {
		line = fmt.Sprintf("%s, %s: %s", where, what, fmt.Sprintf(format, args...))
		r.shown = append(r.shown, line)
	}
	r.mu.Unlock()
	if shown {
		r.say("mismatch: %s", line)
	}
}

// unknownOutcome records an attempt that must be repeated.
func (r *report) unknownOutcome(req request, ans answer, err error) {
	reason := "connection"
	if err == nil {
		reason = fmt.Sprintf("status %d", ans.status)
	}
	r.mu.Lock()
	r.unknown++
	r.reasons[reason]++
	if w := r.open(); w != nil {
		w.failed++
	}
	r.mu.Unlock()
	if err == nil && ans.status == 500 {
		r.mismatch("500", 0, "%v", unexpected(req, ans))
	}
}

// latency records how long a request of a class took until its outcome was known.
func (r *report) latency(class string, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.latencies[class] = append(r.latencies[class], d)
}

// delay records how long another replica served an old version.
func (r *report) delay(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.delays = append(r.delays, d)
}

// reads adds what was read by tier.
func (r *report) reads(tiers map[string]int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for tier, n := range tiers {
		r.tiers[tier] += n
	}
}

// phase records the end of a phase that handled n things.
func (r *report) phase(name string, n int, took time.Duration) {
	r.say("%s: %d done in %.1f s, %.0f per second", name, n, took.Seconds(), float64(n)/took.Seconds())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.phases = append(r.phases, phaseResult{name, n, took})
}

// print prints the summary and returns the number of mismatches.
func (r *report) print() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := tabwriter.NewWriter(r.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	row("\nphase\tcount\tseconds\tper second\t")
	for _, p := range r.phases {
		row("%s\t%d\t%.1f\t%.0f\t", p.name, p.n, p.took.Seconds(), float64(p.n)/p.took.Seconds())
	}
	row("\nlatency\tcount\tp50 ms\tp99 ms\t")
	for _, class := range slices.Sorted(maps.Keys(r.latencies)) {
		r.printPercentiles(row, class, r.latencies[class])
	}
	r.printPercentiles(row, "seen by the other replica", r.delays)
	r.printWindows(row)
	row("\nread back from\tcount\tshare\t")
	total := 0
	for _, n := range r.tiers {
		total += n
	}
	for _, tier := range slices.Sorted(maps.Keys(r.tiers)) {
		row("%s\t%d\t%.1f%%\t", tier, r.tiers[tier], 100*float64(r.tiers[tier])/float64(total))
	}
	_ = w.Flush() // As for all printing: there is nobody to tell.
	r.printCounted()
	_, _ = fmt.Fprintf(r.out, "\n%d outcomes were unknown at first %v\n%d mismatches\n", r.unknown, r.reasons, r.mismatches)
	for _, where := range slices.Sorted(maps.Keys(r.places)) {
		_, _ = fmt.Fprintf(r.out, "  %d in %s\n", r.places[where], where)
	}
	for _, m := range r.shown {
		_, _ = fmt.Fprintln(r.out, " ", m)
	}
	return r.mismatches
}

func (r *report) printPercentiles(row func(string, ...any), class string, all []time.Duration) {
	row("%s\t%d\t%.2f\t%.2f\t", class, len(all), ms(percentile(all, 50)), ms(percentile(all, 99)))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// percentile returns the smallest element that p percent of all do not exceed, 0 if there is none.
func percentile(all []time.Duration, p int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}
