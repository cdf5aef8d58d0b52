package admin

import (
	"time"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

const noFiles = "ERR this database keeps no files"

func save(c *engine.Client, _ [][]byte) {
	p := c.Engine().Persistence()
	if p == nil {
		c.Error(noFiles)
		return
	}
	if err := p.Save(); err != nil {
		c.Error("ERR " + err.Error())
		return
	}
	c.OK()
}

func bgsave(c *engine.Client, args [][]byte) {
	schedule := len(args) == 2 && engine.EqualFold(args[1], "SCHEDULE")
	if len(args) > 2 || len(args) == 2 && !schedule {
		c.Error(engine.ErrSyntax)
		return
	}
	p := c.Engine().Persistence()
	if p == nil {
		c.Error(noFiles)
		return
	}
	scheduled, err := p.StartSave(schedule)
	switch {
	case err != nil:
		c.Error("ERR " + err.Error())
	case scheduled:
		c.Simple("Background saving scheduled")
	default:
		c.Simple("Background saving started")
	}
}

func bgrewriteaof(c *engine.Client, _ [][]byte) {
	p := c.Engine().Persistence()
	if p == nil {
		c.Error(noFiles)
		return
	}
	scheduled, err := p.StartRewrite()
	switch {
	case err != nil:
		c.Error("ERR " + err.Error())
	case scheduled:
		c.Simple("Background append only file rewriting scheduled")
	default:
		c.Simple("Background append only file rewriting started")
	}
}

func lastsave(c *engine.Client, _ [][]byte) { c.Int(c.Engine().LastSave().Unix()) }

// timeout parses a time to wait in milliseconds; it replies the error.
func timeout(c *engine.Client, arg []byte) (time.Duration, bool) {
	ms, ok := engine.ParseInt(arg)
	switch {
	case !ok:
		c.Error("ERR timeout is not an integer or out of range")
	case ms < 0:
		c.Error("ERR timeout is negative")
	default:
		return time.Duration(min(ms, 1<<40)) * time.Millisecond, true
	}
	return 0, false
}

// wait waits for replicas. There are none, so that it waits in vain unless it asks for none.
func wait(c *engine.Client, args [][]byte) {
	n, ok := c.ParseInt(args[1])
	if !ok {
		return
	}
	d, ok := timeout(c, args[2])
	if !ok {
		return
	}
	if n <= 0 || !c.CanBlock() {
		c.Int(0)
		return
	}
	c.Park(engine.Wait{Timeout: d, Expired: func(c *engine.Client) { c.Int(0) }})
}

// waitAOF replies how many logs have what the client has written: the own one, once it is synced, and
// those of replicas, of which there are none.
func waitAOF(c *engine.Client, args [][]byte) {
	local, ok := engine.ParseInt(args[1])
	if !ok || local < 0 || local > 1 {
		c.Error(engine.ErrOutOfRangeValue)
		return
	}
	replicas, ok := engine.ParseInt(args[2])
	if !ok || replicas < 0 {
		c.Error(engine.ErrNotPositive)
		return
	}
	d, ok := timeout(c, args[3])
	if !ok {
		return
	}
	e := c.Engine()
	j := e.Journal()
	if local > 0 && j == nil {
		c.Error("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.")
		return
	}
	if j == nil || !c.CanBlock() {
		replyWaitAOF(c, 0)
		return
	}
	synced := false
	answer := func(c *engine.Client) {
		n := 0
		if synced {
			n = 1
		}
		replyWaitAOF(c, n)
	}
	c.Park(engine.Wait{Timeout: d, Expired: answer})
	upTo, parked := e.LogEnd(), c.Parked()
	e.Go(func() {
		err := j.Sync(upTo)
		e.Lock()
		defer e.Unlock()
		synced = err == nil
		// With replicas asked for there is nothing more to wait for but the timeout.
		if synced && replicas == 0 && c.Parked() == parked {
			c.Resume(answer)
		}
	})
}

func replyWaitAOF(c *engine.Client, local int) {
	c.Array(2)
	c.Count(local)
	c.Int(0)
}
