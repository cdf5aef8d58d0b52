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

// A count beyond all memory is an error.
func TestRepeatIsBounded(t *testing.T) {
	t.Parallel()
	e := engine.New(engine.Defaults())
	t.Cleanup(e.Close)
	var calls int
	e.Register(&engine.Command{Name: "many", Arity: 1, Run: func(c *engine.Client, _ [][]byte) {
		from := c.Later()
		c.Array(10)
		Repeat(c, from, 10, 100, func() { calls++; c.Bulk(make([]byte, 10)) })
	}})
	reply := e.Do(e.NewClient(engine.Front{}), [][]byte{[]byte("MANY")}, nil)
	if calls != 6 || string(reply) != "-ERR value is out of range, the reply would be too long\r\n" {
		t.Errorf("%d calls, replied %q", calls, reply)
	}
}
