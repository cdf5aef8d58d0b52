package main

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// Changes of counters wait for others before they are stored. Those of a replica that is gone do not: Redis has
// the only copy of them, so the others store them as soon as they know.
func TestP1_WhatADeadReplicaHasCountedIsStoredAtOnce(t *testing.T) {
	t.Parallel()
	const subjects = 40 // so that every shard of counters has some
	w := newWorld(t)
	slow := w.env("ZMSG_COUNTER_FLUSH_INTERVAL=25s")
	survivor, dying := launch(t, slow...), launch(t, slow...)
	eventually(t, 20*time.Second, "both know of each other", func() bool { return survivor.peers(t) == 2 && dying.peers(t) == 2 })
	c := newClient(t)
	for i := range subjects {
		c.must(t, http.StatusOK, http.MethodPost, fmt.Sprintf("%s/counters/post:%d/likes/increments", dying.URL, i), `{"delta":1}`)
	}
	dying.Kill(t)
	began := time.Now()
	eventually(t, 15*time.Second, "all is in SQL", func() bool { return w.number(t, "SELECT coalesce(sum(value), 0) FROM counters") == subjects })
	t.Logf("stored after %v", time.Since(began).Round(time.Millisecond))
}
