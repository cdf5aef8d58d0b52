package zmsg_test

import (
	"context"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zmsg/zmsg"
)

// A registry serves one engine after the other, and never two at once.
func TestARegistryTakesOneEngineAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg, err := zmsg.ConfigFromEnv([]string{"ZMSG_POSTGRES_DSN=" + w.dsn, "ZMSG_REDIS_ADDR=" + w.redis.Addr(), "ZMSG_PERMISSION_TTL=1s"})
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	opts := zmsg.Options{Registerer: reg}
	count := func() int {
		t.Helper()
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		return len(families)
	}
	first, err := zmsg.Open(t.Context(), cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	metrics := count()
	if metrics < 20 {
		t.Errorf("%d metrics only", metrics)
	}
	if second, err := zmsg.Open(t.Context(), cfg, opts); err == nil || !strings.Contains(err.Error(), "another engine") {
		t.Errorf("a second engine on the same registry: %v, %v", second, err)
	}
	if n := count(); n != metrics {
		t.Errorf("the refused engine left %d metrics of %d", n, metrics)
	}
	mustClose(t, first)
	if n := count(); n != 0 {
		t.Errorf("%d metrics are left after Close", n)
	}
	again, err := zmsg.Open(t.Context(), cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	_ = first.Close(context.WithoutCancel(t.Context())) // one too many, which takes nothing from the other
	if n := count(); n != metrics {
		t.Errorf("%d metrics of %d", n, metrics)
	}
	mustClose(t, again)
}

func mustClose(t *testing.T, e *zmsg.Engine) {
	t.Helper()
	if err := e.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}
