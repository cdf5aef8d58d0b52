package rdb

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

// ReadOptions say what values are made of a file, and who is told what.
type ReadOptions struct {
	Stamp  uint32         // of the values, which is that of the keyspaces they will be in
	Config *engine.Config // has the limits of small forms; nil is Redis's defaults
	// Warn is told what is left out. May be nil.
	Warn func(text string)
	// Aux is told the auxiliary fields. May be nil.
	Aux func(name, value string)
	// Progress is told, from time to time and at the end, how many bytes and keys have been read. May be
	// nil.
	Progress func(bytes int64, keys int)
}

// Item is a key with its value, as a file has it. It is valid only during the call that is told it, except
// for Value.
type Item struct {
	DB        int
	Key       []byte
	String    []byte        // the value, unless Value is set
	Value     engine.Value  // whoever is told the item owns it
	Deadline  int64         // unix ms, 0 is none; it may have passed
	Idle      time.Duration // since the last use, -1 if the file does not tell
	Frequency int           // of use, 0 to 255, -1 if the file does not tell
}

// Read reads an RDB file and calls each for every key, in the file's order. It returns how many bytes the
// RDB part has: what follows them, as the commands that an append-only file has behind its preamble, is not
// looked at, though r may have been read further.
//
// An error wraps ErrCorrupt, io.ErrUnexpectedEOF, or what r or each have returned. The keys before it have
// been told; that the sum is wrong is known only at the end.
func Read(r io.Reader, o ReadOptions, each func(*Item) error) (int64, error) {
	d := &fileReader{decoder: newDecoder(newSource(r), o), o: o, each: each}
	d.sums = true
	d.header()
	d.reset()
	for d.err == nil && d.section() {
		if d.base-d.shown >= 1<<20 {
			d.progress()
		}
	}
	d.footer()
	d.progress()
	return d.offset(), d.err
}

// fileReader reads sections until the end's.
type fileReader struct {
	*decoder
	o       ReadOptions
	each    func(*Item) error
	version int
	item    Item // what has been said of the next key
	trie    bool // the next key is a trie
	keys    int
	shown   int64
}

// reset forgets what was said of the last key.
func (d *fileReader) reset() {
	d.item = Item{DB: d.item.DB, Key: d.item.Key[:0], Idle: -1, Frequency: -1}
	d.trie = false
}

func (d *fileReader) progress() {
	d.shown = d.base
	if d.o.Progress != nil {
		d.o.Progress(d.offset(), d.keys)
	}
}

func (d *fileReader) warn(format string, args ...any) {
	if d.o.Warn != nil && d.err == nil {
		d.o.Warn(fmt.Sprintf(format, args...))
	}
}

func (d *fileReader) header() {
	head := d.take(9)
	if d.err != nil {
		return
	}
	if string(head[:5]) != "REDIS" {
		d.fail("no RDB file begins like this")
		return
	}
	for _, c := range head[5:] {
		if c < '0' || c > '9' {
			d.fail("no version is %q", head[5:])
			return
		}
		d.version = d.version*10 + int(c-'0')
	}
	if d.version < 1 || d.version > readable {
		d.fail("version %d cannot be read, only 1 to %d", d.version, readable)
	}
}

// section reads a key, or what is between keys. It reports false at the end.
func (d *fileReader) section() bool {
	switch op := d.byte(); op {
	case opEOF:
		return false
	case opSelectDB:
		n := d.length()
		if n > math.MaxInt32 {
			d.fail("database %d", n)
		}
		d.item.DB = int(n)
	case opResizeDB:
		d.length()
		d.length()
	case opExpireMillis:
		d.item.Deadline = d.deadline(int64(d.uint64()))
	case opExpireSecs:
		d.item.Deadline = d.deadline(int64(int32(binary.LittleEndian.Uint32(d.take(4)))) * 1000)
	case opIdle:
		d.item.Idle = time.Duration(min(d.length(), uint64(math.MaxInt64/time.Second))) * time.Second
	case opFreq:
		d.item.Frequency = int(d.byte())
	case opAux:
		d.auxiliary()
	case opFunction2:
		d.blob()
		d.warn("a library of functions is left out")
	case opFunction:
		d.fail("functions of a release candidate of Redis")
	case opModuleAux:
		d.moduleAux()
	default:
		d.key(op)
	}
	return d.err == nil
}

// deadline keeps a deadline a deadline: none is zero.
func (d *fileReader) deadline(ms int64) int64 { return max(ms, 1) }

func (d *fileReader) auxiliary() {
	d.scratch = d.text(d.scratch[:0])
	name := string(d.scratch)
	d.scratch = d.text(d.scratch[:0])
	value := string(d.scratch)
	if d.err != nil {
		return
	}
	if name == auxType {
		if value != auxTrie {
			d.fail("unknown type %q", value)
		}
		d.trie = true
		return
	}
	if d.o.Aux != nil {
		d.o.Aux(name, value)
	}
}

// moduleAux leaves out what a module has put beside the keys.
func (d *fileReader) moduleAux() {
	id := d.length()
	for d.err == nil {
		switch op := d.length(); op {
		case 0: // the end
			d.warn("data of the module %q is left out", moduleName(id))
			return
		case 1, 2: // integers; the first of them says when the module wants to see the data
			d.length()
		case 3:
			d.take(4)
		case 4:
			d.take(8)
		case 5:
			d.blob()
		default:
			d.fail("unknown part %d of a module's data", op)
		}
	}
}

// moduleName returns the nine characters that are a module's ID, 6 bits each, above 10 bits of its version.
func moduleName(id uint64) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	var name [9]byte
	for i := range name {
		name[i] = alphabet[id>>(64-6*(i+1))&63]
	}
	return string(name[:])
}

// key reads a key of the given type with its value, and tells it.
func (d *fileReader) key(kind byte) {
	begin := d.offset() - 1
	d.item.Key = d.text(d.item.Key[:0])
	if d.err != nil {
		return
	}
	d.item.String, d.item.Value = d.value(kind, d.trie)
	if d.err != nil {
		d.err = fmt.Errorf("%w (key %.100q of database %d, which begins at offset %d)", d.err, d.item.Key, d.item.DB, begin)
		return
	}
	d.keys++
	if d.empty {
		d.warn("the key %.100q is left out: it is empty", d.item.Key)
	} else if err := d.each(&d.item); err != nil && d.err == nil {
		d.err = err
	}
	d.reset()
}

// footer reads the sum and compares it, unless it is zero: whoever wrote the file made none.
func (d *fileReader) footer() {
	if d.err != nil || d.version < 5 {
		return
	}
	d.tally()
	want := d.crc
	if got := d.uint64(); d.err == nil && got != 0 && got != want {
		d.fail("the sum is %016x, not %016x", want, got)
	}
}
