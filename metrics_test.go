package zmsg_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestMetricsAreWellNamedAndShowTheState(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.open(t), w.open(t)
	a.mustPut(t, newID(), newID(), "one", stored)
	problems, err := testutil.GatherAndLint(a.reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if _, _, err := a.IDs.Mint(t.Context(), 10, "", ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, takeoverPatience, "each replica knows of the other", func() bool {
		return a.metric(t, "zmsg_replicas") == 2 && b.metric(t, "zmsg_replicas") == 2
	})
	for name, want := range map[string]float64{
		"zmsg_shards": allShards, "zmsg_shards_granted": allShards, "zmsg_ids_lease_held": 1,
		"zmsg_postgres_up": 1, "zmsg_redis_up": 1, "zmsg_postgres_connections_limit": 22,
	} {
		if got := a.metric(t, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if a.metric(t, "zmsg_ids_node") == b.metric(t, "zmsg_ids_node") {
		t.Error("both replicas show the same node of IDs")
	}
	for _, name := range []string{
		"zmsg_postgres_connections", "zmsg_postgres_acquires_total", "zmsg_redis_connections", "zmsg_redis_reuses_total",
		"zmsg_redis_dials_total", "zmsg_ids_made_total", "zmsg_ids_lease_expiry_timestamp_seconds",
	} {
		if got := a.metric(t, name); got <= 0 {
			t.Errorf("%s is %v", name, got)
		}
	}
	if err := w.redis.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, takeoverPatience, "the loss of Redis shows", func() bool { return a.metric(t, "zmsg_redis_up") == 0 })
}
