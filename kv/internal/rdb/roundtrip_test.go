package rdb

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/hashes"
	"github.com/zmsg/zmsg/kv/internal/lists"
	"github.com/zmsg/zmsg/kv/internal/sets"
	"github.com/zmsg/zmsg/kv/internal/streams"
	"github.com/zmsg/zmsg/kv/internal/table"
	"github.com/zmsg/zmsg/kv/internal/tries"
	"github.com/zmsg/zmsg/kv/internal/zsets"
)

// everything is what an engine has, as text, by database and key.
func everything(e *engine.Engine) map[string]string {
	all := map[string]string{}
	for _, k := range e.Keyspaces() {
		for en := range k.Table().All() {
			all[fmt.Sprintf("%d/%s", k.Index(), en.Key())] = fmt.Sprintf("%s until %d: %s", engine.EncodingOf(en), en.Deadline(), textOf(en))
		}
	}
	return all
}

func textOf(en *table.Entry) string {
	if s, ok := engine.StringOf(en); ok {
		return fmt.Sprintf("%q", s)
	}
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	switch v := en.Box().Val.(type) {
	case *lists.List:
		for p, plain := range v.Nodes() {
			if p != nil {
				add("%q", elements(p))
			} else {
				add("%q", plain)
			}
		}
		return strings.Join(parts, ";")
	case *zsets.ZSet:
		for member, score := range v.All() {
			add("%q %x", member, math.Float64bits(score))
		}
		return strings.Join(parts, ";")
	case *sets.Set:
		for member := range v.All() {
			add("%q", member)
		}
	case *hashes.Hash:
		for field, value := range v.All() {
			add("%q=%q", field, value)
		}
	case *streams.Stream:
		return fmt.Sprintf("%q", EncodeValue(nil, en, false))
	case *tries.Trie:
		for field, value := range v.All() {
			add("%q:%q", field, value)
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, ";")
}

// anything draws a value of any type.
func anything(t *rapid.T, c *engine.Config, stamp uint32) engine.Value {
	element := rapid.OneOf(rapid.SampledFrom(corners()), rapid.StringN(0, 40, 40), rapid.Map(rapid.Int16(), func(v int16) string { return fmt.Sprint(v) }))
	members := rapid.SliceOfN(element, 1, 40).Draw(t, "members")
	many := rapid.SampledFrom([]int{0, 0, 0, 200, 700}).Draw(t, "many")
	for i := range many {
		members = append(members, fmt.Sprint(i*i))
	}
	switch rapid.IntRange(0, 5).Draw(t, "type") {
	case 0:
		v := lists.New(stamp, c.ListMaxListpackSize)
		for _, m := range members {
			v.PushBack([]byte(m))
		}
		return v
	case 1:
		v := sets.New(stamp)
		for _, m := range members {
			v.Add([]byte(m), sets.LimitOf(c))
		}
		return v
	case 2:
		v := hashes.New(stamp)
		for i, m := range members {
			v.Set([]byte(m), []byte(members[i/2]), hashes.LimitsOf(c))
		}
		return v
	case 3:
		v := zsets.New(stamp)
		for i, m := range members {
			v.Add([]byte(m), math.Sqrt(float64(i/3))-4, zsets.LimitsOf(c))
		}
		return v
	case 4:
		return anyStream(t, stamp, members)
	default:
		v := tries.New(stamp)
		for i, m := range members {
			v.Put([]byte(m), []byte(members[i/2]))
		}
		return v
	}
}

// anyStream draws a stream that has members as values.
func anyStream(t *rapid.T, stamp uint32, members []string) engine.Value {
	s := streams.New(stamp)
	limits := streams.Limits{Bytes: 4096, Entries: rapid.IntRange(1, 100).Draw(t, "entries")}
	for i, m := range members {
		s.Append(streams.ID{Ms: uint64(i / 2), Seq: uint64(i + 1)}, [][]byte{[]byte(members[i/9]), []byte(m)}, limits)
	}
	for i := range members {
		if rapid.IntRange(0, 4).Draw(t, "delete") == 0 {
			s.Delete(streams.ID{Ms: uint64(i / 2), Seq: uint64(i + 1)})
		}
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "groups") {
		g := s.CreateGroup(fmt.Append(nil, i), streams.ID{Ms: uint64(i)}, int64(i)-1)
		for j := range rapid.IntRange(0, 3).Draw(t, "consumers") {
			c := s.CreateConsumer(g, fmt.Append(nil, j), int64(j))
			for k := range rapid.IntRange(0, 3).Draw(t, "pending") {
				id := streams.ID{Ms: uint64(j), Seq: uint64(k)}
				if err := errors.Join(s.AddPending(g, streams.Pending{ID: id, Time: int64(k), Count: uint64(j)}), s.Own(g, c, id)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return s
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := engine.New(engine.Defaults())
		for i := range rapid.IntRange(0, 10).Draw(t, "keys") {
			k := e.Keyspace(rapid.IntRange(0, 15).Draw(t, "db"))
			key := fmt.Appendf(nil, "%s %d", rapid.String().Draw(t, "key"), i)
			deadline := rapid.SampledFrom([]int64{0, 0, 1, 1 << 41, math.MaxInt64}).Draw(t, "deadline")
			if rapid.IntRange(0, 3).Draw(t, "sort") == 0 {
				k.SetString(key, []byte(rapid.SampledFrom(corners()).Draw(t, "string")), deadline)
			} else {
				k.SetValue(key, anything(t, e.Config(), k.Stamp()), deadline)
			}
		}
		want := everything(e)
		e.Lock()
		snap := e.Snapshot()
		e.Unlock()
		var file bytes.Buffer
		if _, err := Write(&file, snap, WriteOptions{Compress: rapid.Bool().Draw(t, "compress"), Checksum: rapid.Bool().Draw(t, "sums")}); err != nil {
			t.Fatal(err)
		}
		back := engine.New(engine.Defaults())
		if _, err := Read(&file, ReadOptions{Stamp: back.Keyspace(0).Stamp()}, func(i *Item) error { put(back, i); return nil }); err != nil {
			t.Fatal(err)
		}
		if got := everything(back); !maps.Equal(got, want) {
			t.Fatalf("got %.3000q, want %.3000q", got, want)
		}
	})
}

// A snapshot is written without the lock while everything it shares is changed.
func TestSnapshotIsOfOneMoment(t *testing.T) {
	t.Parallel()
	e := engine.New(engine.Defaults())
	k, c := e.Keyspace(0), e.Config()
	list, set, hash := lists.New(k.Stamp(), c.ListMaxListpackSize), sets.New(k.Stamp()), hashes.New(k.Stamp())
	zset, trie, stream := zsets.New(k.Stamp()), tries.New(k.Stamp()), streams.New(k.Stamp())
	limits := streams.Limits{Entries: 20}
	stream.CreateConsumer(stream.CreateGroup([]byte("group"), streams.ID{}, 0), []byte("consumer"), 0)
	change := func(i int, v string) {
		m := []byte(element(i))
		list.PushBack([]byte(v))
		set.Add(m, sets.LimitOf(c))
		hash.Set(m, []byte(v), hashes.LimitsOf(c))
		zset.Add(m, float64(len(v)*i), zsets.LimitsOf(c))
		trie.Put(m, []byte(v))
		k.SetString(m, []byte(v), 0)
		last := stream.Meta().Last
		stream.Append(streams.ID{Ms: last.Ms + 1}, [][]byte{m, []byte(v)}, limits)
		if g := stream.EditGroup([]byte("group")); g.ConsumerCount() < 5000 {
			c := stream.CreateConsumer(g, fmt.Append(nil, last.Ms), 0)
			_ = stream.AddPending(g, streams.Pending{ID: last, Count: uint64(i)})
			_ = stream.Own(g, c, last)
		}
	}
	for i := range 2000 {
		change(i, "before")
	}
	for name, v := range map[string]engine.Value{"list": list, "set": set, "hash": hash, "zset": zset, "trie": trie, "stream": stream} {
		k.SetValue([]byte(name), v, 0)
	}
	want := everything(e)
	e.Lock()
	snap := e.Snapshot()
	e.Unlock()
	var file bytes.Buffer
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err = Write(&file, snap, WriteOptions{Compress: true})
	}()
	for round := 0; ; round++ {
		e.Lock()
		list, set = write[*lists.List](k, "list"), write[*sets.Set](k, "set")
		hash, zset, trie = write[*hashes.Hash](k, "hash"), write[*zsets.ZSet](k, "zset"), write[*tries.Trie](k, "trie")
		stream = write[*streams.Stream](k, "stream")
		for i := range 100 {
			change((round*100+i)*7%3000, fmt.Sprint("after ", round))
			set.Remove([]byte(element(i + round)))
			list.Delete(round%list.Len(), 1)
			stream.Delete(streams.ID{Ms: uint64(round + i*20)})
			zset.Remove([]byte(element(i * round)))
		}
		e.Unlock()
		select {
		case <-done:
			back := loaded(t, file.Bytes())
			if got := everything(back); err != nil || !maps.Equal(got, want) {
				t.Errorf("the snapshot changed: %v", err)
			}
			return
		default:
		}
	}
}

func write[T engine.Value](k *engine.Keyspace, key string) T {
	return k.Write([]byte(key)).Box().Val.(T)
}
