package rdb

import (
	"encoding/binary"
	"hash/crc64"
	"io"
	"math"

	"github.com/zmsg/zmsg/kv/internal/listpack"
	"github.com/zmsg/zmsg/kv/internal/lzf"
)

const (
	bufferSize = 64 << 10
	// compressible is the longest string that is compressed: compressing takes as much memory again.
	compressible = 16 << 20
)

var crcTable = crc64.MakeTable(0x95ac9329ac4bc9b5)

// sum goes on with Redis's CRC64, which, unlike Go's, inverts nothing.
func sum(crc uint64, p []byte) uint64 { return ^crc64.Update(^crc, crcTable, p) }

// sink encodes. It keeps the first error and then does nothing any more.
type sink struct {
	w        io.Writer // nil keeps everything in buf
	buf      []byte
	n        int64 // bytes that have left buf
	crc      uint64
	sums     bool
	compress bool
	lzf      []byte // scratch
	err      error
}

// flush hands the buffer on.
func (s *sink) flush() {
	if s.w == nil {
		return
	}
	s.send(s.buf)
	s.buf = s.buf[:0]
}

func (s *sink) send(p []byte) {
	if s.err != nil || len(p) == 0 {
		return
	}
	if s.sums {
		s.crc = sum(s.crc, p)
	}
	_, s.err = s.w.Write(p)
	s.n += int64(len(p))
}

func (s *sink) raw(p []byte) {
	if s.w != nil && len(s.buf)+len(p) > bufferSize {
		s.flush()
		if len(p) >= bufferSize {
			s.send(p)
			return
		}
	}
	s.buf = append(s.buf, p...)
}

func (s *sink) byte(b byte) { s.raw([]byte{b}) }

// uint64 writes 8 bytes, little endian.
func (s *sink) uint64(v uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	s.raw(b[:])
}

func (s *sink) float(f float64) { s.uint64(math.Float64bits(f)) }

func (s *sink) length(n uint64) {
	var b [9]byte
	switch {
	case n < 1<<6:
		s.byte(byte(n))
	case n < 1<<14:
		s.raw(append(b[:0], 1<<6|byte(n>>8), byte(n)))
	case n <= math.MaxUint32:
		s.raw(binary.BigEndian.AppendUint32(append(b[:0], 0x80), uint32(n)))
	default:
		s.raw(binary.BigEndian.AppendUint64(append(b[:0], 0x81), n))
	}
}

// text writes a string, as an integer or compressed where that is shorter.
func (s *sink) text(p []byte) {
	if len(p) <= 11 {
		if v, ok := listpack.ParseInt(p); ok && s.integer(v) {
			return
		}
	}
	s.verbatim(p)
}

// verbatim writes a string that is not looked at as an integer, compressed where that is shorter.
func (s *sink) verbatim(p []byte) {
	if s.compress && len(p) > 20 && len(p) <= compressible && s.packed(p) {
		return
	}
	s.length(uint64(len(p)))
	s.raw(p)
}

// integer writes a string that is the text of v, unless v takes more than 32 bits.
func (s *sink) integer(v int64) bool {
	var b [5]byte
	switch {
	case v >= math.MinInt8 && v <= math.MaxInt8:
		s.raw(append(b[:0], 0xc0, byte(v)))
	case v >= math.MinInt16 && v <= math.MaxInt16:
		s.raw(append(b[:0], 0xc1, byte(v), byte(v>>8)))
	case v >= math.MinInt32 && v <= math.MaxInt32:
		s.raw(binary.LittleEndian.AppendUint32(append(b[:0], 0xc2), uint32(v)))
	default:
		return false
	}
	return true
}

// packed writes a string compressed, unless that saves nothing.
func (s *sink) packed(p []byte) bool {
	room := len(p) - 4
	if cap(s.lzf) < room || cap(s.lzf) > 1<<20 {
		s.lzf = make([]byte, max(room, 4096))
	}
	n, ok := lzf.Compress(s.lzf[:room], p)
	if !ok {
		return false
	}
	s.byte(0xc3)
	s.length(uint64(n))
	s.length(uint64(len(p)))
	s.raw(s.lzf[:n])
	return true
}

// aux writes an auxiliary field.
func (s *sink) aux(name, value string) {
	s.byte(opAux)
	s.text([]byte(name))
	s.text([]byte(value))
}
