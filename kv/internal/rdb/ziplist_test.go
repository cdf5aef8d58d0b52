package rdb

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/zmsg/zmsg/kv/internal/listpack"
)

// ziplist encodes elements as Redis before 7.0 did.
func ziplist(elements []string) []byte {
	b, previous, last := make([]byte, ziplistHeader), 0, ziplistHeader
	for _, e := range elements {
		last = len(b)
		if previous < wide {
			b = append(b, byte(previous))
		} else {
			b = binary.LittleEndian.AppendUint32(append(b, wide), uint32(previous))
		}
		b = appendOldElement(b, e)
		previous = len(b) - last
	}
	b = append(b, ziplistEnd)
	binary.LittleEndian.PutUint32(b, uint32(len(b)))
	binary.LittleEndian.PutUint32(b[4:], uint32(last))
	binary.LittleEndian.PutUint16(b[8:], uint16(min(len(elements), math.MaxUint16)))
	return b
}

func appendOldElement(b []byte, e string) []byte {
	v, ok := listpack.ParseInt([]byte(e))
	switch n := len(e); {
	case ok && v >= 0 && v <= 12:
		return append(b, 0xf1+byte(v))
	case ok && v >= math.MinInt8 && v <= math.MaxInt8:
		return append(b, 0xfe, byte(v))
	case ok && v >= math.MinInt16 && v <= math.MaxInt16:
		return binary.LittleEndian.AppendUint16(append(b, 0xc0), uint16(v))
	case ok && v >= -1<<23 && v < 1<<23:
		return append(b, 0xf0, byte(v), byte(v>>8), byte(v>>16))
	case ok && v >= math.MinInt32 && v <= math.MaxInt32:
		return binary.LittleEndian.AppendUint32(append(b, 0xd0), uint32(v))
	case ok:
		return binary.LittleEndian.AppendUint64(append(b, 0xe0), uint64(v))
	case n < 1<<6:
		b = append(b, byte(n))
	case n < 1<<14:
		b = append(b, 1<<6|byte(n>>8), byte(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, 0x80), uint32(n))
	}
	return append(b, e...)
}

// zipmap encodes fields and values as Redis before 2.6 did.
func zipmap(elements []string) []byte {
	b := []byte{byte(min(len(elements)/2, wide))}
	for i, e := range elements {
		if len(e) < wide {
			b = append(b, byte(len(e)))
		} else {
			b = binary.LittleEndian.AppendUint32(append(b, wide), uint32(len(e)))
		}
		unused := i % 4 // of a value, 1 or 3
		if i%2 == 0 {
			b = append(b, e...)
			continue
		}
		b = append(append(append(b, byte(unused)), e...), make([]byte, unused)...)
	}
	return append(b, ziplistEnd)
}

func elements(p listpack.Pack) []string {
	all := []string{}
	for pos := p.First(); pos >= 0; pos = p.Next(pos) {
		all = append(all, string(p.AppendValue(nil, pos)))
	}
	return all
}

func TestZiplistsAndZipmapsAreConverted(t *testing.T) {
	t.Parallel()
	element := rapid.OneOf(rapid.SampledFrom(corners()), rapid.StringN(0, 300, 300))
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(element, 0, 30).Draw(t, "list")
		for what, b := range map[string][]byte{"ziplist": ziplist(list), "zipmap": zipmap(list[:len(list)/2*2])} {
			from, want := fromZiplist, list
			if what == "zipmap" {
				from, want = fromZipmap, list[:len(list)/2*2]
			}
			p, ok := from(b)
			if !ok || !slices.Equal(elements(p), want) {
				t.Fatalf("%s: %v, %q", what, ok, elements(p))
			}
			if _, ok := from(b[:rapid.IntRange(0, len(b)-1).Draw(t, "cut")]); ok {
				t.Fatalf("%s: a part of it was accepted", what)
			}
		}
	})
}

func FuzzZiplist(f *testing.F) {
	f.Add(ziplist([]string{"a", "12", "13", "-200", "70000", "9000000", "5000000000", "text"}))
	f.Add(ziplist(nil))
	f.Add(zipmap([]string{"a", "1", "b", "2"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, from := range []func([]byte) (listpack.Pack, bool){fromZiplist, fromZipmap} {
			if p, ok := from(bytes.Clone(b)); ok {
				if _, err := listpack.Check(p); err != nil {
					t.Error(err)
				}
			}
		}
	})
}
