package zsets

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/zmsg/zmsg/kv/internal/listpack"
)

// model is the plain truth about a sorted set.
type model map[string]float64

type row struct {
	member string
	score  float64
}

func (m model) rows() []row {
	rows := make([]row, 0, len(m))
	for member, score := range m {
		rows = append(rows, row{member, score})
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.score, b.score), cmp.Compare(a.member, b.member))
	})
	return rows
}

func rowsOf(z *ZSet) []row {
	rows := make([]row, 0, z.Len())
	for member, score := range z.All() {
		rows = append(rows, row{string(member), score})
	}
	return rows
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// check compares a set with the model in every way that costs little.
func check(t fataler, z *ZSet, m model) {
	t.Helper()
	want := m.rows()
	if got := rowsOf(z); !slices.Equal(got, want) {
		t.Fatalf("has %v, want %v", got, want)
	}
	back := make([]row, 0, len(want))
	for member, score := range z.Descend(0, z.Len()) {
		back = append(back, row{string(member), score})
	}
	slices.Reverse(back)
	if !slices.Equal(back, want) {
		t.Fatalf("backwards has %v, want %v", back, want)
	}
	if z.dict != nil {
		z.tree.validate(t)
		if z.dict.Len() != len(want) {
			t.Fatalf("dict has %d, want %d", z.dict.Len(), len(want))
		}
	}
	for i, r := range want {
		if rank, ok := z.Rank([]byte(r.member)); !ok || rank != i {
			t.Fatalf("rank of %q is %d %v, want %d", r.member, rank, ok, i)
		}
		if score, ok := z.Score([]byte(r.member)); !ok || score != r.score {
			t.Fatalf("score of %q is %v %v, want %v", r.member, score, ok, r.score)
		}
		if member, score := z.At(i); string(member) != r.member || score != r.score {
			t.Fatalf("at %d is %q %v, want %v", i, member, score, r)
		}
	}
}

// validate checks the invariants of the tree.
func (t *tree) validate(f fataler) {
	f.Helper()
	leaves, inner := 0, 0
	var walk func(n *node, depth int) (size, height int)
	walk = func(n *node, depth int) (size, height int) {
		if n.kids == nil {
			leaves++
			if len(n.items) == 0 || cap(n.items) != leafCap {
				f.Fatalf("leaf of %d items, cap %d", len(n.items), cap(n.items))
			}
			return len(n.items), 0
		}
		inner++
		if len(n.kids) == 0 || len(n.kids) != len(n.items) || len(n.kids) != len(n.counts) || cap(n.kids) != innerCap {
			f.Fatalf("inner node of %d kids, %d bounds, %d counts", len(n.kids), len(n.items), len(n.counts))
		}
		height = -1
		for i, kid := range n.kids {
			s, h := walk(kid, depth+1)
			if s != int(n.counts[i]) || height >= 0 && h != height {
				f.Fatalf("child %d has %d entries (counted %d), height %d and %d", i, s, n.counts[i], h, height)
			}
			if i > 0 && len(n.kids[i-1].items)+len(kid.items) <= cap(kid.items)/2 {
				f.Fatalf("neighbours of %d and %d items", len(n.kids[i-1].items), len(kid.items))
			}
			size, height = size+s, h
		}
		return size, height + 1
	}
	size := 0
	if t.root != nil {
		size, _ = walk(t.root, 0)
	}
	if size != t.len || leaves != t.leaves || inner != t.inner {
		f.Fatalf("%d entries (counted %d), %d leaves (%d), %d inner (%d)", size, t.len, leaves, t.leaves, inner, t.inner)
	}
}

func drawMember(t *rapid.T) []byte {
	n := rapid.IntRange(0, 300).Draw(t, "member")
	if n%3 == 0 {
		return []byte(strconv.Itoa(n - 150))
	}
	return fmt.Appendf(nil, "m%03d", n)
}

var someScores = []float64{
	0, math.Copysign(0, -1), 1, -1, 2, 3.5, 0.1, 1e17, -1e300, math.Inf(1), math.Inf(-1), 1 << 62, 5e-324, 127, 128, 4096,
}

// machine runs random changes on a set and its model, and keeps clones of both.
type machine struct {
	z      *ZSet
	m      model
	lim    Limits
	stamp  uint32
	frozen []*ZSet
	models []model
}

func (s *machine) Add(t *rapid.T) {
	member, score := drawMember(t), rapid.SampledFrom(someScores).Draw(t, "score")
	_, had := s.m[string(member)]
	if added := s.z.Add(member, score, s.lim); added == had {
		t.Fatalf("added %q: %v", member, added)
	}
	s.m[string(member)] = score
}

func (s *machine) AddMany(t *rapid.T) {
	from, n := rapid.IntRange(-500, 500).Draw(t, "from"), rapid.IntRange(1, 400).Draw(t, "n")
	step := rapid.SampledFrom([]int{1, -1, 7}).Draw(t, "step")
	for i := range n {
		member, score := fmt.Sprintf("b%d", (from+i*step)%700), float64(from+i*step)
		s.z.Add([]byte(member), score, s.lim)
		s.m[member] = score
	}
}

// Nudge changes scores by little, so that most stay between the same neighbours.
func (s *machine) Nudge(t *rapid.T) {
	by := rapid.SampledFrom([]float64{0.25, -0.25, 1, -3}).Draw(t, "by")
	n := rapid.IntRange(1, 50).Draw(t, "n")
	for _, r := range s.m.rows() {
		if n--; n < 0 {
			break
		}
		s.z.Add([]byte(r.member), r.score+by, s.lim)
		s.m[r.member] = r.score + by
	}
}

func (s *machine) Remove(t *rapid.T) {
	member := drawMember(t)
	_, had := s.m[string(member)]
	if s.z.Remove(member) != had {
		t.Fatalf("removed %q: %v", member, !had)
	}
	delete(s.m, string(member))
}

func (s *machine) RemoveMany(t *rapid.T) {
	rows := s.m.rows()
	rand.New(rand.NewPCG(1, rapid.Uint64().Draw(t, "seed"))).Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	for _, r := range rows[:rapid.IntRange(0, len(rows)).Draw(t, "n")] {
		if !s.z.Remove([]byte(r.member)) {
			t.Fatalf("%q was not there", r.member)
		}
		delete(s.m, r.member)
	}
}

func (s *machine) RemoveSpan(t *rapid.T) {
	rows := s.m.rows()
	lo := rapid.IntRange(0, len(rows)).Draw(t, "lo")
	hi := rapid.IntRange(lo, len(rows)).Draw(t, "hi")
	if n := s.z.RemoveSpan(lo, hi); n != hi-lo {
		t.Fatalf("removed %d, want %d", n, hi-lo)
	}
	for _, r := range rows[lo:hi] {
		delete(s.m, r.member)
	}
}

func (s *machine) Clone(*rapid.T) {
	s.stamp++
	s.frozen, s.models = append(s.frozen, s.z), append(s.models, maps.Clone(s.m))
	s.z = s.z.Clone(s.stamp).(*ZSet)
}

func (s *machine) ScoreSpan(t *rapid.T) {
	r := ScoreRange{
		rapid.SampledFrom(someScores).Draw(t, "min"), rapid.SampledFrom(someScores).Draw(t, "max"),
		rapid.Bool().Draw(t, "minex"), rapid.Bool().Draw(t, "maxex"),
	}
	var want []row
	for _, x := range s.m.rows() {
		if (x.score > r.Min || x.score == r.Min && !r.MinEx) && (x.score < r.Max || x.score == r.Max && !r.MaxEx) {
			want = append(want, x)
		}
	}
	lo, hi := s.z.ScoreSpan(r)
	var got []row
	for member, score := range s.z.Ascend(lo, hi) {
		got = append(got, row{string(member), score})
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%+v: got %v, want %v", r, got, want)
	}
}

func (s *machine) Check(t *rapid.T) {
	check(t, s.z, s.m)
	for i, z := range s.frozen {
		if got, want := rowsOf(z), s.models[i].rows(); !slices.Equal(got, want) {
			t.Fatalf("clone %d has %v, want %v", i, got, want)
		}
	}
}

func TestSetLikeModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := &machine{z: New(1), m: model{}, stamp: 1}
		s.lim = Limits{rapid.SampledFrom([]int{0, 5, 128, 1000}).Draw(t, "limit"), 64}
		t.Repeat(map[string]func(*rapid.T){
			"add": s.Add, "addMany": s.AddMany, "nudge": s.Nudge, "remove": s.Remove, "removeMany": s.RemoveMany,
			"removeSpan": s.RemoveSpan, "clone": s.Clone, "scoreSpan": s.ScoreSpan, "": s.Check,
		})
	})
}

