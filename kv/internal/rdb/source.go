package rdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"

	"github.com/zmsg/zmsg/kv/internal/lzf"
)

// step is how many bytes are allocated at once for what may turn out not to be there.
const step = 1 << 20

// source decodes. It keeps the first error, and then gives zeros without reading any more; loops over
// counts from the file must look at err.
type source struct {
	r      io.Reader // nil: all is in buf
	buf    []byte
	at     int   // what of buf has been consumed
	base   int64 // bytes consumed before buf
	crc    uint64
	summed int // what of buf is in crc
	sums   bool
	lzf    []byte // scratch
	err    error
}

func newSource(r io.Reader) *source { return &source{r: r, buf: make([]byte, 0, bufferSize)} }

// offset is how many bytes have been consumed.
func (s *source) offset() int64 { return s.base + int64(s.at) }

// fail notes that what was read last is wrong.
func (s *source) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("%w: %s, at offset %d", ErrCorrupt, fmt.Sprintf(format, args...), s.offset())
	}
}

// stop notes an error of reading.
func (s *source) stop(err error) {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if s.err == nil {
		s.err = fmt.Errorf("rdb: reading at offset %d: %w", s.offset(), err)
	}
}

// tally puts what has been consumed into the sum.
func (s *source) tally() {
	if s.sums {
		s.crc = sum(s.crc, s.buf[s.summed:s.at])
	}
	s.summed = s.at
}

// fill has at least one byte more in the buffer, or an error.
func (s *source) fill() bool {
	if s.err != nil {
		return false
	}
	if s.r == nil {
		s.stop(io.EOF)
		return false
	}
	s.tally()
	rest := copy(s.buf[:cap(s.buf)], s.buf[s.at:])
	s.base += int64(s.at)
	s.buf, s.at, s.summed = s.buf[:rest], 0, 0
	n, err := s.r.Read(s.buf[rest:cap(s.buf)])
	s.buf = s.buf[:rest+n]
	if n == 0 && err != nil {
		s.stop(err)
		return false
	}
	return true
}

// take consumes n bytes, at most 16, which are valid until the next call.
func (s *source) take(n int) []byte {
	for len(s.buf)-s.at < n {
		if !s.fill() {
			return make([]byte, n)
		}
	}
	s.at += n
	return s.buf[s.at-n : s.at]
}

func (s *source) byte() byte       { return s.take(1)[0] }
func (s *source) uint64() uint64   { return binary.LittleEndian.Uint64(s.take(8)) }
func (s *source) float64() float64 { return math.Float64frombits(s.uint64()) }

// bytes appends n bytes to dst. It allocates as they come, not as they are promised.
func (s *source) bytes(dst []byte, n uint64) []byte {
	for n > 0 && s.err == nil {
		if s.at == len(s.buf) && !s.fill() {
			break
		}
		dst = slices.Grow(dst, int(min(n, step)))
		part := s.buf[s.at:]
		part = part[:min(uint64(len(part)), n)]
		dst = append(dst, part...)
		s.at += len(part)
		n -= uint64(len(part))
	}
	return dst
}

// prefix reads a length, or what special encoding of a string follows.
func (s *source) prefix() (n uint64, special bool) {
	b := s.byte()
	switch {
	case b < 0x40:
		return uint64(b), false
	case b < 0x80:
		return uint64(b&0x3f)<<8 | uint64(s.byte()), false
	case b == 0x80:
		return uint64(binary.BigEndian.Uint32(s.take(4))), false
	case b == 0x81:
		return binary.BigEndian.Uint64(s.take(8)), false
	case b >= 0xc0:
		return uint64(b & 0x3f), true
	}
	s.fail("no length begins with %#x", b)
	return 0, false
}

// length reads a length or a count; it may promise anything.
func (s *source) length() uint64 {
	n, special := s.prefix()
	if special {
		s.fail("a string where a length should be")
		return 0
	}
	return n
}

// text appends a string to dst, whatever its encoding.
func (s *source) text(dst []byte) []byte {
	n, special := s.prefix()
	if !special {
		return s.bytes(dst, n)
	}
	switch n {
	case 0:
		return strconv.AppendInt(dst, int64(int8(s.byte())), 10)
	case 1:
		return strconv.AppendInt(dst, int64(int16(binary.LittleEndian.Uint16(s.take(2)))), 10)
	case 2:
		return strconv.AppendInt(dst, int64(int32(binary.LittleEndian.Uint32(s.take(4)))), 10)
	case 3:
		return s.packed(dst)
	}
	s.fail("unknown encoding %d of a string", n)
	return dst
}

// packed appends a compressed string to dst.
func (s *source) packed(dst []byte) []byte {
	size, n := s.length(), s.length()
	s.lzf = s.bytes(s.lzf[:0], size)
	if s.err != nil {
		return dst
	}
	if n > math.MaxInt32 {
		s.fail("a compressed string of %d bytes", n)
		return dst
	}
	p, err := lzf.Decompress(s.lzf, int(n))
	if err != nil {
		s.fail("a compressed string cannot be decompressed")
	}
	if cap(s.lzf) > step {
		s.lzf = nil
	}
	if len(dst) == 0 && cap(dst) < len(p) {
		return p
	}
	return append(dst, p...)
}

// blob reads a string into memory of its own.
func (s *source) blob() []byte { return s.text(nil) }
