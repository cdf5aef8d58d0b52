package main

import (
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"
)

const windowSetting = "ZMSG_ID_WINDOW=1s"

// minted is a set of IDs that tells of the first repeat.
type minted struct {
	mu      sync.Mutex
	seen    map[string]string // ID to who made it
	repeats int
}

func newMinted() *minted { return &minted{seen: make(map[string]string)} }

func (m *minted) add(t *testing.T, who, body string) int {
	t.Helper()
	var made struct{ IDs []string }
	if err := json.Unmarshal([]byte(body), &made); err != nil {
		t.Error(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range made.IDs {
		if other, ok := m.seen[id]; ok {
			if m.repeats++; m.repeats == 1 {
				t.Errorf("%s made %s, which %s has made", who, id, other)
			}
		}
		m.seen[id] = who
	}
	return len(made.IDs)
}

// mint has a process make IDs until there are want of them. 503 and broken connections are no failures: no ID
// was given out then.
func (m *minted) mint(t *testing.T, who string, p *process, want int) {
	t.Helper()
	c := newClient(t)
	for end := time.Now().Add(patience); want > 0; {
		a, err := c.call(t.Context(), http.MethodPost, p.URL+"/ids", `{"count":2000}`)
		switch {
		case err == nil && a.status == http.StatusOK:
			want -= m.add(t, who, a.body)
		case err == nil && a.status != http.StatusServiceUnavailable, time.Now().After(end):
			t.Errorf("%s: %d %s, %v", who, a.status, a.body, err)
			return
		}
	}
}

// nodeOf returns the node in the IDs that p makes.
func nodeOf(t *testing.T, p *process, m *minted) int64 {
	t.Helper()
	c := newClient(t)
	a := c.must(t, http.StatusOK, http.MethodPost, p.URL+"/ids", "")
	m.add(t, "a look at the node", a.body)
	var made struct{ IDs []string }
	if err := json.Unmarshal([]byte(a.body), &made); err != nil || len(made.IDs) != 1 {
		t.Fatalf("%s: %v", a.body, err)
	}
	a = c.must(t, http.StatusOK, http.MethodGet, p.URL+"/ids/"+made.IDs[0], "")
	var parts struct{ Node int64 }
	if err := json.Unmarshal([]byte(a.body), &parts); err != nil {
		t.Fatal(err)
	}
	return parts.Node
}

// A process is paused past its window, with requests for IDs waiting at its door. Another one takes its
// node meanwhile. When the first goes on it must not make one more ID of the time that it slept.
func TestP5_PausedHolderNeverRepeatsAnID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := newMinted()
	paused := launch(t, w.env(windowSetting)...)
	node := nodeOf(t, paused, m)
	m.mint(t, "the first holder", paused, 10_000)
	var group sync.WaitGroup
	for range 8 { // some are under way when the process stops, some come while it sleeps
		group.Go(func() { m.mint(t, "the paused holder", paused, 10_000) })
	}
	paused.Pause(t)
	eventually(t, 10*time.Second, "the window has ended", func() bool {
		return w.number(t, "SELECT count(*) FROM id_nodes WHERE node_id = $1 AND reserved_until < extract(epoch FROM clock_timestamp()) * 1000", node) == 1
	})
	successor := launch(t, w.env(windowSetting)...)
	if got := nodeOf(t, successor, m); got != node {
		t.Fatalf("the successor has node %d, the paused holder has %d", got, node)
	}
	m.mint(t, "the successor", successor, 30_000)
	paused.Resume(t)
	for range 4 {
		group.Go(func() { m.mint(t, "the successor", successor, 20_000) })
	}
	group.Wait()
	if got := nodeOf(t, paused, m); got == node {
		t.Errorf("both processes make IDs of node %d", node)
	}
	t.Logf("%d IDs", len(m.seen))
}

// Processes are killed and started again, as fast as they go, while others make IDs.
func TestP5_KilledAndRestartedProcessesNeverRepeatAnID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := newMinted()
	steady := launch(t, w.env(windowSetting)...)
	nodes := make(map[int64]int)
	var group sync.WaitGroup
	group.Go(func() { m.mint(t, "the steady process", steady, 100_000) })
	for range 5 {
		p := launch(t, w.env("ZMSG_ID_WINDOW=200ms")...)
		nodes[nodeOf(t, p, m)]++
		m.mint(t, "a process that is killed", p, 20_000)
		p.Kill(t)
	}
	group.Wait()
	reused := false
	for _, n := range nodes {
		reused = reused || n > 1
	}
	if !reused {
		t.Errorf("no node was used twice: %v", nodes)
	}
}
