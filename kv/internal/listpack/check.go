package listpack

import (
	"encoding/binary"
	"errors"
)

// ErrCorrupt says that bytes are not a listpack.
var ErrCorrupt = errors.New("listpack: corrupt")

// Check returns b as a pack after it has looked at every element: no method can go beyond a checked pack.
// b is not copied. The error is ErrCorrupt. Time is linear in the elements.
func Check(b []byte) (Pack, error) {
	if len(b) < headerSize+1 || uint64(binary.LittleEndian.Uint32(b)) != uint64(len(b)) || b[len(b)-1] != end {
		return nil, ErrCorrupt
	}
	n, pos := 0, headerSize
	for ; b[pos] != end; n++ {
		size, ok := checkEntry(b[pos : len(b)-1])
		if !ok {
			return nil, ErrCorrupt
		}
		pos += size
	}
	p := Pack(b)
	if pos != len(b)-1 || p.count() != unknownCount && p.count() != n {
		return nil, ErrCorrupt
	}
	return p, nil
}

// checkEntry returns the size of the element at the start of b, where the final byte of the pack is not part of b.
func checkEntry(b []byte) (int, bool) {
	if len(b) == 0 || b[0] > 0xf4 {
		return 0, false
	}
	head := 1
	if b[0] >= 0xe0 && b[0] < 0xf0 {
		head = 2
	} else if b[0] == 0xf0 {
		head = 5
	}
	if len(b) < head {
		return 0, false
	}
	n := dataLen(b)
	back := backLen(n)
	if n > len(b)-back {
		return 0, false
	}
	var want [5]byte
	enc := appendBack(want[:0], n)
	return n + back, string(enc) == string(b[n:n+back])
}
