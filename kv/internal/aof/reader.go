// Package aof keeps the append-only log: the layout of its files, which is Redis 7's, a reader that tells
// a torn tail from damage, and a writer that many share.
//
// A file of the log is a sequence of commands in the protocol's encoding, with lines in between that start
// with '#' and say something about what follows ("#TS:1700000000"). What must be kept or lost as a whole
// stands between MULTI and EXEC.
package aof

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// The two ways in which a file can end badly.
var (
	// ErrTorn is the end of a file in the middle of a command, or of a transaction: what a crash leaves.
	// Everything before Error.Offset is whole.
	ErrTorn = errors.New("unexpected end of file")
	// ErrDamaged is something that no crash leaves.
	ErrDamaged = errors.New("bad file format")
)

// Error says where a file of the log cannot be read.
type Error struct {
	File   string
	Offset int64 // of the first command that is not whole; of its MULTI, if it is in a transaction
	Kind   error // ErrTorn, ErrDamaged, or an error of the file system
	Reason string
}

// Error implements error.
func (e *Error) Error() string {
	text := fmt.Sprintf("%s: at offset %d: %v", e.File, e.Offset, e.Kind)
	if e.Reason != "" {
		text += " (" + e.Reason + ")"
	}
	return text
}

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.Kind }

const (
	readSize = 256 << 10
	// maxHeader is the longest line that can be a header or an annotation.
	maxHeader = 128
)

// Reader reads commands.
type Reader struct {
	src    io.Reader
	name   string
	buf    []byte
	r, w   int
	base   int64 // offset of buf[0] in the file
	eof    bool
	args   [][]byte
	start  int64
	ts     int64
	single [1][][]byte
}

// NewReader reads a file called name from src, which stands at offset.
func NewReader(src io.Reader, name string, offset int64) *Reader {
	return &Reader{src: src, name: name, buf: make([]byte, readSize), base: offset}
}

// Offset is where the next command starts.
func (r *Reader) Offset() int64 { return r.base + int64(r.r) }

// Start is where the last command that Next has returned starts.
func (r *Reader) Start() int64 { return r.start }

// Timestamp is the unix time in seconds of the last annotation, 0 without one.
func (r *Reader) Timestamp() int64 { return r.ts }

// Next returns the next command. Its arguments are valid until the following call. At the end it returns
// io.EOF, and otherwise an *Error. It holds no more memory than about twice what the command takes in the
// file, whatever its headers claim.
func (r *Reader) Next() ([][]byte, error) {
	for {
		b := r.buf[r.r:r.w]
		if len(b) > 0 && b[0] == '#' {
			if done, err := r.annotation(b); err != nil {
				return nil, err
			} else if done {
				continue
			}
		} else if len(b) > 0 {
			args, n, err := parse(r.args[:0], b)
			r.args = args
			if err != nil {
				return nil, r.bad(n, err.Error())
			}
			if n > 0 {
				r.start = r.Offset()
				r.r += n
				return args, nil
			}
		}
		if r.eof {
			if len(b) == 0 {
				return nil, io.EOF
			}
			return nil, &Error{File: r.name, Offset: r.Offset(), Kind: ErrTorn}
		}
		if err := r.fill(); err != nil {
			return nil, &Error{File: r.name, Offset: r.Offset(), Kind: err}
		}
	}
}

// annotation skips a line that starts with '#', if all of it is there.
func (r *Reader) annotation(b []byte) (bool, error) {
	end := bytes.IndexByte(b[:min(len(b), maxHeader)], '\n')
	if end < 0 {
		if len(b) >= maxHeader {
			return false, r.bad(max(0, bytes.IndexByte(b, 0)), "an annotation without an end")
		}
		return false, nil
	}
	if ts, ok := bytes.CutPrefix(bytes.TrimRight(b[:end], "\r"), []byte("#TS:")); ok {
		if n, err := strconv.ParseInt(string(ts), 10, 64); err == nil {
			r.ts = n
		}
	}
	r.r += end + 1
	return true, nil
}

// fill reads more, in a larger buffer if the command fills all of the present one.
func (r *Reader) fill() error {
	if r.r > 0 {
		r.base += int64(r.r)
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	}
	if r.w == len(r.buf) {
		larger := make([]byte, 2*len(r.buf))
		copy(larger, r.buf)
		r.buf = larger
	}
	n, err := r.src.Read(r.buf[r.w:])
	r.w += n
	if errors.Is(err, io.EOF) {
		r.eof = true
		return nil
	}
	return err
}

// bad tells damage from a tail of zeros, which a crash can leave where the file's size has reached the
// disk and its data has not. at is where, after the command's start, a byte cannot be.
func (r *Reader) bad(at int, reason string) error {
	e := &Error{File: r.name, Offset: r.Offset(), Kind: ErrDamaged, Reason: reason}
	rest := r.buf[r.r+at : r.w]
	for {
		for _, c := range rest {
			if c != 0 {
				return e
			}
		}
		if r.eof {
			e.Kind = ErrTorn
			return e
		}
		n, err := r.src.Read(r.buf)
		if errors.Is(err, io.EOF) {
			r.eof = true
		} else if err != nil {
			e.Kind = err
			return e
		}
		rest = r.buf[:n]
	}
}

// parse reads one command at the start of b and returns how long it is. n is 0 if it is not whole; with an
// error, n is where the first byte is that cannot be.
func parse(args [][]byte, b []byte) (_ [][]byte, n int, err error) {
	count, n, err := header(b, 0, '*')
	if n == 0 || err != nil {
		return args, n, err
	}
	if count < 1 {
		return args, 0, errors.New("a command without a name")
	}
	for range count {
		size, after, err := header(b, n, '$')
		if after == 0 || err != nil {
			return args, after, err
		}
		// Compared without a sum, which could overflow.
		if room := len(b) - after; size > room-2 || b[after+size] != '\r' || b[after+size+1] != '\n' {
			at := badEnd(b, after, size)
			if at > 0 {
				err = errors.New("an argument is not as long as it says")
			}
			return args, at, err
		}
		end := after + size
		args = append(args, b[after:end:end])
		n = end + 2
	}
	return args, n, nil
}

// badEnd returns where after an argument the bytes are wrong, or 0 if they may only be missing.
func badEnd(b []byte, after, size int) int {
	if room := len(b) - after; size < room {
		end := after + size
		if b[end] != '\r' {
			return end
		}
		if end+1 < len(b) && b[end+1] != '\n' {
			return end + 1
		}
	}
	return 0
}

// header reads a line such as "*3\r\n" at b[at:]. It returns the number and where the line ends, 0 if it is
// not whole. With an error it returns where the first byte is that cannot be.
func header(b []byte, at int, kind byte) (value, end int, err error) {
	if at == len(b) {
		return 0, 0, nil
	}
	if b[at] != kind {
		return 0, at, fmt.Errorf("expected '%c'", kind)
	}
	for i := at + 1; i < len(b); i++ {
		switch c := b[i]; {
		case '0' <= c && c <= '9':
			if i-at > 10 {
				return 0, i, errors.New("a length that is too large")
			}
			value = value*10 + int(c-'0')
		case c == '\r' && i > at+1:
			if i+1 == len(b) {
				return 0, 0, nil
			}
			if b[i+1] != '\n' {
				return 0, i + 1, errors.New("a line that does not end in CR LF")
			}
			return value, i + 2, nil
		default:
			return 0, i, errors.New("a length that is no number")
		}
	}
	return 0, 0, nil
}
