// Package lzf is the compression of long strings in RDB files: LibLZF's format, as Redis reads and writes it.
//
// A control byte below 32 is followed by that many bytes plus one as they are. Any other is a repetition: its top
// three bits are the length less 2 (7: the next byte is added), the rest and one byte are the distance less 1.
package lzf

import (
	"errors"
	"sync"
)

const (
	hashBits    = 13
	maxDistance = 1 << 13
	maxLength   = 1<<8 + 8
	maxLiteral  = 1 << 5
	minLength   = 3
)

// ErrCorrupt says that bytes are not what a compressor wrote.
var ErrCorrupt = errors.New("lzf: corrupt")

// Compress writes src to dst and returns the bytes it took; not ok if it does not fit into len(dst), or if src
// has 1 GB or more.
func Compress(dst, src []byte) (n int, ok bool) {
	if len(src) >= 1<<30 {
		return 0, false
	}
	c := encoders.Get().(*encoder)
	defer encoders.Put(c)
	return c.compress(dst, src)
}

var encoders = sync.Pool{New: func() any { return &encoder{base: 1} }}

// encoder has written src[:done] to dst[:n] and looks at src[at:].
type encoder struct {
	dst, src    []byte
	n, at, done int
	// seen has where the three bytes of a hash were last, plus base, which grows from use to use: what is
	// less is of an earlier one, so that the table need not be cleared for every short string.
	base uint32
	seen [1 << hashBits]uint32
}

func (c *encoder) compress(dst, src []byte) (n int, ok bool) {
	if c.base > 1<<31 {
		c.base, c.seen = 1, [1 << hashBits]uint32{}
	}
	c.dst, c.src, c.n, c.at, c.done = dst, src, 0, 0, 0
	defer func() {
		c.base += uint32(len(src))
		c.dst, c.src = nil, nil
	}()
	for c.at+minLength < len(src) {
		from, length := c.match()
		if length == 0 {
			c.at++
			continue
		}
		if !c.literals(c.at) || !c.repeat(c.at-from-1, length-2) {
			return 0, false
		}
		c.at += length
		c.done = c.at
		for i := c.at - 2; i < c.at && i+minLength <= len(src); i++ {
			c.seen[hash(src[i:])] = uint32(i) + c.base
		}
	}
	ok = c.literals(len(src))
	return c.n, ok
}

// match looks for an earlier occurrence of what follows, and returns where it is; length 0 is none.
func (c *encoder) match() (from, length int) {
	src, at := c.src, c.at
	slot := &c.seen[hash(src[at:])]
	last := *slot
	*slot = uint32(at) + c.base
	if last < c.base {
		return 0, 0
	}
	from = int(last - c.base)
	if at-from > maxDistance || string(src[from:from+minLength]) != string(src[at:at+minLength]) {
		return 0, 0
	}
	length = minLength
	for length < maxLength && at+length < len(src) && src[from+length] == src[at+length] {
		length++
	}
	return from, length
}

// literals writes what precedes to and is not written yet.
func (c *encoder) literals(to int) bool {
	for c.done < to {
		run := min(to-c.done, maxLiteral)
		if c.n+1+run > len(c.dst) {
			return false
		}
		c.dst[c.n] = byte(run - 1)
		copy(c.dst[c.n+1:], c.src[c.done:c.done+run])
		c.n += 1 + run
		c.done += run
	}
	return true
}

func (c *encoder) repeat(distance, length int) bool {
	if c.n+3 > len(c.dst) {
		return false
	}
	if length < 7 {
		c.dst[c.n] = byte(length<<5 | distance>>8)
		c.n++
	} else {
		c.dst[c.n] = byte(7<<5 | distance>>8)
		c.dst[c.n+1] = byte(length - 7)
		c.n += 2
	}
	c.dst[c.n] = byte(distance)
	c.n++
	return true
}

func hash(b []byte) uint32 {
	return (uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2])) * 2654435761 >> (32 - hashBits)
}

// Decompress returns the n bytes that src stands for. It allocates nothing for an n that src cannot give,
// so at most about 90 bytes for each byte of src. The error is ErrCorrupt.
func Decompress(src []byte, n int) ([]byte, error) {
	if n < 0 || n/(maxLength/3) > len(src) {
		return nil, ErrCorrupt
	}
	dst := make([]byte, 0, n)
	for i := 0; i < len(src); {
		control := int(src[i])
		i++
		if control < maxLiteral {
			to := i + control + 1
			if to > len(src) || len(dst)+control+1 > n {
				return nil, ErrCorrupt
			}
			dst = append(dst, src[i:to]...)
			i = to
			continue
		}
		length := control>>5 + 2
		if length == 9 {
			if i >= len(src) {
				return nil, ErrCorrupt
			}
			length += int(src[i])
			i++
		}
		if i >= len(src) {
			return nil, ErrCorrupt
		}
		from := len(dst) - (control&31<<8 | int(src[i])) - 1
		i++
		if from < 0 || len(dst)+length > n {
			return nil, ErrCorrupt
		}
		dst = appendRepeat(dst, from, length)
	}
	if len(dst) != n {
		return nil, ErrCorrupt
	}
	return dst, nil
}

// appendRepeat appends length bytes from dst[from:], which may reach into what it appends.
func appendRepeat(dst []byte, from, length int) []byte {
	for length > 0 {
		part := dst[from:]
		if len(part) > length {
			part = part[:length]
		}
		dst = append(dst, part...)
		length -= len(part)
		from += len(part)
	}
	return dst
}