func TestLexSpan(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		lim := Limits{rapid.SampledFrom([]int{0, 1000}).Draw(t, "limit"), 64}
		z, m := New(1), model{}
		for range rapid.IntRange(0, 400).Draw(t, "n") {
			member := drawMember(t)
			z.Add(member, 3, lim)
			m[string(member)] = 3
		}
		end := func() LexEnd {
			e := LexEnd{Text: drawMember(t), Ex: rapid.Bool().Draw(t, "ex"), Infinite: rapid.SampledFrom([]int{0, 0, 0, 1, -1}).Draw(t, "inf")}
			e.Ex = e.Ex || e.Infinite != 0
			return e
		}
		r := LexRange{end(), end()}
		var want []string
		for _, x := range m.rows() {
			low := cmp.Or(r.Min.Infinite, bytes.Compare(r.Min.Text, []byte(x.member)))
			high := cmp.Or(r.Max.Infinite, bytes.Compare(r.Max.Text, []byte(x.member)))
			if (low < 0 || low == 0 && !r.Min.Ex) && (high > 0 || high == 0 && !r.Max.Ex) {
				want = append(want, x.member)
			}
		}
		var got []string
		lo, hi := z.LexSpan(r)
		for member := range z.Ascend(lo, hi) {
			got = append(got, string(member))
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%+v: got %q, want %q", r, got, want)
		}
	})
}

