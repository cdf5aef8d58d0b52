package glob_test

import (
	"strings"
	"testing"
	"time"

	"github.com/zmsg/zmsg/kv/internal/glob"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true},
		{"", "a", false},
		{"*", "", false},
		{"h?llo", "hello", true},
		{"h?llo", "hllo", false},
		{"h*llo", "heeello", true},
		{"h*llo", "heeell", false},
		{"h[ae]llo", "hallo", true},
		{"h[ae]llo", "hillo", false},
		{"h[^e]llo", "hello", false},
		{"h[^e]llo", "hbllo", true},
		{"h[a-c]llo", "hbllo", true},
		{"h[c-a]llo", "hbllo", true},
		{"h[a-c]llo", "hdllo", false},
		{`\*`, "*", true},
		{`\*`, "a", false},
		{`a\`, `a\`, true},
		{"[ab", "a", true},
		{"[ab", "c", false},
		{`[\]]`, "]", true},
		{"*a*b*c*", "xxaxxbxxcxx", true},
		{"*a*b*c*", "xxcxxbxxaxx", false},
		{"a**b", "ab", true},
		{"?*", "", false},
	} {
		if got := glob.Match([]byte(c.pattern), []byte(c.s), false); got != c.want {
			t.Errorf("Match(%q, %q) = %v, want %v", c.pattern, c.s, got, c.want)
		}
	}
}

func TestMatchWithoutCase(t *testing.T) {
	t.Parallel()
	for pattern, s := range map[string]string{"MAX*": "maxmemory", "[A-C]x": "bX", `\Q`: "q"} {
		if !glob.Match([]byte(pattern), []byte(s), true) {
			t.Errorf("%q does not match %q", pattern, s)
		}
		if glob.Match([]byte(pattern), []byte(s), false) {
			t.Errorf("%q matches %q though case counts", pattern, s)
		}
	}
}

// A pattern made to be slow is not.
func TestMatchIsNotExponential(t *testing.T) {
	t.Parallel()
	began := time.Now()
	if glob.Match([]byte(strings.Repeat("a*", 200)+"b"), []byte(strings.Repeat("a", 20_000)), false) {
		t.Error("it matches")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}
