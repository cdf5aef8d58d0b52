package zsets

import (
	"math"
	"testing"
)

func TestScores(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want float64
		ok   bool
	}{
		{"1", 1, true},
		{"-0", 0, true},
		{"+5", 5, true},
		{"1.5e3", 1500, true},
		{".5", .5, true},
		{"1.", 1, true},
		{"inf", math.Inf(1), true},
		{"-Infinity", math.Inf(-1), true},
		{"+inf", math.Inf(1), true},
		{"0x10", 16, true},
		{"0x1.8p1", 3, true},
		{"0x.8", .5, true},
		{"007", 7, true},
		{"0e-999", 0, true},
		{"4e-324", 5e-324, true},
		{"123456789012345678", 123456789012345678, true},
		{"", 0, false},
		{" 1", 0, false},
		{"1 ", 0, false},
		{"nan", 0, false},
		{"1e400", 0, false},
		{"1e-400", 0, false},
		{"1_000", 0, false},
		{"0x", 0, false},
		{"abc", 0, false},
		{"1e", 0, false},
		{"--1", 0, false},
		{"+-1", 0, false},
		{".", 0, false},
		{"0x1p-2000", 0, false},
	}
	for _, x := range tests {
		if got, ok := ParseScore([]byte(x.text)); ok != x.ok || ok && got != x.want {
			t.Errorf("ParseScore(%q) = %v %v, want %v %v", x.text, got, ok, x.want, x.ok)
		}
	}
	bounds := map[string]float64{"": 0, "1e400": math.Inf(1), "-1e400": math.Inf(-1), "1e-400": 0, "5\x00x": 5}
	bounds["\t 5"] = 5
	for text, want := range bounds {
		if got, ok := parseBound([]byte(text)); !ok || got != want {
			t.Errorf("parseBound(%q) = %v %v, want %v", text, got, ok, want)
		}
	}
	texts := map[float64]string{
		0: "0", 1e15: "1000000000000000", 1e17: "100000000000000000", 1e20: "1e+20", 0.1: "0.10000000000000001",
		-2.5: "-2.5", math.Inf(-1): "-inf", 1e-5: "1.0000000000000001e-05", 1 << 62: "4611686018427387904",
		math.MaxInt64: "9.2233720368547758e+18",
	}
	for score, want := range texts {
		if got := string(AppendScore(nil, score)); got != want {
			t.Errorf("AppendScore(%v) = %q, want %q", score, got, want)
		}
	}
	if got := string(AppendScore(nil, math.Copysign(0, -1))); got != "-0" {
		t.Errorf("minus 0 is %q", got)
	}
}

func FuzzParseScore(f *testing.F) {
	for _, s := range []string{"1", "0x1p-3", "-inf", "1e999", "", "+", "0x_1", "infinity"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		score, ok := ParseScore(text)
		if !ok {
			return
		}
		if math.IsNaN(score) {
			t.Fatalf("%q is NaN", text)
		}
		if again, ok := ParseScore(AppendScore(nil, score)); !ok || again != score {
			t.Fatalf("%q is %v, which is read as %v", text, score, again)
		}
	})
}
