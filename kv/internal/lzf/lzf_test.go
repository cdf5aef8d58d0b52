package lzf_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/zmsg/zmsg/kv/internal/lzf"
)

func TestWhatIsCompressedComesBack(t *testing.T) {
	t.Parallel()
	text := rapid.OneOf(
		rapid.SliceOfN(rapid.Byte(), 0, 3000),
		rapid.SliceOfN(rapid.ByteRange('a', 'c'), 0, 5000),
		rapid.Map(rapid.StringN(1, 40, 60), func(s string) []byte { return []byte(strings.Repeat(s, 300)) }),
	)
	rapid.Check(t, func(t *rapid.T) {
		src := text.Draw(t, "src")
		dst := make([]byte, rapid.IntRange(0, 2*len(src)+10).Draw(t, "room"))
		n, ok := lzf.Compress(dst, src)
		if !ok {
			if len(dst) > len(src)+len(src)/32+1 {
				t.Fatalf("%d bytes do not fit into %d", len(src), len(dst))
			}
			return
		}
		if back, err := lzf.Decompress(dst[:n], len(src)); err != nil || !bytes.Equal(src, back) {
			t.Fatalf("%q came back: %v", back, err)
		}
		if _, err := lzf.Decompress(dst[:n], len(src)+1); !errors.Is(err, lzf.ErrCorrupt) {
			t.Fatal("a wrong size was accepted")
		}
	})
}

func TestRepetitionIsSmall(t *testing.T) {
	t.Parallel()
	src := bytes.Repeat([]byte("ab"), 5000)
	dst := make([]byte, len(src))
	if n, ok := lzf.Compress(dst, src); !ok || n > len(src)/80 {
		t.Errorf("%d bytes, %v", n, ok)
	}
}

func TestSizeBeyondReasonIsRefused(t *testing.T) {
	t.Parallel()
	for _, n := range []int{-1, 1 << 40} {
		if _, err := lzf.Decompress([]byte{0, 'a', 0xe0, 0xff, 0}, n); !errors.Is(err, lzf.ErrCorrupt) {
			t.Errorf("%d: %v", n, err)
		}
	}
}

func FuzzDecompress(f *testing.F) {
	f.Add([]byte{0, 'a', 0xe0, 0xff, 0}, 265)
	f.Add([]byte{4, 'h', 'e', 'l', 'l', 'o'}, 5)
	f.Add([]byte{0x20, 0}, 3)
	f.Fuzz(func(t *testing.T, src []byte, n int) {
		if out, err := lzf.Decompress(src, n); err == nil && len(out) != n {
			t.Errorf("%d bytes, want %d", len(out), n)
		}
	})
}
