package main

import (
	"fmt"
	"net/http"
	"slices"
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
		}
	}
	use(4)
	w.awaitEmptyQueue(t)
	eventually(t, 10*time.Second, "the filters are complete", func() bool {
		return slices.Contains(series(t, p), "zmsg_cache_bloom_complete_shards 16\n")
	})
	all := series(t, p)
	text := strings.Join(all, "")
	for _, want := range []string{
		`zmsg_http_request_duration_seconds_bucket{method="GET",route="/feeds/{id}",status="2xx"`,
		`zmsg_http_request_duration_seconds_count{method="POST",route="/feeds",status="2xx"`,
		`zmsg_cache_answers_total{tier="l1"}`, "zmsg_cache_l1_bytes ",
		"zmsg_cache_event_lag_seconds_bucket", "zmsg_cache_event_gaps_total 0\n",
		"zmsg_queue_backlog_writes ", "zmsg_queue_lag_seconds ", "zmsg_queue_batch_writes_bucket", "zmsg_queue_round_seconds_count",
		"zmsg_queue_failures_total 0\n", "zmsg_queue_owned_shards ",
		`zmsg_postgres_connections{state="used"}`, "zmsg_postgres_wait_seconds_total ", "zmsg_postgres_up 1\n",
		`zmsg_redis_connections{state="idle"}`, "zmsg_redis_wait_seconds_total ", "zmsg_redis_up 1\n",
		"zmsg_ids_lease_held 1\n", "zmsg_ids_lease_expiry_timestamp_seconds ", "zmsg_ids_made_total ",
		"zmsg_shards_granted 16\n", "zmsg_replicas 1\n",
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
