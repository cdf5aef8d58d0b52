package streams

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/zmsg/zmsg/kv/internal/listpack"
)

// entry is an entry of the model.
type entry struct {
	id     ID
	fields string
}

// entries reads a stream's entries.
func entries(s *Stream, from, to ID, back bool) []entry {
	list := []entry{}
	for w := s.walk(from, to, back); w.next(); {
		e := entry{id: w.id}
		w.each(func(p listpack.Pack, name, value int) {
			e.fields += string(p.AppendValue(nil, name)) + "=" + string(p.AppendValue(nil, value)) + " "
		})
		list = append(list, e)
	}
	return list
}

// model is a stream as a list, with the place from which its nodes are known not to be trimmed.
type model struct {
	list []entry
	meta Meta
}

func (m *model) clone() *model { return &model{slices.Clone(m.list), m.meta} }

func drawFields(t *rapid.T) (fields [][]byte, text string) {
	names := rapid.SampledFrom([][]string{{"a"}, {"a"}, {"a", "b"}, {"1", "a"}}).Draw(t, "names")
	for _, name := range names {
		value := rapid.SampledFrom([]string{"", "x", "17", "-4", "123456789012", "0017"}).Draw(t, "value")
		fields = append(fields, []byte(name), []byte(value))
		text += name + "=" + value + " "
	}
	return fields, text
}

func (m *model) step(t *rapid.T, s *Stream, limits Limits) {
	id := ID{uint64(rapid.IntRange(0, 40).Draw(t, "ms")), uint64(rapid.IntRange(0, 3).Draw(t, "seq"))}
	switch rapid.SampledFrom([]string{"append", "append", "append", "append", "delete", "length", "id"}).Draw(t, "op") {
	case "append":
		if !m.meta.Last.less(id) {
			id = ID{m.meta.Last.Ms + uint64(rapid.IntRange(0, 1).Draw(t, "later")), m.meta.Last.Seq + 1}
		}
		fields, text := drawFields(t)
		s.Append(id, fields, limits)
		m.list = append(m.list, entry{id, text})
		m.meta.Last = id
		m.meta.EntriesAdded++
	case "delete":
		i := slices.IndexFunc(m.list, func(e entry) bool { return e.id == id })
		if s.Delete(id) != (i >= 0) {
			t.Fatalf("deleting %s, which is at %d", id, i)
		}
		if i >= 0 {
			m.list = slices.Delete(m.list, i, i+1)
			if m.meta.MaxDeleted.less(id) {
				m.meta.MaxDeleted = id
			}
		}
	case "length":
		most := rapid.IntRange(0, 30).Draw(t, "most")
		keep := min(most, len(m.list))
		if got := s.Trim(Trim{MaxLen: uint64(most)}); got != int64(len(m.list)-keep) {
			t.Fatalf("trimmed %d", got)
		}
		m.list = m.list[len(m.list)-keep:]
	case "id":
		had := len(m.list)
		m.list = slices.DeleteFunc(m.list, func(e entry) bool { return e.id.less(id) })
		if got := s.Trim(Trim{ByID: true, MinID: id}); got != int64(had-len(m.list)) {
			t.Fatalf("trimmed %d", got)
		}
	}
	m.meta.Length, m.meta.First = uint64(len(m.list)), ID{}
	if len(m.list) > 0 {
		m.meta.First = m.list[0].id
	}
}

func (m *model) check(t *rapid.T, s *Stream) {
	if s.Meta() != m.meta {
		t.Fatalf("%+v\nwant %+v", s.Meta(), m.meta)
	}
	all := entries(s, ID{}, maxID, false)
	if !slices.Equal(all, m.list) {
		t.Fatalf("%v\nwant %v", all, m.list)
	}
	from := ID{Ms: uint64(rapid.IntRange(0, 40).Draw(t, "from"))}
	to := ID{from.Ms + uint64(rapid.IntRange(0, 10).Draw(t, "width")), 2}
	some := slices.DeleteFunc(slices.Clone(m.list), func(e entry) bool { return e.id.less(from) || to.less(e.id) })
	if got := entries(s, from, to, false); !slices.Equal(got, some) {
		t.Fatalf("from %s to %s: %v\nwant %v", from, to, got, some)
	}
	slices.Reverse(some)
	if got := entries(s, from, to, true); !slices.Equal(got, some) {
		t.Fatalf("back from %s to %s: %v\nwant %v", to, from, got, some)
	}
	bytes, nodes := 0, 0
	for _, b := range s.blocks {
		for _, n := range b.nodes {
			bytes += nodeSize + cap(n.pack)
			nodes++
			if _, err := listpack.Check(n.pack); err != nil {
				t.Fatal(err)
			}
		}
	}
	if bytes != s.bytes || nodes != s.nodes {
		t.Fatalf("%d bytes in %d nodes, counted %d in %d", bytes, nodes, s.bytes, s.nodes)
	}
}

