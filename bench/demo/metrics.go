package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	scrapeInterval = 200 * time.Millisecond
	scrapeTimeout  = time.Second
)

// The metrics that are looked at.
const (
	rowsMetric       = "zmsg_queue_increment_rows_total"
	incrementsMetric = "zmsg_queue_increments_total"
	lagMetric        = "zmsg_queue_lag_seconds"
	homesMetric      = "zmsg_home_changes_total"
	takeoversMetric  = "zmsg_takeovers_total"
	lostMetric       = "zmsg_queue_lost_total"
	lettersMetric    = "zmsg_queue_dead_letters_total"
	leftOutMetric    = "zmsg_queue_left_out_total"
)

// target is a replica whose metrics are read.
type target struct {
	url  string
	last map[string]float64 // series as they were read last
	gone map[string]float64 // counters of processes that ended, by series
	dead bool
}

// scraper reads the metrics of all replicas again and again. Its methods are safe for concurrent use.
type scraper struct {
	http *http.Client

	mu      sync.Mutex
	targets []*target
	kills   int
	lag     float64 // longest so far, in seconds
	scrapes int
}

// newScraper returns a scraper of the admin listeners at these addresses.
func newScraper(admins []string) *scraper {
	s := &scraper{http: &http.Client{Timeout: scrapeTimeout}}
	for _, admin := range admins {
		s.add(admin)
	}
	return s
}

// add adds a replica, unless it is known and only lives again.
func (s *scraper) add(admin string) {
	url := "http://" + admin + "/metrics"
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.targets {
		if t.url == url {
			t.dead = false
			return
		}
	}
	s.targets = append(s.targets, &target{url: url, last: map[string]float64{}, gone: map[string]float64{}})
}

// killed marks a replica as dead: its last figures stay.
func (s *scraper) killed(admin string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kills++
	for _, t := range s.targets {
		if t.url == "http://"+admin+"/metrics" {
			t.dead = true
		}
	}
}

// run scrapes until ctx ends.
func (s *scraper) run(ctx context.Context) {
	defer s.http.CloseIdleConnections()
	tick := time.NewTicker(scrapeInterval)
	defer tick.Stop()
	for {
		s.scrape(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// scrape reads the metrics of all replicas once. One that does not answer keeps its last figures.
func (s *scraper) scrape(ctx context.Context) {
	s.mu.Lock()
	targets := append([]*target(nil), s.targets...)
	s.mu.Unlock()
	var group sync.WaitGroup
	for _, t := range targets {
		group.Go(func() {
			if series, err := s.read(ctx, t.url); err == nil {
				s.note(t, series)
			}
		})
	}
	group.Wait()
}

// read reads one replica's metrics, and keeps those of zmsg.
func (s *scraper) read(ctx context.Context, url string) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // It was read to its end, or its error is told.
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, resp.Status)
	}
	return parseMetrics(resp.Body)
}

// parseMetrics reads the text format as client_golang writes it: lines of a series and a value.
func parseMetrics(r io.Reader) (map[string]float64, error) {
	all := map[string]float64{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		series, value, ok := strings.Cut(lines.Text(), " ")
		if !ok || !strings.HasPrefix(series, "zmsg_") {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", series, err)
		}
		all[series] = v
	}
	return all, lines.Err()
}

// note takes over what was read of t. A counter that went back is that of a new process.
func (s *scraper) note(t *target, series map[string]float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scrapes++
	for name, was := range t.last {
		if strings.Contains(name, "_total") && series[name] < was {
			t.gone[name] += was
		}
	}
	t.last = series
	s.lag = max(s.lag, highest(series, lagMetric))
}

// highest returns the highest of a metric's series.
func highest(series map[string]float64, metric string) float64 {
	high := 0.0
	for name, v := range series {
		if name == metric || strings.HasPrefix(name, metric+"{") {
			high = max(high, v)
		}
	}
	return high
}

// total returns the sum of a counter over all processes that were ever read, of the series whose labels
// contain label.
func (s *scraper) total(metric, label string) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := 0.0
	for _, t := range s.targets {
		for _, all := range []map[string]float64{t.last, t.gone} {
			for name, v := range all {
				if base, labels, _ := strings.Cut(name, "{"); base == metric && strings.Contains(labels, label) {
					sum += v
				}
			}
		}
	}
	return sum
}

// brief describes the queue as it was read last.
func (s *scraper) brief() string {
	s.mu.Lock()
	lag := 0.0
	for _, t := range s.targets {
		if !t.dead {
			lag = max(lag, highest(t.last, lagMetric))
		}
	}
	s.mu.Unlock()
	return fmt.Sprintf("lag %.1f s, %.0f home changes", lag, s.total(homesMetric, ""))
}

// print prints what the metrics say of the whole run.
func (s *scraper) print(out io.Writer) {
	s.mu.Lock()
	scrapes, lag, kills := s.scrapes, s.lag, s.kills
	s.mu.Unlock()
	if scrapes == 0 {
		_, _ = fmt.Fprintln(out, "\nno metrics were read") // As for all printing: there is nobody to tell.
		return
	}
	rows, increments := s.total(rowsMetric, ""), s.total(incrementsMetric, "")
	per := 0.0
	if increments > 0 {
		per = rows / increments
	}
	_, _ = fmt.Fprintf(out, "\nfrom the metrics of all replicas, read every %v (%d times)\n", scrapeInterval, scrapes)
	if kills > 0 {
		_, _ = fmt.Fprintln(out, "  the figures of the replica that was killed are those of its last scrape")
	}
	_, _ = fmt.Fprintf(out, "  %.4f SQL rows per increment: %.0f rows for %.0f increments\n", per, rows, increments)
	_, _ = fmt.Fprintf(out, "  %.1f s longest lag of the queue\n", lag)
	_, _ = fmt.Fprintf(out, "  %.0f shards moved to SQL, %.0f to Redis; %.0f takeovers\n",
		s.total(homesMetric, `to="sql"`), s.total(homesMetric, `to="redis"`), s.total(takeoversMetric, ""))
	_, _ = fmt.Fprintf(out, "  %.0f changes lost, %.0f dead letters, %.0f left out as known\n",
		s.total(lostMetric, ""), s.total(lettersMetric, ""), s.total(leftOutMetric, ""))
}
