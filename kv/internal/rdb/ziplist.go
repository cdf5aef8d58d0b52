package rdb

import (
	"encoding/binary"

	"github.com/zmsg/zmsg/kv/internal/listpack"
)

// Ziplists are what listpacks were before Redis 7.0:
//
//	bytes (4, little endian) | offset of the last entry (4) | entries (2) | entry … | 0xff
//	entry: bytes of the previous one (1, or 254 and 4) | encoding | data
const (
	ziplistHeader = 10
	ziplistEnd    = 0xff
	wide          = 254
)

// fromZiplist returns the elements of a ziplist as a listpack; false if it is not a ziplist.
func fromZiplist(b []byte) (listpack.Pack, bool) {
	if len(b) < ziplistHeader+1 || uint64(binary.LittleEndian.Uint32(b)) != uint64(len(b)) || b[len(b)-1] != ziplistEnd {
		return nil, false
	}
	last, count := int64(binary.LittleEndian.Uint32(b[4:])), int(binary.LittleEndian.Uint16(b[8:]))
	p, n, at, previous := listpack.New(), 0, ziplistHeader, 0
	for ; b[at] != ziplistEnd; n++ {
		begin := at
		at++
		if size := int(b[begin]); size == wide {
			if len(b)-at < 5 || uint64(binary.LittleEndian.Uint32(b[at:])) != uint64(previous) {
				return nil, false
			}
			at += 4
		} else if size != previous {
			return nil, false
		}
		var size int
		if p, size = appendZiplistEntry(p, b[at:len(b)-1]); size == 0 {
			return nil, false
		}
		at += size
		previous = at - begin
	}
	if at != len(b)-1 || count != 1<<16-1 && count != n || last != int64(at-previous) {
		return nil, false
	}
	return p, true
}

// appendZiplistEntry appends the element whose encoding b begins with and returns how many bytes it takes;
// 0 if it is none.
func appendZiplistEntry(p listpack.Pack, b []byte) (listpack.Pack, int) {
	if len(b) == 0 {
		return p, 0
	}
	if c := b[0]; c >= 0xc0 {
		v, size := ziplistInt(c, b[1:])
		if size == 0 {
			return p, 0
		}
		return p.AppendInt(v), size
	}
	head, n := ziplistString(b)
	if head == 0 || n > len(b)-head {
		return p, 0
	}
	return p.Append(b[head : head+n]), head + n
}

// ziplistString returns the bytes of the encoding that b begins with, and of the string after it.
func ziplistString(b []byte) (head, n int) {
	switch c := b[0]; {
	case c < 0x40:
		return 1, int(c)
	case c < 0x80 && len(b) > 1:
		return 2, int(c&0x3f)<<8 | int(b[1])
	case c == 0x80 && len(b) > 4:
		return 5, int(binary.BigEndian.Uint32(b[1:]))
	}
	return 0, 0
}

// ziplistInt returns the integer that c and b encode and how many bytes they are.
func ziplistInt(c byte, b []byte) (v int64, size int) {
	switch {
	case c > 0xf0 && c < 0xfe:
		return int64(c) - 0xf1, 1
	case c == 0xfe && len(b) >= 1:
		return int64(int8(b[0])), 2
	case c == 0xc0 && len(b) >= 2:
		return int64(int16(binary.LittleEndian.Uint16(b))), 3
	case c == 0xf0 && len(b) >= 3:
		return int64(int32(uint32(b[0])<<8|uint32(b[1])<<16|uint32(b[2])<<24) >> 8), 4
	case c == 0xd0 && len(b) >= 4:
		return int64(int32(binary.LittleEndian.Uint32(b))), 5
	case c == 0xe0 && len(b) >= 8:
		return int64(binary.LittleEndian.Uint64(b)), 9
	}
	return 0, 0
}

// fromZipmap returns the fields and values of a zipmap, which is what hashes were before Redis 2.6:
//
//	pairs (1) | length (1, or 254 and 4) | field | length | unused bytes (1) | value | … | 0xff
func fromZipmap(b []byte) (listpack.Pack, bool) {
	if len(b) < 2 || b[len(b)-1] != ziplistEnd {
		return nil, false
	}
	p, pairs := listpack.New(), 0
	rest := b[1:]
	for ; rest[0] != ziplistEnd; pairs++ {
		field, after, ok := zipmapString(rest, false)
		if !ok {
			return nil, false
		}
		value, behind, ok := zipmapString(after, true)
		if !ok || len(behind) == 0 {
			return nil, false
		}
		p, rest = p.Append(field).Append(value), behind
	}
	if len(rest) != 1 || b[0] < wide && int(b[0]) != pairs {
		return nil, false
	}
	return p, true
}

// zipmapString returns the string that b begins with, and what follows; a value has a number of unused bytes,
// and these.
func zipmapString(b []byte, value bool) (text, rest []byte, ok bool) {
	if len(b) == 0 || b[0] == ziplistEnd {
		return nil, nil, false
	}
	n, b := uint64(b[0]), b[1:]
	if n == wide {
		if len(b) < 4 {
			return nil, nil, false
		}
		n, b = uint64(binary.LittleEndian.Uint32(b)), b[4:]
	}
	unused := uint64(0)
	if value {
		if len(b) == 0 {
			return nil, nil, false
		}
		unused, b = uint64(b[0]), b[1:]
	}
	if n+unused > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n], b[n+unused:], true
}
