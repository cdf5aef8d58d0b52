package engine

import (
	"slices"
	"strconv"
)

// transaction is what a client has queued since MULTI.
type transaction struct {
	queue   []queued
	bytes   int
	failed  bool // a command was refused when it was queued: EXEC will refuse too
	denyOOM bool
	writes  bool
}

type queued struct {
	cmd  *Command
	args [][]byte
}

type watch struct {
	space *Keyspace
	key   string
	due   bool // its time had run out when it was watched
}

var transactionCommands = []*Command{
	{Name: "multi", Arity: 1, Flags: NoScript | Loading | Stale | Fast | AllowBusy | Immediate, Run: multi},
	{Name: "exec", Arity: 1, Flags: NoScript | Loading | Stale | AllowBusy | Immediate, Run: exec},
	{Name: "discard", Arity: 1, Flags: NoScript | Loading | Stale | Fast | AllowBusy | Immediate, Run: discard},
	{Name: "watch", Arity: -2, Flags: NoScript | Loading | Stale | Fast | AllowBusy | Immediate, First: 1, Last: -1, Step: 1, Run: watchKeys},
	{Name: "unwatch", Arity: 1, Flags: NoScript | Loading | Stale | Fast | AllowBusy, Run: unwatch},
}

func multi(c *Client, _ [][]byte) {
	if c.tx != nil {
		c.Error("ERR MULTI calls can not be nested")
		return
	}
	c.tx = &transaction{}
	c.OK()
}

// enqueue copies a command for EXEC.
func (c *Client) enqueue(cmd *Command, args [][]byte) {
	size := 0
	for _, a := range args {
		size += len(a) + 24
	}
	tx := c.tx
	if limit := c.e.config.QueryBufferLimit; limit > 0 && tx.bytes+size > limit {
		c.Error("ERR the transaction is larger than client-query-buffer-limit")
		tx.failed = true
		c.Hangup()
		return
	}
	tx.bytes += size
	tx.queue = append(tx.queue, queued{cmd, CopyArgs(args)})
	tx.denyOOM = tx.denyOOM || cmd.Flags&DenyOOM != 0
	tx.writes = tx.writes || cmd.Flags&(Write|MayReplicate) != 0
	c.Simple("QUEUED")
}

// CopyArgs copies arguments to keep them beyond the command that has them.
func CopyArgs(args [][]byte) [][]byte {
	size := 0
	for _, a := range args {
		size += len(a)
	}
	flat := make([]byte, 0, size)
	own := make([][]byte, len(args))
	for i, a := range args {
		from := len(flat)
		flat = append(flat, a...)
		own[i] = flat[from:len(flat):len(flat)]
	}
	return own
}

func (c *Client) failTransaction() {
	if c.tx != nil {
		c.tx.failed = true
	}
}

func exec(c *Client, _ [][]byte) {
	tx := c.tx
	switch {
	case tx == nil:
		c.Error("ERR EXEC without MULTI")
		return
	case tx.failed:
		c.Discard()
		c.Unwatch()
		c.Error("EXECABORT Transaction discarded because of previous errors.")
		return
	case c.dirty || c.watchedDue():
		c.Discard()
		c.Unwatch()
		c.NullArray()
		return
	}
	c.Unwatch()
	e := c.e
	c.Array(len(tx.queue))
	c.noBlock = true
	for _, q := range tx.queue {
		if refusal := e.refusalInExec(c, q.cmd); refusal != "" {
			c.Error(refusal)
			continue
		}
		e.run(c, q.cmd, q.args)
	}
	c.noBlock = c.internal
	c.tx = nil
}

// refusalInExec says why a queued command may not run, or "": what may have changed since it was queued.
func (e *Engine) refusalInExec(c *Client, cmd *Command) string {
	if c.Stranger() && cmd.Flags&NoAuth == 0 {
		return "NOAUTH Authentication required."
	}
	return ""
}

func discard(c *Client, _ [][]byte) {
	if c.tx == nil {
		c.Error("ERR DISCARD without MULTI")
		return
	}
	c.Discard()
	c.Unwatch()
	c.OK()
}

// Discard forgets an open transaction.
func (c *Client) Discard() { c.tx = nil }

func watchKeys(c *Client, args [][]byte) {
	if c.tx != nil {
		c.Error("ERR WATCH inside MULTI is not allowed")
		return
	}
	for _, key := range args[1:] {
		if c.dirty {
			break // it is known already that EXEC will fail
		}
		c.watch(string(key))
	}
	c.OK()
}

func (c *Client) watch(key string) {
	k := c.db
	if slices.ContainsFunc(c.watches, func(w watch) bool { return w.space == k && w.key == key }) {
		return
	}
	en := k.t.Find([]byte(key))
	c.watches = append(c.watches, watch{space: k, key: key, due: en != nil && k.Due(en)})
	if k.watched[key] == nil {
		k.watched[key] = make(map[*Client]struct{})
	}
	k.watched[key][c] = struct{}{}
}

func unwatch(c *Client, _ [][]byte) {
	c.Unwatch()
	c.OK()
}

// Unwatch forgets all watched keys.
func (c *Client) Unwatch() {
	for _, w := range c.watches {
		watchers := w.space.watched[w.key]
		delete(watchers, c)
		if len(watchers) == 0 {
			delete(w.space.watched, w.key)
		}
	}
	c.watches, c.dirty = nil, false
}

// watchedDue reports whether a watched key's time has run out since it was watched, though nobody has
// removed it yet.
func (c *Client) watchedDue() bool {
	for _, w := range c.watches {
		if en := w.space.t.Find([]byte(w.key)); en != nil && !w.due && w.space.Due(en) {
			return true
		}
	}
	return false
}

// touch fails the transactions that watch key.
func (k *Keyspace) touch(key string) {
	for c := range k.watched[key] {
		if c.dirty {
			continue
		}
		due := false
		for _, w := range c.watches {
			due = due || w.space == k && w.key == key && w.due
		}
		// A key that was due already when it was watched, and is removed now, has not changed.
		if en := k.t.Find([]byte(key)); due && en == nil {
			continue
		}
		c.dirty = true
	}
}

// touchAllWatched fails the transactions that watch a key which k has now, or which other had before.
func (k *Keyspace) touchAllWatched(other *Keyspace) {
	for key := range k.watched {
		if k.t.Find([]byte(key)) != nil || other.t.Find([]byte(key)) != nil {
			k.touch(key)
		}
	}
}

func (k *Keyspace) name() string { return strconv.Itoa(k.index) }