func TestStreamIsAListOfEntries(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{Bytes: rapid.SampledFrom([]int{0, 60, 4096}).Draw(t, "bytes"), Entries: rapid.IntRange(0, 6).Draw(t, "entries")}
		s, m := New(1), &model{}
		type pair struct {
			s *Stream
			m *model
		}
		var old []pair
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if rapid.IntRange(0, 9).Draw(t, "clone") == 0 {
				old = append(old, pair{s, m})
				s, m = s.Clone(s.stamp+1).(*Stream), m.clone()
			}
			m.step(t, s, limits)
			m.check(t, s)
		}
		for _, p := range old {
			if got := entries(p.s, ID{}, maxID, false); !slices.Equal(got, p.m.list) {
				t.Fatalf("a snapshot has changed to %v, from %v", got, p.m.list)
			}
		}
	})
}

// group is a group of the model.
type group struct {
	pending   map[ID]Pending
	owner     map[ID]string
	consumers map[string]bool
}

func (m *group) clone() *group {
	return &group{maps.Clone(m.pending), maps.Clone(m.owner), maps.Clone(m.consumers)}
}

// describe tells all about the model, in the words of describeGroup.
func (m *group) describe() string {
	var text strings.Builder
	ids := slices.SortedFunc(maps.Keys(m.pending), ID.Compare)
	for _, id := range ids {
		fmt.Fprint(&text, id, m.pending[id].Time, m.pending[id].Count, m.owner[id], "; ")
	}
	for _, name := range slices.Sorted(maps.Keys(m.consumers)) {
		text.WriteString(name + ": ")
		for _, id := range ids {
			if m.owner[id] == name {
				text.WriteString(id.String() + " ")
			}
		}
	}
	return text.String()
}

func describeGroup(g *Group) string {
	var text strings.Builder
	n := 0
	for p := range g.Pending(ID{}) {
		fmt.Fprint(&text, p.ID, p.Time, p.Count, g.Owner(p).Name(), "; ")
		n++
	}
	if n != g.PendingCount() {
		fmt.Fprintf(&text, "counted %d", g.PendingCount())
	}
	for c := range g.Consumers() {
		text.WriteString(c.Name() + ": ")
		n := 0
		for id := range c.Pending(ID{}) {
			text.WriteString(id.String() + " ")
			n++
		}
		if n != c.PendingCount() {
			fmt.Fprintf(&text, "counted %d", c.PendingCount())
		}
	}
	return text.String()
}

func (m *group) step(t *rapid.T, s *Stream) {
	g := s.EditGroup([]byte("g"))
	id := ID{Ms: uint64(rapid.IntRange(0, 2000).Draw(t, "id"))}
	name := rapid.SampledFrom([]string{"", "a", "ab", "b", "c"}).Draw(t, "name")
	switch rapid.SampledFrom([]string{"assign", "assign", "many", "fewer", "acknowledge", "leave"}).Draw(t, "op") {
	case "assign":
		m.assign(s, g, id, name)
	case "many":
		for i := range uint64(300) {
			m.assign(s, g, ID{id.Ms + i, 1}, name)
		}
	case "fewer":
		for i := range uint64(300) {
			m.acknowledge(t, s, g, ID{id.Ms + i, 1})
		}
	case "acknowledge":
		m.acknowledge(t, s, g, id)
	case "leave":
		n := 0
		for id, owner := range m.owner {
			if owner == name {
				n++
				delete(m.pending, id)
				delete(m.owner, id)
			}
		}
		got, found := s.deleteConsumer(g, []byte(name))
		if found != m.consumers[name] || got != n {
			t.Fatalf("%q leaves %d entries, %t", name, got, found)
		}
		delete(m.consumers, name)
	}
}

