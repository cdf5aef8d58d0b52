package keyspace

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/zmsg/zmsg/model"
)

// An entry is what L2 holds for one item:
//
//	p|c      pinned (queued, not yet in SQL, no TTL) or cached
//	v|d|a    a value, a deletion, or the news that SQL has no row
//	16 hex   version
//	6 hex    stamp: the epoch in which the entry was stored; entries of older epochs are not trusted
//	record   of a value or a deletion
//
// A record is what the stream carries too: author|kind|created|updated|content, with times in
// milliseconds of Unix time. Version and stamp have fixed widths, so that scripts compare them as
// strings.
const (
	headSize    = 24
	versionHex  = 16
	stampHex    = 6
	recordHeads = 4 // fields before the content

	// entryPeek is how many bytes of an entry hold everything but its content: the write script reads no more.
	entryPeek = headSize + 19 + 1 + 64 + 1 + 19 + 1 + 19 + 1
)

// Flags of an entry.
const (
	flagPinned = 'p'
	flagCached = 'c'
	typeValue  = 'v'
	typeDelete = 'd'
	typeAbsent = 'a'
)

// Entry is a decoded L2 entry.
type Entry struct {
	Pinned bool
	Absent bool // SQL has no row; Item has only its ID
	Stamp  int64
	Item   model.Item
}

// Hex returns the fixed-width form of a version that scripts compare.
func Hex(v model.Version) string { return string(appendHex(nil, uint64(v), versionHex)) }

func appendHex(dst []byte, v uint64, width int) []byte {
	const digits = "0123456789abcdef"
	for i := width - 1; i >= 0; i-- {
		dst = append(dst, digits[v>>(4*i)&15])
	}
	return dst
}

// ParseHex reads the fixed-width form of a version.
func ParseHex(s string) (model.Version, error) {
	v, err := parseHex(s, versionHex)
	if err != nil || v > math.MaxInt64 {
		return 0, fmt.Errorf("keyspace: version %q is damaged", s)
	}
	return model.Version(v), nil
}

var errDamaged = errors.New("not as it was written")

// parseHex reads exactly what appendHex writes.
func parseHex(s string, width int) (uint64, error) {
	v, err := strconv.ParseUint(s, 16, 64)
	if err != nil {
		return 0, err
	}
	var buf [versionHex]byte
	if string(appendHex(buf[:0], v, width)) != s {
		return 0, errDamaged
	}
	return v, nil
}

// parseInt reads exactly what strconv.AppendInt writes: no plus, no leading zeros.
func parseInt[T string | []byte](b T) (int64, error) {
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return 0, err
	}
	var buf [20]byte
	if len(strconv.AppendInt(buf[:0], n, 10)) != len(b) {
		return 0, errDamaged
	}
	return n, nil
}

// AppendEntry appends an unpinned entry for what SQL said of an item, stamped with epoch. A zero
// version says that SQL has no row.
func AppendEntry(dst []byte, it *model.Item, epoch int64) []byte {
	dst = appendHead(dst, it, epoch)
	if it.Version == 0 {
		return dst
	}
	return AppendRecord(dst, it)
}

// AppendSnapshot appends what the write script needs to know of an item that is not in L2: an entry
// without content.
func AppendSnapshot(dst []byte, it *model.Item, epoch int64) []byte {
	dst = appendHead(dst, it, epoch)
	if it.Version == 0 {
		return dst
	}
	bare := *it
	bare.Content = nil
	return AppendRecord(dst, &bare)
}

func appendHead(dst []byte, it *model.Item, epoch int64) []byte {
	typ := byte(typeValue)
	switch {
	case it.Version == 0:
		typ = typeAbsent
	case it.Deleted:
		typ = typeDelete
	}
	dst = append(dst, flagCached, typ)
	dst = appendHex(dst, uint64(it.Version), versionHex)
	return appendHex(dst, uint64(epoch), stampHex)
}

// AppendRecord appends the item's record.
func AppendRecord(dst []byte, it *model.Item) []byte {
	dst = strconv.AppendInt(dst, int64(it.AuthorID), 10)
	dst = append(dst, '|')
	dst = append(dst, it.Kind...)
	dst = append(dst, '|')
	dst = strconv.AppendInt(dst, it.CreatedAt.UnixMilli(), 10)
	dst = append(dst, '|')
	dst = strconv.AppendInt(dst, it.UpdatedAt.UnixMilli(), 10)
	dst = append(dst, '|')
	return append(dst, it.Content...)
}

// ParseEntry decodes the L2 entry of item id. The item's content shares b's memory.
func ParseEntry(id model.ID, b []byte) (Entry, error) {
	if len(b) < headSize || (b[0] != flagPinned && b[0] != flagCached) {
		return Entry{}, fmt.Errorf("keyspace: entry of %s is damaged: %d bytes", id, len(b))
	}
	ver, err := ParseHex(string(b[2 : 2+versionHex]))
	if err != nil {
		return Entry{}, err
	}
	stamp, err := parseHex(string(b[2+versionHex:headSize]), stampHex)
	if err != nil {
		return Entry{}, fmt.Errorf("keyspace: entry of %s is damaged: stamp: %w", id, err)
	}
	e := Entry{Pinned: b[0] == flagPinned, Absent: b[1] == typeAbsent, Stamp: int64(stamp)}
	e.Item.ID = id
	switch {
	case e.Absent && ver == 0 && len(b) == headSize:
		return e, nil
	case ver == 0 || (b[1] != typeValue && b[1] != typeDelete):
		return Entry{}, fmt.Errorf("keyspace: entry of %s is damaged: %q of version %d", id, b[1], ver)
	}
	if err := ParseRecord(b[headSize:], &e.Item); err != nil {
		return Entry{}, err
	}
	e.Item.Version, e.Item.Deleted = ver, b[1] == typeDelete
	return e, nil
}

// ParseRecord decodes a record into it. The content shares b's memory.
func ParseRecord(b []byte, it *model.Item) error {
	var f [recordHeads][]byte
	rest := b
	for i := range f {
		n := bytes.IndexByte(rest, '|')
		if n < 0 {
			return fmt.Errorf("keyspace: record of %s is damaged: field %d is missing", it.ID, i)
		}
		f[i], rest = rest[:n], rest[n+1:]
	}
	author, err1 := parseInt(f[0])
	created, err2 := parseInt(f[2])
	updated, err3 := parseInt(f[3])
	if err := errors.Join(err1, err2, err3); err != nil {
		return fmt.Errorf("keyspace: record of %s is damaged: %w", it.ID, err)
	}
	it.AuthorID, it.Kind = model.ID(author), string(f[1])
	it.CreatedAt, it.UpdatedAt = time.UnixMilli(created).UTC(), time.UnixMilli(updated).UTC()
	it.Content = rest
	return nil
}
