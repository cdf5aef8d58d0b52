package lists

import "github.com/zmsg/zmsg/kv/internal/engine"

// The flags that commands share.
const (
	write = engine.Write
	read  = engine.ReadOnly
	grows = engine.Write | engine.DenyOOM
	fast  = engine.Fast
	waits = engine.Write | engine.Blocking
)

// Commands are the commands of lists.
var Commands = []*engine.Command{
	{Name: "lpush", Arity: -3, Flags: grows | fast, First: 1, Last: 1, Step: 1, Run: push(front, false)},
	{Name: "rpush", Arity: -3, Flags: grows | fast, First: 1, Last: 1, Step: 1, Run: push(back, false)},
	{Name: "lpushx", Arity: -3, Flags: grows | fast, First: 1, Last: 1, Step: 1, Run: push(front, true)},
	{Name: "rpushx", Arity: -3, Flags: grows | fast, First: 1, Last: 1, Step: 1, Run: push(back, true)},
	{Name: "linsert", Arity: 5, Flags: grows, First: 1, Last: 1, Step: 1, Run: insert},
	{Name: "lset", Arity: 4, Flags: grows, First: 1, Last: 1, Step: 1, Run: set},

	{Name: "lpop", Arity: -2, Flags: write | fast, First: 1, Last: 1, Step: 1, Run: pop(front)},
	{Name: "rpop", Arity: -2, Flags: write | fast, First: 1, Last: 1, Step: 1, Run: pop(back)},
	{Name: "ltrim", Arity: 4, Flags: write, First: 1, Last: 1, Step: 1, Run: trim},
	{Name: "lrem", Arity: 4, Flags: write, First: 1, Last: 1, Step: 1, Run: remove},

	{Name: "llen", Arity: 2, Flags: read | fast, First: 1, Last: 1, Step: 1, Run: length},
	{Name: "lindex", Arity: 3, Flags: read, First: 1, Last: 1, Step: 1, Run: index},
	{Name: "lrange", Arity: 4, Flags: read, First: 1, Last: 1, Step: 1, Run: lrange},
	{Name: "lpos", Arity: -3, Flags: read, First: 1, Last: 1, Step: 1, Run: position},

	{Name: "rpoplpush", Arity: 3, Flags: grows, First: 1, Last: 2, Step: 1, Run: rpoplpush},
	{Name: "lmove", Arity: 5, Flags: grows, First: 1, Last: 2, Step: 1, Run: lmove},
	{Name: "brpoplpush", Arity: 4, Flags: grows | waits | engine.NoScript, First: 1, Last: 2, Step: 1, Run: brpoplpush},
	{Name: "blmove", Arity: 6, Flags: grows | waits | engine.NoScript, First: 1, Last: 2, Step: 1, Run: blmove},

	{Name: "blpop", Arity: -3, Flags: waits | engine.NoScript, First: 1, Last: -2, Step: 1, Run: blockingPop(front)},
	{Name: "brpop", Arity: -3, Flags: waits | engine.NoScript, First: 1, Last: -2, Step: 1, Run: blockingPop(back)},
	{Name: "lmpop", Arity: -4, Flags: write | engine.MovableKeys, Keys: countedKeys(1), Run: lmpop},
	{Name: "blmpop", Arity: -5, Flags: waits | engine.MovableKeys, Keys: countedKeys(2), Run: blmpop},
}

// countedKeys finds the keys of commands whose argument at is their number.
func countedKeys(at int) func(args [][]byte) []int {
	return func(args [][]byte) []int {
		if at >= len(args) {
			return nil
		}
		n, ok := engine.ParseInt(args[at])
		if !ok || n < 1 || n > int64(len(args)-at-1) {
			return nil
		}
		keys := make([]int, n)
		for i := range keys {
			keys[i] = at + 1 + i
		}
		return keys
	}
}

// end is one of the ends of a list.
type end bool

const (
	front end = false
	back  end = true
)

// Words of commands as the log tells them.
var (
	wordLPop      = []byte("LPOP")
	wordRPop      = []byte("RPOP")
	wordLMove     = []byte("LMOVE")
	wordRPopLPush = []byte("RPOPLPUSH")
)

func (e end) popEvent() string {
	if e == back {
		return "rpop"
	}
	return "lpop"
}

func (e end) pushEvent() string {
	if e == back {
		return "rpush"
	}
	return "lpush"
}

func (e end) popWord() []byte {
	if e == back {
		return wordRPop
	}
	return wordLPop
}

// parseEnd reads LEFT or RIGHT. If it is neither, the client is told so.
func parseEnd(c *engine.Client, arg []byte) (end, bool) {
	switch {
	case engine.EqualFold(arg, "LEFT"):
		return front, true
	case engine.EqualFold(arg, "RIGHT"):
		return back, true
	}
	c.Error(engine.ErrSyntax)
	return front, false
}

func get(c *engine.Client, key []byte) (l *List, found, ok bool) { return engine.Get[*List](c, key) }

func edit(c *engine.Client, key []byte) (l *List, found, ok bool) { return engine.Edit[*List](c, key) }

// create puts an empty list under a key that there is not. It must get an element.
func create(c *engine.Client, key []byte) *List {
	l := New(c.DB().Stamp(), c.Engine().Config().ListMaxListpackSize)
	c.DB().SetValue(key, l, 0)
	return l
}

func (l *List) push(e end, v []byte) {
	if e == back {
		l.PushBack(v)
	} else {
		l.PushFront(v)
	}
}

// last returns the place of the element at an end.
func (l *List) last(e end) Cursor {
	if e == back {
		return l.At(-1)
	}
	return l.At(0)
}

// drop removes n elements, as many as there are at the most, from an end.
func (l *List) drop(e end, n int) {
	if e == back {
		l.Delete(l.len-n, n)
	} else {
		l.Delete(0, n)
	}
}

// replyElement replies the element at a place.
func replyElement(c *engine.Client, at *Cursor) {
	if str, num, isInt := at.Get(); isInt {
		c.BulkInt(num)
	} else {
		c.Bulk(str)
	}
}

// lost tells that a list has lost n elements, and removes it when it has no more.
func lost(c *engine.Client, key []byte, l *List, n int, event string) {
	c.Changed(key, engine.EventList, event)
	dirtied(c, n-1)
	if l.Len() == 0 {
		c.DB().Remove(key)
		c.Changed(key, engine.EventGeneric, "del")
	}
}

// dirtied counts n more changes: one for each element.
func dirtied(c *engine.Client, n int) {
	for range n {
		c.Dirtied()
	}
}
