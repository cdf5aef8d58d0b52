package keys_test

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/zmsg/zmsg/kv/internal/oracle"
)

// TestSortAgainstModel sorts any lists, sets and sorted sets, with any options.
func TestSortAgainstModel(t *testing.T) {
	t.Parallel()
	s := newSubject(t)
	rapid.Check(t, func(t *rapid.T) {
		try(s, "FLUSHALL")
		elements := rapid.SliceOfNDistinct(rapid.IntRange(-300, 300), 1, 200, rapid.ID).Draw(t, "elements")
		command := rapid.SampledFrom([]string{"RPUSH k", "SADD k", "ZADD k"}).Draw(t, "type")
		weights := make(map[int]int)
		for i, n := range elements {
			if command == "ZADD k" {
				try(s, fmt.Sprint(command, " ", i, " ", n))
			} else {
				try(s, fmt.Sprint(command, " ", n))
			}
			weights[n] = rapid.IntRange(-3, 3).Draw(t, "weight")
			try(s, fmt.Sprint("SET w", n, " ", weights[n]))
		}
		desc := rapid.Bool().Draw(t, "desc")
		by := rapid.SampledFrom([]string{"", " ALPHA", " BY w*", " BY nosort"}).Draw(t, "by")
		if command == "SADD k" && by == " BY nosort" {
			by = " BY nosort STORE l"
		}
		first := rapid.IntRange(-5, 250).Draw(t, "first")
		count := rapid.IntRange(-1, 250).Draw(t, "count")
		ask := fmt.Sprintf("SORT k LIMIT %d %d%s", first, count, by)
		if desc {
			ask += " DESC"
		}
		got := try(s, ask)
		if strings.Contains(by, "STORE") {
			got = try(s, "LRANGE l 0 -1")
		}
		if want := array(sortModel(elements, weights, by, desc, first, count)); got != want {
			t.Fatalf("%s of %v\n got %s\nwant %s", ask, elements, got, want)
		}
	})
}

// sortModel returns what SORT shall reply.
func sortModel(elements []int, weights map[int]int, by string, desc bool, first, count int) []string {
	all := slices.Clone(elements)
	order := cmp.Compare[int]
	text := func(a, b int) int { return cmp.Compare(strconv.Itoa(a), strconv.Itoa(b)) }
	switch by {
	case " BY w*":
		order = func(a, b int) int { return cmp.Or(cmp.Compare(weights[a], weights[b]), text(a, b)) }
	case " ALPHA", " BY nosort STORE l":
		order = text
	case " BY nosort":
		order = func(a, b int) int { return slices.Index(elements, a) - slices.Index(elements, b) }
	}
	slices.SortFunc(all, order)
	if desc {
		slices.Reverse(all)
	}
	all = all[min(max(first, 0), len(all)):]
	if count >= 0 {
		all = all[:min(count, len(all))]
	}
	texts := make([]string, len(all))
	for i, n := range all {
		texts[i] = strconv.Itoa(n)
	}
	return texts
}

func array(texts []string) string {
	reply := "*" + strconv.Itoa(len(texts))
	for _, x := range texts {
		reply += "|$" + strconv.Itoa(len(x)) + "|" + x
	}
	return reply
}

// TestSortAgainstRedis compares weights and patterns that are out of the ordinary.
func TestSortAgainstRedis(t *testing.T) {
	t.Parallel()
	r, s := oracle.Start(t), newSubject(t)
	odd := []string{"", " 1", "1 ", "0x1p3", "-inf", "inf", "nan", "x", "1\x002", "\x00", " ", "+5", "1_0", ".5", "5.", "1e400", "1e-400"}
	oracle.Compare(t, r, s, oracle.Words("RPUSH q a b"), oracle.Words("HSET ha f x - y"), oracle.Words("SET ha-> v"), oracle.Words("SET b q"))
	for _, pattern := range []string{"h*->f", "h*->", "h*", "*", "#", "#x", "h*->f->g", "->h*", "*->f", "**", "h*->g", "h*->*", "-"} {
		oracle.Compare(t, r, s, oracle.Words("SORT q BY nosort GET "+pattern), oracle.Words("SORT q ALPHA BY "+pattern),
			oracle.Words("SORT q BY "+pattern+" GET # GET "+pattern+" STORE out"), oracle.Words("LRANGE out 0 -1"))
	}
	oracle.Compare(t, r, s,
		oracle.Words("EXPIRE out 100"), oracle.Words("SORT q ALPHA STORE out"), oracle.Words("TTL out"), oracle.Words("OBJECT ENCODING out"),
		oracle.Words("SORT nokey STORE out"), oracle.Words("EXISTS out"), oracle.Words("SORT nokey STORE out"),
		oracle.Words("COMMAND GETKEYS SORT a STORE b GET STORE BY x STORE c"), oracle.Words("SORT q ALPHA STORE q"), oracle.Words("LRANGE q 0 -1"))
	// What is out of range comes last: Redis 7.0 remembers that for a while.
	for _, o := range odd {
		oracle.Compare(t, r, s, [][]byte{[]byte("DEL"), []byte("l"), []byte("w3")})
		push := [][]byte{[]byte("RPUSH"), []byte("l"), []byte("3"), []byte(o), []byte("-4")}
		oracle.Compare(t, r, s, push, oracle.Words("SORT l"), oracle.Words("SORT l ALPHA DESC"), oracle.Words("SORT l ALPHA STORE m"),
			oracle.Words("LRANGE m 0 -1"))
		oracle.Compare(t, r, s, [][]byte{[]byte("SET"), []byte("w3"), []byte(o)}, oracle.Words("SORT l BY w*"), oracle.Words("SORT l BY w* GET w*"))
		oracle.Compare(t, r, s, [][]byte{[]byte("SORT"), []byte("l"), []byte("BY"), []byte("nosort"), []byte("GET"), []byte("w*" + o)})
		oracle.Compare(t, r, s, [][]byte{[]byte("SORT"), []byte("l"), []byte("BY"), []byte("nosort"), []byte("GET"), []byte(o + "w*")})
	}
	oracle.CompareLogs(t, r, s)
}
