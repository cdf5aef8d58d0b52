package main

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// series returns the lines of the exposition that are no comment.
func series(t *testing.T, p *process) []string {
	t.Helper()
	var list []string
	for line := range strings.Lines(newClient(t).must(t, http.StatusOK, http.MethodGet, p.Admin+"/metrics", "").body) {
		if !strings.HasPrefix(line, "#") {
			list = append(list, line)
		}
	}
	return list
}

// metric returns the sum of the series of a metric.
func (p *process) metric(t *testing.T, name string) (sum float64) {
	t.Helper()
	found := false
	for _, line := range series(t, p) {
		full, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if got, _, _ := strings.Cut(full, "{"); got != name {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		sum, found = sum+n, true
	}
	if !found {
		t.Fatalf("there is no %s", name)
	}
	return sum
}

func TestMetricsHoldWhatADashboardNeeds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := launch(t, w.env()...)
	c := newClient(t)
	use := func(n int) {
		t.Helper()
		for i := range n {
			store := []string{"sync", "delayed"}[i%2]
			a := c.must(t, 201+i%2, http.MethodPost, p.URL+"/feeds?store="+store, fmt.Sprintf(`{"author_id":"%d","content":0}`, 1+i))
			id, err := idOf(a)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				c.must(t, http.StatusOK, http.MethodGet, p.URL+"/feeds/"+id, "")
			}
			c.must(t, http.StatusNotFound, http.MethodGet, p.URL+"/no/such/place/"+id, "")
			c.must(t, http.StatusOK, http.MethodPost, p.URL+"/counters/post:"+id+"/likes-"+id+"/increments", `{"delta":1}`)
			c.must(t, http.StatusOK, http.MethodGet, p.URL+"/counters/post:"+id, "")
		}
	}
	use(4)
	w.awaitEmptyQueue(t)
	eventually(t, 10*time.Second, "the filters are complete", func() bool {
		return slices.Contains(series(t, p), "zmsg_cache_bloom_complete_shards 16\n")
	})
	eventually(t, 10*time.Second, "the queue is measured", func() bool { return slices.Contains(series(t, p), "zmsg_queue_owned_shards 20\n") })
	all := series(t, p)
	text := strings.Join(all, "")
	for _, want := range []string{
		`zmsg_http_request_duration_seconds_bucket{method="GET",route="/feeds/{id}",status="2xx"`,
		`zmsg_http_request_duration_seconds_count{method="POST",route="/feeds",status="2xx"`,
		`zmsg_http_request_duration_seconds_count{method="POST",route="/counters/{subject}/{metric}/increments",status="2xx"`,
		`zmsg_cache_subject_answers_total{tier="l2"}`, `zmsg_cache_answers_total{tier="l1"}`, "zmsg_cache_l1_bytes ",
		"zmsg_cache_event_lag_seconds_bucket", "zmsg_cache_event_gaps_total 0\n",
		`zmsg_queue_backlog_writes{shard="15"} `, `zmsg_queue_lag_seconds{shard="19"} `, "zmsg_queue_owned_shards 20\n",
		"zmsg_queue_batch_writes_bucket", "zmsg_queue_round_seconds_count", "zmsg_queue_commit_seconds_bucket",
		"zmsg_queue_failures_total 0\n", "zmsg_queue_dead_letters_total 0\n", "zmsg_queue_left_out_total 0\n", "zmsg_queue_lost_total 0\n",
		"zmsg_queue_increments_total 4\n", "zmsg_queue_increment_rows_total 4\n",
		"zmsg_queue_level 0\n", "zmsg_queue_journal_writes ", "zmsg_queue_waiting_writes 0\n",
		`zmsg_postgres_connections{state="used"}`, "zmsg_postgres_wait_seconds_total ", "zmsg_postgres_up 1\n",
		`zmsg_redis_connections{state="idle"}`, "zmsg_redis_wait_seconds_total ", "zmsg_redis_up 1\n",
		"zmsg_ids_lease_held 1\n", "zmsg_ids_lease_expiry_timestamp_seconds ", "zmsg_ids_made_total ",
		"zmsg_shards_granted 20\n", "zmsg_shards_at_sql 0\n", "zmsg_replicas 1\n",
		`zmsg_home_changes_total{to="redis"} 20`, `zmsg_home_changes_total{to="sql"} 0`, "zmsg_takeovers_total 0\n", "zmsg_breaker_open_shards 0\n",
		"go_goroutines ", "process_resident_memory_bytes ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", strings.TrimSpace(want))
		}
	}
	if t.Failed() {
		t.Logf("there is:\n%s", text)
	}
	// What clients choose must not become labels.
	use(40)
	if now := len(series(t, p)); now > len(all) {
		t.Errorf("%d series, %d before 40 further items were used", now, len(all))
	}
}
