package snowflake

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParts(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		id   ID
		want Parts
	}{
		{1<<22 | 5<<12 | 9, Parts{time.Date(2025, 1, 1, 0, 0, 0, 1e6, time.UTC), 5, 9}},
		{1, Parts{time.UnixMilli(epochMillis).UTC(), 0, 1}},
		{1<<63 - 1, Parts{ExpiresAt().Add(-time.Millisecond), 1023, 4095}},
	} {
		if got := tc.id.Parts(); got != tc.want {
			t.Errorf("%d: got %+v, want %+v", tc.id, got, tc.want)
		}
	}
	if got, want := ExpiresAt(), time.Date(2094, 9, 7, 15, 47, 35, 552e6, time.UTC); got != want {
		t.Errorf("IDs end at %v, want %v", got, want)
	}
}

func TestPackAndParts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) (ID, Parts) {
			millis := rapid.Int64Range(epochMillis+1, endMillis-1).Draw(t, label+" millis")
			node := rapid.Int64Range(0, NodeCount-1).Draw(t, label+" node")
			sequence := rapid.Int64Range(0, PerMillisecond-1).Draw(t, label+" sequence")
			return pack(millis, node, sequence), Parts{time.UnixMilli(millis).UTC(), int(node), int(sequence)}
		}
		a, pa := draw("a")
		b, pb := draw("b")
		if a <= 0 || a.Parts() != pa {
			t.Fatalf("%d has parts %+v, was made of %+v", a, a.Parts(), pa)
		}
		if (a == b) != (pa == pb) || pa.Time.Before(pb.Time) && a >= b {
			t.Fatalf("%d of %+v, %d of %+v", a, pa, b, pb)
		}
	})
}
