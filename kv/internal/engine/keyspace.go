package engine

import (
	"github.com/zmsg/zmsg/kv/internal/table"
)

// Keyspace is one numbered database.
type Keyspace struct {
	e       *Engine
	index   int
	t       *table.Table
	acct    int // memory of the values in boxes
	expires int // keys with a deadline
	watched map[string]map[*Client]struct{}
	waiting map[string][]*Client
	scan    uint64 // eviction's place among the volatile keys
}

func newKeyspace(e *Engine, index int) *Keyspace {
	return &Keyspace{
		e: e, index: index, t: table.New(e.stamp),
		watched: make(map[string]map[*Client]struct{}), waiting: make(map[string][]*Client),
	}
}

// Index is the database's number.
func (k *Keyspace) Index() int { return k.index }

// Len is the number of keys, due ones that nobody has removed yet included.
func (k *Keyspace) Len() int { return k.t.Len() }

// Expires is the number of keys that have a deadline.
func (k *Keyspace) Expires() int { return k.expires }

// Bytes is about the memory that the keys and values hold.
func (k *Keyspace) Bytes() int { return k.t.Bytes() + k.acct }

// Table returns the table of keys, for reading: SCAN, RANDOMKEY, KEYS. Due keys are still in it (see Due).
func (k *Keyspace) Table() *table.Table { return k.t }

// Stamp is the stamp of values that may be changed in place; new values get it.
func (k *Keyspace) Stamp() uint32 { return k.t.Stamp() }

// Due reports whether an entry's time to live has run out.
func (k *Keyspace) Due(en *table.Entry) bool {
	d := en.Deadline()
	return d != 0 && d <= k.e.Now() && !k.e.loading
}

// Read returns the entry of a key for reading, or nil. It counts as a use of the key, for INFO and for
// eviction. A key whose time has run out is removed.
func (k *Keyspace) Read(key []byte) *table.Entry {
	en := k.Peek(key)
	if en == nil {
		k.e.stats.Misses++
		k.e.Notify(k, EventMissed, "keymiss", key)
		return nil
	}
	k.e.stats.Hits++
	k.use(en)
	return en
}

// Peek is Read without counting as a use.
func (k *Keyspace) Peek(key []byte) *table.Entry {
	en := k.t.Find(key)
	if en == nil || en.Deadline() == 0 || !k.Due(en) {
		return en
	}
	k.expire(key)
	return nil
}

// use notes for eviction that a key was used. What a snapshot shares is not written to.
func (k *Keyspace) use(en *table.Entry) {
	if k.e.snapshot == nil && !k.e.noTouch {
		en.SetLRU(k.e.nextUse(en.LRU()))
	}
}

// Write returns the entry of a key for writing, or nil. If it holds a Value, that may be changed in place.
func (k *Keyspace) Write(key []byte) *table.Entry {
	en := k.Peek(key)
	if en == nil {
		return nil
	}
	b := en.Box()
	if b == nil {
		k.use(en)
		return en
	}
	en = k.t.Own(en)
	b = en.Box()
	if v := b.Val.(Value); v.Stamp() != k.t.Stamp() {
		b.Val = v.Clone(k.t.Stamp())
	}
	en.SetLRU(k.e.nextUse(en.LRU()))
	k.e.touched = append(k.e.touched, touched{k, b})
	return en
}

// SetString stores a string under a key, whatever was there. deadline is in unix milliseconds; 0 is never.
// It returns the entry.
func (k *Keyspace) SetString(key, value []byte, deadline int64) *table.Entry {
	old := k.Peek(key) // what is due expires first, so that who waits for that learns of it
	if old != nil {
		if old.Deadline() == deadline && k.Overwrite(old, value) {
			return old
		}
		k.leaving(old)
	}
	en, added := k.t.Put(key, value, deadline)
	k.entered(en, added)
	return en
}

// Overwrite replaces the string of an entry where it is, if it is kept inline and the new one fits. Its
// deadline stays. If it reports false, SetString does it.
func (k *Keyspace) Overwrite(en *table.Entry, value []byte) bool {
	if !k.t.Overwrite(en, value) {
		return false
	}
	en.SetLRU(k.e.nextUse(en.LRU()))
	return true
}

// SetValue stores a value under a key, whatever was there. The value must have the keyspace's stamp.
func (k *Keyspace) SetValue(key []byte, v Value, deadline int64) *table.Entry {
	old := k.Peek(key) // what is due expires first, so that who waits for that learns of it
	if old != nil {
		k.leaving(old)
	}
	b, added := k.t.PutBox(key, v, deadline)
	b.Acct = 0
	k.e.touched = append(k.e.touched, touched{k, b})
	k.entered(&b.Entry, added)
	return &b.Entry
}

// leaving undoes what the keyspace counts of an entry that is about to be replaced or removed.
func (k *Keyspace) leaving(en *table.Entry) {
	if en.Deadline() != 0 {
		k.expires--
	}
	if b := en.Box(); b != nil {
		k.acct -= int(b.Acct)
		for i := range k.e.touched {
			if k.e.touched[i].box == b {
				k.e.touched[i].box = nil
			}
		}
	}
}

func (k *Keyspace) entered(en *table.Entry, added bool) {
	if en.Deadline() != 0 {
		k.expires++
	}
	if !added {
		en.SetLRU(k.e.nextUse(en.LRU())) // the table has kept what was known of the key's uses
		return
	}
	en.SetLRU(k.e.firstUse())
	k.e.Notify(k, EventNew, "new", en.Key())
}

// Remove removes a key and reports whether it was there. A due key was not.
func (k *Keyspace) Remove(key []byte) bool {
	en := k.Peek(key)
	if en == nil {
		return false
	}
	k.leaving(en)
	k.t.Delete(key)
	return true
}

// SetDeadline sets when a key expires, in unix milliseconds; 0 is never. It returns the entry, which may
// be another.
func (k *Keyspace) SetDeadline(en *table.Entry, ms int64) *table.Entry {
	switch had := en.Deadline() != 0; {
	case !had && ms != 0:
		k.expires++
	case had && ms == 0:
		k.expires--
	}
	return k.t.SetDeadline(en, ms)
}

// Flush removes all keys.
func (k *Keyspace) Flush() (removed int) {
	old := k.t
	removed = old.Len()
	k.t = table.New(old.Stamp())
	for key := range k.watched {
		if old.Find([]byte(key)) != nil {
			k.touch(key)
		}
	}
	k.acct, k.expires, k.scan = 0, 0, 0
	k.signalAll()
	return removed
}

// touched is a value that the running command may have changed in size.
type touched struct {
	space *Keyspace
	box   *table.Box // nil if it was removed since
}

// settle brings the memory accounts of the values that a command has touched up to date.
func (e *Engine) settle() {
	for _, t := range e.touched {
		if t.box == nil {
			continue
		}
		size := int64(t.box.Val.(Value).Bytes())
		t.space.acct += int(size - t.box.Acct)
		t.box.Acct = size
	}
	clear(e.touched)
	e.touched = e.touched[:0]
}

// Memory is about how much memory the keys and values of all databases hold, in bytes.
func (e *Engine) Memory() int {
	total := 0
	for _, k := range e.spaces {
		total += k.Bytes()
	}
	return total
}
