package difftest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestRandomChoices checks what random replies must have in common, on both sides: they consist of what is
// there, repeat elements only when asked to, and have the number that was asked for.
func TestRandomChoices(t *testing.T) {
	t.Parallel()
	p := newPair(t, 2, 1)
	for _, size := range []int{1, 5, 100, 1000} {
		all := make(map[string]string) // a field's value, a member's score
		fill := [][]string{{"FLUSHALL"}}
		for i := range size {
			name := "m" + strconv.Itoa(i)
			all[name] = strconv.Itoa(i)
			fill = append(fill, []string{"SADD", "s", name}, []string{"SADD", "ints", all[name]}, []string{"HSET", "h", name, all[name]}, []string{"ZADD", "z", all[name], name})
		}
		if !p.batch(fill) {
			return
		}
		for _, count := range []int{1, 3, size - 1, size, size + 7, -1, -3, -size, -2 * size} {
			n := strconv.Itoa(count)
			p.choose(all, 1, count, "SRANDMEMBER", "s", n)
			p.choose(all, 1, count, "HRANDFIELD", "h", n)
			p.choose(all, 2, count, "HRANDFIELD", "h", n, "WITHVALUES")
			p.choose(all, 1, count, "ZRANDMEMBER", "z", n)
			p.choose(all, 2, count, "ZRANDMEMBER", "z", n, "WITHSCORES")
		}
		for range 10 {
			left := p.count("s")
			p.choose(all, 1, min(left, size/5+1), "SPOP", "s", strconv.Itoa(size/5+1))
			if now := p.count("s"); now != max(0, left-size/5-1) {
				t.Fatalf("%d members are %d after SPOP of %d", left, now, size/5+1)
			}
		}
	}
}

// count returns the size of a set, which must be the same on both sides.
func (p *pair) count(key string) int {
	p.t.Helper()
	replies, ok := p.ask([][]string{{"SCARD", key}})
	if !ok {
		p.t.FailNow()
	}
	n, _ := parse(replies[0][0])
	size, _ := n.number()
	return int(size)
}

// choose runs a command on both sides and checks the elements that it has chosen.
func (p *pair) choose(all map[string]string, width, count int, command ...string) {
	p.t.Helper()
	for side, reply := range [][]byte{p.execute(p.links[0], command), p.links[0].theirs.mustSend(p.t, command...)} {
		n, _ := parse(reply)
		var names []string
		for chunk := range slices.Chunk(n.texts(), width) {
			value, ok := all[chunk[0]]
			if !ok || width == 2 && chunk[1] != value {
				p.t.Errorf("%d: %q has %q", side, command, chunk)
			}
			names = append(names, chunk[0])
		}
		want := -count
		if count >= 0 {
			want = min(count, len(all))
			slices.Sort(names)
			if len(slices.Compact(slices.Clone(names))) != len(names) {
				p.t.Errorf("%d: %q repeats elements", side, command)
			}
		}
		if len(names) != want {
			p.t.Errorf("%d: %q has %d elements, not %d: %s", side, command, len(names), want, strings.TrimSpace(fmt.Sprintf("%.100q", names)))
		}
	}
}