func TestHighTree(t *testing.T) {
	t.Parallel()
	const n = 30_000
	r := rand.New(rand.NewPCG(3, 4))
	z, m := New(1), model{}
	lim := Limits{}
	for i := range n {
		member, score := fmt.Sprintf("member:%d", i), float64(r.IntN(n/4))
		z.Add([]byte(member), score, lim)
		m[member] = score
	}
	check(t, z, m)
	old, oldRows := z, m.rows()
	z = z.Clone(2).(*ZSet)
	for i := range n {
		member := fmt.Sprintf("member:%d", i)
		switch r.IntN(3) {
		case 0:
			z.Remove([]byte(member))
			delete(m, member)
		case 1:
			score := float64(r.IntN(n / 4))
			z.Add([]byte(member), score, lim)
			m[member] = score
		}
	}
	check(t, z, m)
	for z.Len() > 0 {
		lo := r.IntN(z.Len())
		hi := lo + r.IntN(min(z.Len()-lo, 9000)) + 1
		for _, x := range m.rows()[lo:hi] {
			delete(m, x.member)
		}
		z.RemoveSpan(lo, hi)
		if len(m)%3 == 0 || z.Len() < 100 {
			check(t, z, m)
		}
		z.tree.validate(t)
	}
	if z.tree.root != nil || z.tree.leaves != 0 || z.tree.inner != 0 || z.dict.Len() != 0 {
		t.Fatalf("what is empty holds %+v", z.tree)
	}
	if !slices.Equal(rowsOf(old), oldRows) {
		t.Fatal("the clone's changes show in the original")
	}
}

func TestListpackBytes(t *testing.T) {
	t.Parallel()
	z, lim := New(1), Limits{128, 64}
	for _, x := range []row{{"b", 2}, {"a", 0.1}, {"42", math.Inf(-1)}, {"z", math.Copysign(0, -1)}, {"big", 1e20}} {
		z.Add([]byte(x.member), x.score, lim)
	}
	p := listpack.New().AppendInt(42).Append([]byte("-inf")).Append([]byte("z")).AppendInt(0).
		Append([]byte("a")).Append([]byte("0.10000000000000001")).Append([]byte("b")).AppendInt(2).
		Append([]byte("big")).Append([]byte("1e+20"))
	if !bytes.Equal(z.Listpack(), p) {
		t.Fatalf("got %q, want %q", z.Listpack(), p)
	}
	again, err := FromListpack(2, p.Clone(), lim)
	if err != nil || !slices.Equal(rowsOf(again), rowsOf(z)) {
		t.Fatalf("got %v %v, want %v", rowsOf(again), err, rowsOf(z))
	}
	large, err := FromListpack(2, p.Clone(), Limits{4, 64})
	if err != nil || large.Listpack() != nil || !slices.Equal(rowsOf(large), rowsOf(z)) {
		t.Fatalf("got %v %v, want %v", large, err, rowsOf(z))
	}
	for _, bad := range []listpack.Pack{
		listpack.New().AppendInt(1),
		listpack.New().AppendInt(1).Append([]byte("x")),
		listpack.New().AppendInt(1).Append([]byte("nan")),
		listpack.New().AppendInt(1).AppendInt(2).AppendInt(2).AppendInt(1),
	} {
		if _, err := FromListpack(1, bad, lim); err == nil {
			t.Fatalf("%q passes for a sorted set", bad)
		}
	}
}

func TestThresholds(t *testing.T) {
	t.Parallel()
	z, lim := New(1), Limits{3, 5}
	for i := range 3 {
		z.Add(fmt.Appendf(nil, "m%d", i), 1, lim)
	}
	z.Add([]byte("m1"), 7, lim)
	if z.Encoding() != "listpack" {
		t.Fatal("three members are too many")
	}
	z.Add([]byte("m3"), 1, lim)
	if z.Encoding() != "skiplist" || z.Listpack() != nil {
		t.Fatal("four members are not too many")
	}
	check(t, z, model{"m0": 1, "m1": 7, "m2": 1, "m3": 1})
	z = New(1)
	z.Add([]byte("12345"), 1, lim)
	if z.Encoding() != "listpack" {
		t.Fatal("five bytes are too long")
	}
	z.Add([]byte("123456"), 1, lim)
	if z.Encoding() != "skiplist" {
		t.Fatal("six bytes are not too long")
	}
}

func TestScan(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 3, 128, 5000} {
		z, m, seen := New(1), model{}, model{}
		for i := range n {
			member := fmt.Sprintf("m%d", i)
			z.Add([]byte(member), float64(i), Limits{128, 64})
			m[member] = float64(i)
		}
		for cursor, steps := uint64(0), 0; ; steps++ {
			cursor = z.Scan(cursor, func(member []byte, score float64) { seen[string(member)] = score })
			if cursor == 0 {
				break
			}
		}
		if !maps.Equal(seen, m) {
			t.Fatalf("scan of %d has seen %d", n, len(seen))
		}
	}
}
