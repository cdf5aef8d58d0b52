package zmsg_test

import (
	"strings"
	"testing"

	"github.com/zmsg/zmsg"
	"github.com/zmsg/zmsg/model"
)

// Settings that are good alone but not together are refused, by the name of the one to change.
func TestSettingsThatContradictAreRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		settings []string
		wrong    string // "" if nothing is
	}{
		"defaults":                {nil, ""},
		"control for workers":     {[]string{"ZMSG_QUEUE_WORKERS=6", "ZMSG_POSTGRES_CONTROL_CONNS=10"}, ""},
		"tombstones outlive keys": {[]string{"ZMSG_IDEMPOTENCY_TTL=1s", "ZMSG_TOMBSTONE_RETENTION=2s"}, ""},
		"keys outlive tombstones": {[]string{"ZMSG_TOMBSTONE_RETENTION=47h"}, "TOMBSTONE_RETENTION: must be at least twice IDEMPOTENCY_TTL, 24h0m0s"},
		"very long keys":          {[]string{"ZMSG_IDEMPOTENCY_TTL=2000000h"}, "TOMBSTONE_RETENTION: must be at least twice IDEMPOTENCY_TTL"},
		"too many workers":        {[]string{"ZMSG_QUEUE_WORKERS=3"}, "POSTGRES_CONTROL_CONNS: must be at least QUEUE_WORKERS plus 4"},
		"too few for the control": {[]string{"ZMSG_POSTGRES_CONTROL_CONNS=5"}, "POSTGRES_CONTROL_CONNS: must be at least QUEUE_WORKERS plus 4"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := zmsg.ConfigFromEnv(append(tc.settings, "ZMSG_POSTGRES_DSN=postgres://localhost/x", "ZMSG_REDIS_ADDR=localhost:6379"))
			if err != nil {
				t.Fatal(err)
			}
			err = cfg.Validate()
			if (err == nil) != (tc.wrong == "") || err != nil && !strings.HasPrefix(err.Error(), tc.wrong) {
				t.Errorf("got %v, want %q", err, tc.wrong)
			}
		})
	}
}

// What a program that embeds the engine reads from the environment is all that the server's engine has.
func TestTheEngineReadsItsOwnSettings(t *testing.T) {
	t.Parallel()
	needed := []string{"ZMSG_POSTGRES_DSN=postgres://localhost/x", "ZMSG_REDIS_ADDR=localhost:6379"}
	cfg, err := zmsg.ConfigFromEnv(append(needed, "ZMSG_DEFAULT_STORE=delayed", "ZMSG_MAX_CONTENT_BYTES=7"))
	if err != nil || cfg.DefaultStore != model.StoreDelayed || cfg.MaxContentBytes != 7 {
		t.Errorf("store %v, %d bytes, %v", cfg.DefaultStore, cfg.MaxContentBytes, err)
	}
	if cfg, err = zmsg.ConfigFromEnv(needed); err != nil || cfg.DefaultStore != model.StoreSync || cfg.MaxContentBytes != 65536 {
		t.Errorf("defaults: store %v, %d bytes, %v", cfg.DefaultStore, cfg.MaxContentBytes, err)
	}
}
