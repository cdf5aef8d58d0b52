package table

import "unsafe"

// Entry is the header of one key with its value. What follows it depends on its kind: an inline entry is one
// allocation without pointers that has the header, the deadline if there is one, the key and the value; the
// other kind is the first field of a Box. Entries are handed round as pointers only.
type Entry struct {
	stamp uint32
	meta  uint32 // 24 bits for the owner's eviction clock, 8 bits of flags
	klen  uint32
	vlen  uint32
}

const (
	flagBox      = 1 << iota // the entry is in a Box
	flagDeadline             // the header of an inline entry is followed by a deadline, which may be 0
	flagOwner                // Entry.Flag

	lruShift = 8
)

const headerSize = int(unsafe.Sizeof(Entry{}))

// Box is an entry whose value is a Go value.
type Box struct {
	Entry
	deadline int64
	Acct     int64 // for the owner's accounting; the table does not look at it
	key      string
	Val      any // the value; the owner may replace it while the entry has the table's stamp
}

// Key returns the key. It aliases the table's memory: it must not be written to, nor kept beyond the owner's
// lock unless the entry is part of a table that has been cloned.
func (e *Entry) Key() []byte {
	if e.meta&flagBox != 0 {
		k := e.box().key
		return unsafe.Slice(unsafe.StringData(k), len(k))
	}
	return e.bytes(e.keyAt(), int(e.klen))
}

// Value returns the value of an inline entry, or nil for a Box. It aliases the table's memory, as Key does.
func (e *Entry) Value() []byte {
	if e.meta&flagBox != 0 {
		return nil
	}
	return e.bytes(e.keyAt()+int(e.klen), int(e.vlen))
}

// Deadline returns when the entry expires in unix milliseconds; 0 is never.
func (e *Entry) Deadline() int64 {
	switch {
	case e.meta&flagBox != 0:
		return e.box().deadline
	case e.meta&flagDeadline != 0:
		return *e.deadline()
	}
	return 0
}

// Box returns the box that the entry is in, or nil for an inline entry.
func (e *Entry) Box() *Box {
	if e.meta&flagBox == 0 {
		return nil
	}
	return e.box()
}

// LRU returns the 24 bits that the owner keeps for its eviction clock.
func (e *Entry) LRU() uint32 { return e.meta >> lruShift }

// SetLRU sets the low 24 bits of v as what LRU returns. It writes to the entry wherever it is shared.
func (e *Entry) SetLRU(v uint32) { e.meta = e.meta&(1<<lruShift-1) | v<<lruShift }

// Flag returns the bit that is free for the owner.
func (e *Entry) Flag() bool { return e.meta&flagOwner != 0 }

// SetFlag sets the bit that is free for the owner. It writes to the entry wherever it is shared.
func (e *Entry) SetFlag(on bool) {
	if on {
		e.meta |= flagOwner
	} else {
		e.meta &^= flagOwner
	}
}

func (e *Entry) box() *Box { return (*Box)(unsafe.Pointer(e)) }

func (e *Entry) deadline() *int64 { return (*int64)(unsafe.Add(unsafe.Pointer(e), headerSize)) }

// keyAt is the key's offset in an inline entry.
func (e *Entry) keyAt() int { return headerSize + int(e.meta&flagDeadline)*8/flagDeadline }

// bytes returns n bytes of an inline entry's memory. An empty string has no place of its own: at the end of
// the allocation it would point into the next one.
func (e *Entry) bytes(at, n int) []byte {
	if n == 0 {
		return []byte{}
	}
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(e), at)), n)
}

// is reports whether the entry's key is key.
func (e *Entry) is(key []byte) bool {
	return int(e.klen) == len(key) && string(e.Key()) == string(key)
}

// size is how much memory the entry takes, its key included and a Box's value not.
func (e *Entry) size() int {
	if e.meta&flagBox != 0 {
		return boxSize + classSize(int(e.klen))
	}
	return classSize(inlineSize(e.meta&flagDeadline != 0, int(e.klen), int(e.vlen)))
}

func inlineSize(deadline bool, klen, vlen int) int {
	n := headerSize + klen + vlen
	if deadline {
		n += 8
	}
	return n
}

// newInline returns an inline entry. meta has what is to be kept of the entry that it takes the place of.
func newInline(stamp, meta uint32, key, value []byte, deadline int64) *Entry {
	meta &^= flagBox | flagDeadline
	if deadline != 0 {
		meta |= flagDeadline
	}
	// Allocations of at least 16 bytes are aligned to 8. All of the allocator's class is asked for: overwrite
	// uses it, and the race detector must know that it is this entry's.
	b := make([]byte, classSize(inlineSize(deadline != 0, len(key), len(value))))
	e := (*Entry)(unsafe.Pointer(unsafe.SliceData(b)))
	*e = Entry{stamp: stamp, meta: meta, klen: uint32(len(key)), vlen: uint32(len(value))}
	if deadline != 0 {
		*e.deadline() = deadline
	}
	at := e.keyAt()
	copy(b[at:], key)
	copy(b[at+len(key):], value)
	return e
}

// overwrite replaces value and deadline where they are and reports whether they fit: the memory that the
// allocator has given for the one size is as much as it would give for the other.
func (e *Entry) overwrite(value []byte, deadline int64) bool {
	slot := e.meta&flagDeadline != 0
	if e.meta&flagBox != 0 || deadline != 0 && !slot {
		return false
	}
	if len(value) != int(e.vlen) {
		n := inlineSize(slot, int(e.klen), len(value))
		if classSize(n) != classSize(inlineSize(slot, int(e.klen), int(e.vlen))) {
			return false
		}
	}
	if slot {
		*e.deadline() = deadline
	}
	e.vlen = uint32(len(value))
	copy(e.Value(), value)
	return true
}

// copied returns a copy of the entry with another stamp.
func (e *Entry) copied(stamp uint32) *Entry {
	if e.meta&flagBox != 0 {
		b := *e.box()
		b.stamp = stamp
		return &b.Entry
	}
	return newInline(stamp, e.meta, e.Key(), e.Value(), e.Deadline())
}
