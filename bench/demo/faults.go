package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// downtime is how long nothing takes the place of a replica that was killed.
const downtime = 3 * time.Second

// breath is the least time between two faults. A replica that dies leaves changes of counters that only Redis has,
// until the others know of its death and store them. Losing both within these seconds hides the changes until Redis
// is back, which is one fault more than is promised to go unseen.
const breath = 8 * time.Second

const faultPoll = 20 * time.Millisecond

// moment is when something happens to the load: never if it is 0, else at the begin of a tenth, 1 for the
// first. The flag counts from 0; without a value it is halfway.
type moment int

// String returns the flag's value.
func (m *moment) String() string {
	if *m == 0 {
		return ""
	}
	return strconv.Itoa(int(*m) - 1)
}

// IsBoolFlag lets the flag be given without a value.
func (m *moment) IsBoolFlag() bool { return true }

// Set reads the flag.
func (m *moment) Set(s string) error {
	switch s {
	case "true":
		s = "5"
	case "false":
		*m = 0
		return nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 9 {
		return errors.New("must be from 0 to 9")
	}
	*m = moment(1 + n)
	return nil
}

// apart returns a moment three tenths away from m, and not near the end of the load.
func (m moment) apart() moment {
	if m > 5 {
		return m - 3
	}
	return max(m, 1) + 3
}

// step is one step of a fault: what is done when it is due.
type step struct {
	due func(ctx context.Context) (bool, error)
	do  func(ctx context.Context) error
}

// faults returns the faults that the options ask for, each as steps that follow each other. servers is nil
// if they are not ours.
func (d *demo) faults(servers *stack) [][]step {
	if servers == nil {
		return nil
	}
	var all [][]step
	if d.opts.kill != 0 {
		all = append(all, d.killReplica(servers))
	}
	if d.opts.redisStop > 0 {
		all = append(all, d.stopRedis(servers))
	}
	return all
}

// at is due when so many tenths of the load are done, and no other fault has just happened.
func (d *demo) at(m moment) func(context.Context) (bool, error) {
	return func(context.Context) (bool, error) {
		return d.done() >= float64(m-1)/10 && time.Since(d.fault) > breath, nil
	}
}

// killReplica kills the last replica. A little later it is started again, or another one in its place.
func (d *demo) killReplica(servers *stack) []step {
	slot := len(d.api.bases) - 1
	victim := servers.replicas[slot]
	next := victim
	var killed time.Time
	kill := func(context.Context) error {
		killed = time.Now()
		d.fault = killed
		d.report.window(fmt.Sprintf("replica %d killed", slot))
		d.metrics.killed(victim.admin)
		return victim.kill()
	}
	start := func(ctx context.Context) (err error) {
		if d.opts.add {
			if next, err = servers.newReplica(ctx); err != nil {
				return err
			}
		}
		d.report.say("fault: a server is started at %s", next.addr)
		return next.spawn(ctx)
	}
	join := func(context.Context) error {
		d.api.replace(slot, "http://"+next.addr)
		d.metrics.add(next.admin)
		d.report.window(fmt.Sprintf("replica %d back", slot))
		return nil
	}
	return []step{
		{d.at(d.opts.kill), kill},
		{func(context.Context) (bool, error) { return time.Since(killed) > downtime, nil }, start},
		{func(ctx context.Context) (bool, error) { return next.isReady(ctx) }, join},
	}
}

// stopRedis ends Redis like a crash and starts it again with its file.
func (d *demo) stopRedis(servers *stack) []step {
	var stopped time.Time
	return []step{
		{d.at(d.opts.redisAt), func(context.Context) error {
			stopped = time.Now()
			d.fault = stopped
			d.report.window("Redis stopped")
			if err := servers.redis.Kill(); err != nil {
				return err
			}
			d.tally.forget()
			return nil
		}},
		{func(context.Context) (bool, error) { return time.Since(stopped) > d.opts.redisStop, nil }, func(ctx context.Context) error {
			if err := servers.redis.Start(ctx); err != nil {
				return err
			}
			d.report.window("Redis back")
			return nil
		}},
	}
}

// watch shows the progress of the load until it is done, and lets the faults come about.
func (d *demo) watch(ctx context.Context, faults [][]step, done <-chan struct{}) error {
	poll := time.NewTicker(faultPoll)
	defer poll.Stop()
	shown := time.Now()
	for {
		select {
		case <-done:
			if d.done() < 1 || pending(faults) == 0 {
				return nil // It failed, or all is done.
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		default:
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := advance(ctx, faults); err != nil {
			return err
		}
		if time.Since(shown) >= progressInterval {
			shown = time.Now()
			d.report.say("load: %d of %d items, %d of %d increments, %d reads of counters; %s", d.progress.items.Load(),
				d.opts.items, d.progress.increments.Load(), d.opts.increments, d.progress.reads.Load(), d.metrics.brief())
		}
	}
}

// advance takes the next step of each fault if it is due.
func advance(ctx context.Context, faults [][]step) error {
	for i, steps := range faults {
		if len(steps) == 0 {
			continue
		}
		due, err := steps[0].due(ctx)
		if err == nil && due {
			faults[i] = steps[1:]
			err = steps[0].do(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func pending(faults [][]step) int {
	n := 0
	for _, steps := range faults {
		n += len(steps)
	}
	return n
}
