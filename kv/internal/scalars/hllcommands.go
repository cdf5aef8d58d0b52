package scalars

import (
	"github.com/zmsg/zmsg/kv/internal/engine"
)

// hllForWriting returns the HyperLogLog under key, to be changed in place, or a new one if there is none.
// If it reports false, it has replied that the key has something else.
func hllForWriting(c *engine.Client, key []byte) (r *engine.Raw, created, ok bool) {
	en, h, ok := lookForWriting(c, key)
	if !ok {
		return nil, false, false
	}
	if en == nil {
		r = engine.NewRaw(c.DB().Stamp(), newHLL())
		c.DB().SetValue(key, r, 0)
		return r, true, true
	}
	if !isHLL(h) {
		c.Error(errNotHLL)
		return nil, false, false
	}
	return grow(c, key, en, 0), false, true
}

// hllForReading returns the HyperLogLog under key, or nil if there is none. If it reports false, it has
// replied that the key has something else.
func hllForReading(c *engine.Client, key []byte) (h []byte, ok bool) {
	h, found, ok := engine.GetString(c, key)
	if found && !isHLL(h) {
		c.Error(errNotHLL)
		return nil, false
	}
	return h, ok
}

func pfAdd(c *engine.Client, args [][]byte) {
	key := args[1]
	r, changed, ok := hllForWriting(c, key)
	if !ok {
		return
	}
	limit := c.Engine().Config().HLLSparseMaxBytes
	for _, element := range args[2:] {
		h, raised, ok := hllAdd(r.B, element, limit)
		if !ok {
			c.Error(errCorruptHLL)
			return
		}
		r.B = h
		changed = changed || raised
	}
	if changed {
		hllStale(r.B)
		c.Changed(key, engine.EventString, "pfadd")
	}
	c.Bool01(changed)
}

func pfCount(c *engine.Client, args [][]byte) {
	if len(args) == 2 {
		countOne(c, args)
		return
	}
	var union registers
	if _, ok := union.mergeKeys(c, args[1:]); ok {
		c.Int(int64(union.count()))
	}
}

// countOne replies the cardinality of one HyperLogLog. If it was not cached, it is from now on: that is a
// change of the string, which the log gets too.
func countOne(c *engine.Client, args [][]byte) {
	key := args[1]
	h, ok := hllForReading(c, key)
	if !ok {
		return
	}
	if h == nil {
		c.Int(0)
		return
	}
	n, cached := hllCached(h)
	if !cached {
		byRank, ok := histogram(h)
		if !ok {
			c.Error(errCorruptHLL)
			return
		}
		n = estimate(byRank)
		if r, _, ok := hllForWriting(c, key); ok {
			hllSetCached(r.B, n)
		}
		c.Changed(key, 0, "") // no event: nothing was added
		c.Propagate(args...)
	}
	c.Int(int64(n))
}

// mergeKeys merges the HyperLogLogs under keys, and reports whether one of them is dense. If it reports
// ok=false, it has replied the error.
func (u *registers) mergeKeys(c *engine.Client, keys [][]byte) (dense, ok bool) {
	for _, key := range keys {
		h, ok := hllForReading(c, key)
		switch {
		case !ok:
			return false, false
		case h == nil:
			continue
		case !u.merge(h):
			c.Error(errCorruptHLL)
			return false, false
		}
		dense = dense || h[hllEncoding] == hllDense
	}
	return dense, true
}

func pfMerge(c *engine.Client, args [][]byte) {
	var union registers
	dense, ok := union.mergeKeys(c, args[1:])
	if !ok {
		return
	}
	r, _, ok := hllForWriting(c, args[1])
	if !ok {
		return
	}
	if dense && r.B[hllEncoding] == hllSparse {
		if r.B, ok = toDense(r.B); !ok {
			c.Error(errCorruptHLL)
			return
		}
	}
	limit := c.Engine().Config().HLLSparseMaxBytes
	for i, rank := range union {
		if rank > 0 {
			r.B, _, _ = hllRaise(r.B, i, rank, limit) // it is not damaged: it has just been read in full
		}
	}
	hllStale(r.B)
	c.Changed(args[1], engine.EventString, "pfadd")
	c.OK()
}
