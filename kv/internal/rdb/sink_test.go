package rdb

import (
	"bytes"
	"errors"
	"io"
	"math"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func TestSumIsRedissSum(t *testing.T) {
	t.Parallel()
	if got := sum(sum(0, []byte("1234")), []byte("56789")); got != 0xe9c6d914c4b8d9ca {
		t.Errorf("%x", got)
	}
}

// What is written in pieces is read in pieces, with the same sum.
func TestPrimitivesComeBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var file bytes.Buffer
		s := &sink{w: &file, sums: true, compress: rapid.Bool().Draw(t, "compress")}
		texts := rapid.SliceOf(rapid.OneOf(rapid.SampledFrom(corners()), rapid.String())).Draw(t, "texts")
		lengths := rapid.SliceOf(rapid.OneOf(rapid.SampledFrom([]uint64{0, 63, 64, 16383, 16384, math.MaxUint32, 1 << 32, math.MaxUint64}), rapid.Uint64())).Draw(t, "lengths")
		score := rapid.Float64().Draw(t, "score")
		for _, v := range texts {
			s.text([]byte(v))
		}
		for _, n := range lengths {
			s.length(n)
		}
		s.float(score)
		s.flush()
		if s.err != nil || s.n != int64(file.Len()) {
			t.Fatal(s.err, s.n)
		}
		size := int64(file.Len())
		file.WriteString("what follows")
		d := newSource(iotest.HalfReader(&file))
		d.sums = true
		for _, want := range texts {
			if got := d.blob(); string(got) != want {
				t.Fatalf("%q, want %q", got, want)
			}
		}
		for _, want := range lengths {
			if got := d.length(); got != want {
				t.Fatalf("%d, want %d", got, want)
			}
		}
		if got := d.float64(); got != score {
			t.Fatalf("%g, want %g", got, score)
		}
		d.tally()
		if d.err != nil || d.offset() != size || d.crc != s.crc {
			t.Fatal(d.err, d.offset(), size, d.crc, s.crc)
		}
	})
}

func TestPromisedLengthIsNotAllocated(t *testing.T) {
	t.Parallel()
	for _, file := range []string{
		"\x81\xff\xff\xff\xff\xff\xff\xff\xff few",
		"\x80\x7f\xff\xff\xff few",
		"\xc3\x03\x81\x00\x00\x00\x00\x7f\xff\xff\xff\x00a\x00",
		"\xc3\x81\xff\xff\xff\xff\xff\xff\xff\xff\x05 few",
	} {
		d := newSource(bytes.NewReader([]byte(file)))
		if p := d.blob(); cap(p) > 2*step || d.err == nil {
			t.Errorf("%q: %d bytes, %v", file, cap(p), d.err)
		}
	}
}

func TestErrorsSayWhatAndWhere(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]error{"": io.ErrUnexpectedEOF, "\x40": io.ErrUnexpectedEOF, "\x82": ErrCorrupt, "\xff": ErrCorrupt} {
		d := newSource(bytes.NewReader([]byte(file)))
		d.blob()
		first := d.err
		d.length()
		if !errors.Is(d.err, want) || d.err != first { //nolint:errorlint // the very same
			t.Errorf("%q: %v", file, d.err)
		}
	}
	boom := errors.New("boom")
	d := newSource(iotest.ErrReader(boom))
	if d.byte(); !errors.Is(d.err, boom) {
		t.Error(d.err)
	}
}
