package zmsg_test

import (
	"bytes"
	"testing"
)

// The example shows users what to write, so it must work. It is run from here because an example has
// no test to start servers for it.
func TestTheExampleWorks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var out bytes.Buffer
	environ := []string{"ZMSG_POSTGRES_DSN=" + w.dsn, "ZMSG_REDIS_ADDR=" + w.redis.Addr()}
	if err := keepADiary(t.Context(), environ, &out); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "queued in memory, found: true, listed: 1\n"; got != want {
		t.Errorf("it prints %q, want %q", got, want)
	}
}
