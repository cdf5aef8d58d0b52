package rdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/table"
)

// ErrPayload says that a payload is not one that DUMP has made, of a version that can be read: its sum is
// wrong, or it is too short.
var ErrPayload = errors.New("DUMP payload version or checksum are wrong")

// payloadEnd is the size of what follows the value: version and sum.
const payloadEnd = 2 + 8

// trieMark follows the value of a payload that is a trie and not a hash.
var trieMark = func() []byte {
	var s sink
	s.aux(auxType, auxTrie)
	return s.buf
}()

// EncodeValue appends the value of an entry to dst, as DUMP replies it: type and value, version, sum.
func EncodeValue(dst []byte, en *table.Entry, compress bool) []byte {
	begin := len(dst)
	s := &sink{buf: dst, compress: compress}
	value := valueOf(en)
	s.byte(s.typeOf(value))
	s.value(value)
	if engine.TypeOf(en) == engine.TypeTrie {
		s.raw(trieMark)
	}
	s.buf = binary.LittleEndian.AppendUint16(s.buf, Version)
	return binary.LittleEndian.AppendUint64(s.buf, sum(0, s.buf[begin:]))
}

// DecodeValue returns the value of a payload: a string of its own memory if v is nil, or v. The error is
// ErrPayload, or wraps ErrCorrupt or io.ErrUnexpectedEOF if the sum is right but the value is not.
// Of o it needs Stamp and Config.
func DecodeValue(payload []byte, o ReadOptions) (str []byte, v engine.Value, err error) {
	n := len(payload) - payloadEnd
	if n < 1 {
		return nil, nil, ErrPayload
	}
	version := binary.LittleEndian.Uint16(payload[n:])
	if version > readable || binary.LittleEndian.Uint64(payload[n+2:]) != sum(0, payload[:n+2]) {
		return nil, nil, ErrPayload
	}
	body := payload[:n]
	if body[0] == typeHash && bytes.HasSuffix(body, trieMark) {
		// The mark may be the end of a hash's last value, too.
		if v, rest, err := decodeBody(body, o, true); err == nil && bytes.Equal(rest, trieMark) {
			return nil, v.other, nil
		}
	}
	value, _, err := decodeBody(body, o, false)
	return value.str, value.other, err
}

type decoded struct {
	str   []byte
	other engine.Value
}

// decodeBody reads a type and a value, and returns what follows.
func decodeBody(body []byte, o ReadOptions, trie bool) (v decoded, rest []byte, err error) {
	d := newDecoder(&source{buf: body}, o)
	v.str, v.other = d.value(d.byte(), trie)
	if d.empty {
		d.fail("a collection without elements")
	}
	if d.err != nil {
		return decoded{}, nil, fmt.Errorf("a payload: %w", d.err)
	}
	return v, body[d.at:], nil
}
