package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"
)

// pause is longer than every permission and every lease.
const pause = 6 * time.Second

// A replica sleeps while its shards and its node go to another one. When it wakes up it answers nothing that
// has changed meanwhile, what it was about to do is done once or not at all, and it repeats no ID.
func TestP1_PausedReplica(t *testing.T) {
	t.Parallel()
	for name, redisMoves := range map[string]bool{"RedisStays": false, "RedisIsKilledMeanwhile": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, durable...)
			awake, sleeper := launch(t, w.env(windowSetting)...), launch(t, w.env(windowSetting)...)
			l := startThroughBoth(t, redisMoves, awake, sleeper)
			ids := newMinted()
			for range 3 {
				sleep(t, w, l, ids, redisMoves)
			}
			for _, one := range l.loads {
				one.finish(t)
			}
			for _, one := range l.loads {
				one.verify(t, w, sleeper)
			}
			for _, p := range []*process{awake, sleeper} {
				if n := p.metric(t, "zmsg_queue_lost_total"); n != 0 {
					t.Errorf("a replica has lost %v writes", n)
				}
			}
		})
	}
}

// pausing is load through a replica that is never paused, and load through that one and another, which is.
// Requests that the other one gets while it sleeps are answered when it is awake.
type pausing struct {
	awake, sleeper *process
	loads          []*load
	watched        []*watched
}

func startThroughBoth(t *testing.T, plain bool, awake, sleeper *process) *pausing {
	t.Helper()
	start := startLoad
	if plain {
		start = startPlainLoad
	}
	p := &pausing{awake: awake, sleeper: sleeper, loads: []*load{start(t, 2, awake), start(t, 2, awake, sleeper)}}
	for i := range 10 {
		p.watched = append(p.watched, watch(t, awake, i))
	}
	return p
}

// sleep pauses a replica for a while, in which the other one works, and Redis may be killed and come back.
func sleep(t *testing.T, w *world, p *pausing, ids *minted, redisMoves bool) {
	t.Helper()
	for _, x := range p.watched {
		x.warm(t, p.sleeper)
	}
	for _, l := range p.loads {
		l.goOn(t, func() bool { return false })
	}
	var group sync.WaitGroup
	defer group.Wait()
	for range 4 { // some are under way when the process stops
		group.Go(func() { ids.mint(t, "the sleeper", p.sleeper, 10_000) })
	}
	p.sleeper.Pause(t)
	paused := time.Now()
	if redisMoves {
		w.kill(t)
		eventually(t, 20*time.Second, "the shards move to SQL", func() bool { return p.awake.metric(t, "zmsg_shards_at_sql") == allShards })
		p.loads[0].goOn(t, func() bool { return false })
		w.restart(t)
		eventually(t, 20*time.Second, "the shards move to Redis", func() bool { return p.awake.inRedis(t) })
	}
	ids.mint(t, "the one that is awake", p.awake, 10_000)
	for again := true; again; again = time.Since(paused) < pause {
		for _, x := range p.watched {
			x.change(t, p.awake, "delayed")
		}
	}
	p.sleeper.Resume(t)
	ids.mint(t, "the one that is awake", p.awake, 10_000)
	for _, x := range p.watched {
		group.Go(func() { x.check(t, p.sleeper) })
	}
	group.Wait()
	for _, x := range p.watched { // what the next pause begins with does not rest on the sleeper
		x.change(t, p.sleeper, "sync")
	}
	p.loads[1].goOn(t, func() bool { return false })
}

// watched is an item and a counter that the test alone changes.
type watched struct {
	client  *client
	item    string
	counter string
	author  int64
	changes int64
}

func watch(t *testing.T, p *process, n int) *watched {
	t.Helper()
	x := &watched{client: newClient(t), counter: fmt.Sprintf("/counters/watched:%d/likes", n), author: 1000 + authors.Add(1)}
	a := x.client.must(t, http.StatusCreated, http.MethodPost, p.URL+"/feeds?store=sync", x.draft())
	id, err := idOf(a)
	if err != nil {
		t.Fatal(err)
	}
	x.item = "/feeds/" + id
	return x
}

func (x *watched) draft() string {
	return fmt.Sprintf(`{"author_id":"%d","content":%d}`, x.author, x.changes)
}

// warm has a process read both, so that it has them in its cache.
func (x *watched) warm(t *testing.T, p *process) {
	t.Helper()
	for range 2 {
		x.await(t, http.MethodGet, p.URL+x.item, "")
		x.await(t, http.MethodGet, p.URL+x.counter, "")
	}
}

// change changes both.
func (x *watched) change(t *testing.T, p *process, store string) {
	t.Helper()
	x.changes++
	x.await(t, http.MethodPut, p.URL+x.item+"?store="+store, x.draft())
	a := x.await(t, http.MethodPost, p.URL+x.counter+"/increments?store="+store, `{"delta":1}`, "Idempotency-Key", strconv.FormatInt(x.changes, 10))
	if got := valueOf(a); got != x.changes {
		t.Errorf("%s is %d after %d increments", x.counter, got, x.changes)
	}
}

// check reads both, at once, from a process that has just been woken.
func (x *watched) check(t *testing.T, p *process) {
	t.Helper()
	a := x.await(t, http.MethodGet, p.URL+x.item, "")
	var got struct{ Content int64 }
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || got.Content != x.changes {
		t.Errorf("%s is %s (%s) after %d changes", x.item, a.body, a.header.Get("Cache-Status"), x.changes)
	}
	if got := valueOf(x.await(t, http.MethodGet, p.URL+x.counter, "")); got != x.changes {
		t.Errorf("%s is %d after %d increments", x.counter, got, x.changes)
	}
}

// await repeats a request until it is answered by anything but 503.
func (x *watched) await(t *testing.T, method, url, body string, headers ...string) (a answer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		var err error
		if a, err = x.client.call(ctx, method, url, body, headers...); err == nil && a.status < 300 {
			return a
		}
		if err != nil || a.status != http.StatusServiceUnavailable {
			t.Errorf("%s %s: %d %s, %v", method, url, a.status, a.body, err)
			return a
		}
		<-time.After(5 * time.Millisecond)
	}
}