func (m *group) assign(s *Stream, g *Group, id ID, name string) {
	c := g.editConsumer([]byte(name))
	if c == nil {
		c = s.CreateConsumer(g, []byte(name), 5)
	}
	p := Pending{ID: id, Time: int64(len(m.pending)), Count: id.Ms}
	s.assign(g, c, p)
	m.consumers[name], m.pending[id], m.owner[id] = true, p, name
}

func (m *group) acknowledge(t *rapid.T, s *Stream, g *Group, id ID) {
	_, had := m.pending[id]
	if s.acknowledge(g, id) != had {
		t.Fatalf("acknowledging %s", id)
	}
	delete(m.pending, id)
	delete(m.owner, id)
}

func TestGroupKnowsWhatIsPending(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := New(1)
		empty := s.Bytes()
		s.CreateGroup([]byte("g"), ID{}, 0)
		m := &group{map[ID]Pending{}, map[ID]string{}, map[string]bool{}}
		old := map[*Stream]string{}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			if rapid.IntRange(0, 5).Draw(t, "clone") == 0 {
				old[s] = m.describe()
				s, m = s.Clone(s.stamp+1).(*Stream), m.clone()
			}
			m.step(t, s)
		}
		old[s] = m.describe()
		for s, want := range old {
			if got := describeGroup(s.Group([]byte("g"))); got != want {
				t.Fatalf("the group, or a snapshot of it, has %s\nwant %s", got, want)
			}
		}
		if !s.destroyGroup([]byte("g")) || s.destroyGroup([]byte("g")) || s.Bytes() != empty {
			t.Fatalf("without its group the stream takes %d bytes, not %d", s.Bytes(), empty)
		}
	})
}

func TestRadixNodesAreCounted(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SampledFrom([]uint64{0, 1, 2, 255, 256, 257, 1 << 16, 1<<16 + 1, 1 << 40, 1 << 63, maxID.Ms})
		keys := map[ID]bool{}
		for range rapid.IntRange(0, 30).Draw(t, "keys") {
			keys[ID{parts.Draw(t, "ms"), parts.Draw(t, "seq")}] = true
		}
		s := New(1)
		var texts []string
		for _, id := range slices.SortedFunc(maps.Keys(keys), ID.Compare) {
			if err := s.AddNode(id, listpack.New()); err != nil {
				t.Fatal(err)
			}
			text := ""
			for i := range 16 {
				text += string([]byte{byteOf(id, i)})
			}
			texts = append(texts, text)
		}
		want := 1
		if len(texts) > 0 {
			want = radix(texts)
		}
		if got := s.radixNodes(); got != want {
			t.Fatalf("%d nodes, want %d", got, want)
		}
	})
}

// radix counts the nodes of a radix tree of sorted keys of the same length.
func radix(keys []string) int {
	if keys[0] == "" {
		return 1
	}
	n := 0
	for ; keys[0] != "" && keys[0][0] == keys[len(keys)-1][0]; n++ {
		rest := make([]string, len(keys))
		for i, k := range keys {
			rest[i] = k[1:]
		}
		keys = rest
	}
	if n > 0 {
		return 1 + radix(keys)
	}
	total := 1
	for from := 0; from < len(keys); {
		to := from
		var rest []string
		for ; to < len(keys) && keys[to][0] == keys[from][0]; to++ {
			rest = append(rest, keys[to][1:])
		}
		total += radix(rest)
		from = to
	}
	return total
}

func TestNodesThatDoNotFit(t *testing.T) {
	t.Parallel()
	s := New(1)
	if s.AddNode(ID{5, 1}, listpack.New()) != nil || s.AddNode(ID{5, 1}, listpack.New()) == nil || s.AddNode(ID{4, 9}, listpack.New()) == nil {
		t.Error("nodes must rise")
	}
	g := s.CreateGroup([]byte("g"), ID{}, 0)
	a, b := s.CreateConsumer(g, []byte("a"), 0), s.CreateConsumer(g, []byte("b"), 0)
	if s.AddPending(g, Pending{ID: ID{1, 1}}) != nil || s.AddPending(g, Pending{ID: ID{1, 1}}) == nil || g.CheckOwners() == nil {
		t.Error("what is pending is so once, and somebody's")
	}
	if s.Own(g, a, ID{1, 1}) != nil || s.Own(g, b, ID{1, 1}) == nil || s.Own(g, b, ID{1, 2}) == nil || g.CheckOwners() != nil {
		t.Error("an owner has what is pending, alone")
	}
}
