package keys

import (
	"slices"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/hashes"
	"github.com/zmsg/zmsg/kv/internal/lists"
	"github.com/zmsg/zmsg/kv/internal/rdb"
	"github.com/zmsg/zmsg/kv/internal/sets"
	"github.com/zmsg/zmsg/kv/internal/table"
	"github.com/zmsg/zmsg/kv/internal/zsets"
)

// copyKey is COPY.
func copyKey(c *engine.Client, args [][]byte) {
	to, replace, ok := copyOptions(c, args[3:])
	if !ok {
		return
	}
	from, key, other := c.DB(), args[1], args[2]
	if from == to && string(key) == string(other) {
		c.Error(errSame)
		return
	}
	en := from.Read(key)
	if en == nil || to.Peek(other) != nil && !replace {
		c.Int(0)
		return
	}
	b := en.Box()
	var v engine.Value
	if b != nil {
		var err error
		if v, err = duplicate(c, en, b.Val.(engine.Value)); err != nil {
			c.Error("ERR " + err.Error())
			return
		}
	}
	to.Remove(other)
	if b != nil {
		to.SetValue(other, v, en.Deadline())
	} else {
		to.SetString(other, en.Value(), en.Deadline())
	}
	to.Changed(other, engine.EventGeneric, "copy_to")
	c.Int(1)
}

// copyOptions reads what follows the keys. If it reports false, it has replied an error.
func copyOptions(c *engine.Client, args [][]byte) (to *engine.Keyspace, replace, ok bool) {
	to = c.DB()
	for i := 0; i < len(args); i++ {
		switch {
		case engine.EqualFold(args[i], "REPLACE"):
			replace = true
		case engine.EqualFold(args[i], "DB") && i+1 < len(args):
			i++
			if to, ok = database(c, args[i]); !ok {
				return nil, false, false
			}
		default:
			c.Error(engine.ErrSyntax)
			return nil, false, false
		}
	}
	return to, replace, true
}

// duplicate returns a value that shares nothing with v, which is under en: Clone would share parts that
// both could take for their own, as both have the keyspace's stamp. It has v's encoding.
func duplicate(c *engine.Client, en *table.Entry, v engine.Value) (engine.Value, error) {
	stamp, config := c.DB().Stamp(), c.Engine().Config()
	switch v := v.(type) {
	case *engine.Raw:
		return v.Clone(stamp), nil
	case *lists.List:
		return duplicateList(v, lists.New(stamp, config.ListMaxListpackSize)), nil
	case *hashes.Hash:
		return duplicateHash(v, stamp, hashes.LimitsOf(config))
	case *sets.Set:
		return duplicateSet(v, stamp, sets.LimitOf(config)), nil
	case *zsets.ZSet:
		return duplicateZSet(v, stamp, zsets.LimitsOf(config))
	}
	_, other, err := rdb.DecodeValue(rdb.EncodeValue(nil, en, false), rdb.ReadOptions{Stamp: stamp, Config: config})
	return other, err
}

func duplicateList(l, into *lists.List) *lists.List {
	for pack, plain := range l.Nodes() {
		if pack != nil {
			into.AppendPack(pack.Clone())
		} else {
			into.AppendPlain(slices.Clone(plain))
		}
	}
	return into
}

func duplicateHash(h *hashes.Hash, stamp uint32, lim hashes.Limits) (engine.Value, error) {
	if pack := h.Listpack(); pack != nil {
		return hashes.FromListpack(stamp, pack.Clone(), lim)
	}
	into := hashes.New(stamp)
	into.Expect(lim.Entries+1, lim)
	for field, value := range h.All() {
		into.Set(field, value, lim)
	}
	return into, nil
}

func duplicateSet(s *sets.Set, stamp uint32, lim sets.Limit) engine.Value {
	if ints := s.Intset(); ints != nil {
		return sets.FromIntset(stamp, slices.Clone(ints), lim)
	}
	into := sets.New(stamp)
	into.Expect(int(lim)+1, lim)
	for member := range s.All() {
		into.Add(member, lim)
	}
	return into
}

func duplicateZSet(z *zsets.ZSet, stamp uint32, lim zsets.Limits) (engine.Value, error) {
	if pack := z.Listpack(); pack != nil {
		return zsets.FromListpack(stamp, pack.Clone(), lim)
	}
	into := zsets.New(stamp)
	into.Expect(lim.Entries+1, lim.Value, lim)
	for member, score := range z.All() {
		into.Add(member, score, lim)
	}
	return into, nil
}
