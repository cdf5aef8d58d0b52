package listpack_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/zmsg/zmsg/kv/internal/listpack"
)

func TestFrontMovesInTheBytesBeforeIt(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		model := []string{}
		at := rapid.IntRange(0, 500).Draw(t, "room")
		buf := append(make([]byte, at), listpack.New()...)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			if n := rapid.IntRange(-6, 3).Draw(t, "n"); n > 0 {
				at = listpack.Shift(buf, at, n)
				model = slices.Delete(model, 0, min(n, len(model)))
			} else {
				v := element().Draw(t, "v")
				to, ok := listpack.Prepend(buf, at, []byte(v))
				if size := listpack.EntrySize([]byte(v)); ok != (size <= at) || ok && to != at-size || !ok && to != at {
					t.Fatalf("%d bytes in %d: from %d, %t", size, at, to, ok)
				}
				if at = to; ok {
					model = slices.Insert(model, 0, v)
				}
			}
			p, err := listpack.Check(buf[at:])
			if err != nil {
				t.Fatal(err)
			}
			if got := texts(t, p); !slices.Equal(got, model) {
				t.Fatalf("got %q, want %q", got, model)
			}
		}
	})
}
