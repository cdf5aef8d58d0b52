package admin

import (
	"runtime"
	"runtime/debug"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

var memorySubs = map[string]*engine.Command{
	"usage":  {Name: "usage", Arity: -3, Flags: engine.ReadOnly, First: 2, Last: 2, Step: 1, Run: memoryUsage},
	"stats":  {Name: "stats", Arity: 2, Flags: always, Run: memoryStats},
	"doctor": {Name: "doctor", Arity: 2, Flags: always, Run: memoryDoctor},
	"purge":  {Name: "purge", Arity: 2, Flags: always, Run: memoryPurge},
	"help": {Name: "help", Arity: 2, Flags: always, Run: help("MEMORY",
		"DOCTOR", "    Return memory problems reports.",
		"PURGE", "    Attempt to purge dirty pages for reclamation by the allocator.",
		"STATS", "    Return information about the memory usage of the server.",
		"USAGE <key> [SAMPLES <count>]", "    Return memory in bytes used by <key> and its value.")},
}

// memoryUsage replies what a key holds; nothing is sampled, so SAMPLES changes nothing.
func memoryUsage(c *engine.Client, args [][]byte) {
	switch {
	case len(args) == 3:
	case len(args) == 5 && engine.EqualFold(args[3], "SAMPLES"):
		n, ok := c.ParseInt(args[4])
		if !ok {
			return
		}
		if n < 0 {
			c.Error(engine.ErrSyntax)
			return
		}
	default:
		c.Error(engine.ErrSyntax)
		return
	}
	en := c.DB().Peek(args[2])
	if en == nil {
		c.Null()
		return
	}
	c.Count(engine.Size(en))
}

func memoryStats(c *engine.Client, _ [][]byte) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	e := c.Engine()
	keys := 0
	for _, k := range e.Keyspaces() {
		keys += k.Len()
	}
	fields := []struct {
		name  string
		value int64
	}{
		{"total.allocated", int64(m.HeapAlloc)},
		{"keys.count", int64(keys)},
		{"dataset.bytes", int64(e.Memory())},
		{"keys.bytes-per-key", int64(e.Memory() / max(1, keys))},
		{"heap.objects", int64(m.HeapObjects)},
		{"heap.idle", int64(m.HeapIdle)},
	}
	c.Map(len(fields))
	for _, f := range fields {
		c.BulkString(f.name)
		c.Int(f.value)
	}
}

func memoryDoctor(c *engine.Client, _ [][]byte) {
	e := c.Engine()
	limit := e.Config().MaxMemory
	if limit > 0 && int64(e.Memory()) > limit*9/10 {
		c.Verbatim("txt", "The keys and values take more than nine tenths of maxmemory.")
		return
	}
	c.Verbatim("txt", "No memory problem is known.")
}

func memoryPurge(c *engine.Client, _ [][]byte) {
	c.Engine().Go(debug.FreeOSMemory)
	c.OK()
}
