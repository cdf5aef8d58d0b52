package scan

import (
	"math"
	"testing"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

func TestParseCursor(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]uint64{
		"": 0, "0": 0, "17": 17, "+17": 17, "-1": math.MaxUint64, "18446744073709551615": math.MaxUint64,
	} {
		if got, ok := ParseCursor([]byte(text)); got != want || !ok {
			t.Errorf("%q is %d, %v", text, got, ok)
		}
	}
	for _, text := range []string{"x", "1x", " 1", "--1", "-", "18446744073709551616", "1_0"} {
		if _, ok := ParseCursor([]byte(text)); ok {
			t.Errorf("%q is a cursor", text)
		}
	}
}

// A count beyond all memory ends with the connection, not with the process.
func TestRepeatIsBounded(t *testing.T) {
	t.Parallel()
	e := engine.New(engine.Defaults())
	t.Cleanup(e.Close)
	var calls int
	e.Register(&engine.Command{Name: "many", Arity: 1, Run: func(c *engine.Client, _ [][]byte) {
		Repeat(c, 10, 100, func() { calls++; c.Bulk(make([]byte, 10)) })
		if calls != 6 || !c.Closing() {
			t.Errorf("%d calls, closing %v", calls, c.Closing())
		}
	}})
	e.Do(e.NewClient(engine.Front{}), [][]byte{[]byte("MANY")}, nil)
}
