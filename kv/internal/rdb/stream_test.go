package rdb

import (
	"bytes"
	"errors"
	"testing"

	"github.com/zmsg/zmsg/kv/internal/listpack"
	"github.com/zmsg/zmsg/kv/internal/streams"
)

// someStream is a stream of several nodes with two groups.
func someStream(t *testing.T) *streams.Stream {
	t.Helper()
	s := streams.New(0)
	for i := range uint64(10) {
		s.Append(streams.ID{Ms: 5 + i/4, Seq: i}, [][]byte{[]byte("field"), []byte(random(int(i) * 9))}, streams.Limits{Entries: 4})
	}
	s.Delete(streams.ID{Ms: 5, Seq: 1})
	g := s.CreateGroup([]byte("group"), streams.ID{Ms: 6, Seq: 5}, 6)
	for i, name := range []string{"a", "b"} {
		c := s.CreateConsumer(g, []byte(name), 1<<40)
		for j := range uint64(2) {
			id := streams.ID{Ms: 5, Seq: uint64(i)*2 + j}
			if err := errors.Join(s.AddPending(g, streams.Pending{ID: id, Time: 1 << 40, Count: 3}), s.Own(g, c, id)); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.CreateGroup([]byte("nobody"), streams.ID{}, streams.UnknownRead)
	return s
}

// olderStream writes a stream as Redis 5 to 6.2 did (15) or as 7.2 does (21).
func olderStream(s *sink, v *streams.Stream, kind byte) {
	s.length(uint64(v.NodeCount()))
	for id, p := range v.Nodes() {
		s.text(appendID(nil, id))
		s.text(p)
	}
	m := v.Meta()
	s.length(m.Length)
	s.id(m.Last)
	if kind == typeStream3 {
		s.id(m.First)
		s.id(m.MaxDeleted)
		s.length(m.EntriesAdded)
	}
	s.length(uint64(len(v.Groups())))
	for _, g := range v.Groups() {
		s.text([]byte(g.Name()))
		s.id(g.Last())
		if kind == typeStream3 {
			s.length(uint64(g.EntriesRead()))
		}
		s.length(uint64(g.PendingCount()))
		for p := range g.Pending(streams.ID{}) {
			s.rawID(p.ID)
			s.uint64(uint64(p.Time))
			s.length(p.Count)
		}
		s.length(uint64(g.ConsumerCount()))
		for c := range g.Consumers() {
			s.text([]byte(c.Name()))
			s.uint64(uint64(c.Seen()))
			if kind == typeStream3 {
				s.uint64(uint64(c.Seen()))
			}
			s.length(uint64(c.PendingCount()))
			for id := range c.Pending(streams.ID{}) {
				s.rawID(id)
			}
		}
	}
}

func TestStreamsOfOtherVersions(t *testing.T) {
	t.Parallel()
	s := someStream(t)
	now := EncodeValue(nil, entryOf(nil, s), false)
	newer := payload(typeStream3, func(w *sink) { olderStream(w, s, typeStream3) })
	_, v, err := DecodeValue(newer, ReadOptions{})
	if err != nil || !bytes.Equal(EncodeValue(nil, entryOf(nil, v), false), now) {
		t.Errorf("of 7.2: %v", err)
	}
	old := payload(typeStreamListpacks, func(w *sink) { olderStream(w, s, typeStreamListpacks) })
	if _, v, err = DecodeValue(old, ReadOptions{}); err != nil {
		t.Fatal(err)
	}
	c := realServer(t, nil)
	do(t, c, "RESTORE", "theirs", 0, old)
	do(t, c, "RESTORE", "ours", 0, EncodeValue(nil, entryOf(nil, v), true))
	if got, want := contents(t, c, "ours"), contents(t, c, "theirs"); got != want {
		t.Errorf("of 6.2: got %s, want %s", got, want)
	}
	do(t, c, "RESTORE", "now", 0, now)
	if n := do(t, c, "XLEN", "now"); n != int64(9) {
		t.Errorf("%d entries", n)
	}
}

func TestPartsThatMakeNoStreamAreRefused(t *testing.T) {
	t.Parallel()
	node := func(numbers ...int64) listpack.Pack {
		p := listpack.New()
		for _, n := range numbers {
			p = p.AppendInt(n)
		}
		return p
	}
	good := node(1, 0, 1, 77, 0, 2, 0, 0, 88, 4)
	encode := func(length uint64, pel, consumers int, packs ...listpack.Pack) []byte {
		return payload(typeStream2, func(s *sink) {
			s.length(uint64(len(packs)))
			for i, p := range packs {
				s.text(appendID(nil, streams.ID{Ms: 5 - uint64(i)}))
				s.text(p)
			}
			for _, n := range []uint64{length, 5, 0, 5, 0, 0, 0, 1, 1} {
				s.length(n)
			}
			s.text([]byte("group"))
			for _, n := range []uint64{5, 0, 1, uint64(pel)} {
				s.length(n)
			}
			for range pel {
				s.rawID(streams.ID{Ms: 5})
				s.uint64(0)
				s.length(1)
			}
			s.length(uint64(consumers))
			for i := range consumers {
				s.text([]byte{'a' + byte(i)})
				s.uint64(0)
				s.length(1)
				s.rawID(streams.ID{Ms: 5})
			}
		})
	}
	if _, _, err := DecodeValue(encode(1, 1, 1, good), ReadOptions{}); err != nil {
		t.Fatal(err)
	}
	for what, p := range map[string][]byte{
		"another length":           encode(2, 1, 1, good),
		"pending twice":            encode(1, 2, 1, good),
		"pending and nobody's":     encode(1, 1, 0, good),
		"a consumer's, not known":  encode(1, 0, 1, good),
		"two consumers'":           encode(1, 1, 2, good),
		"nodes out of order":       encode(2, 1, 1, good, good),
		"an empty node":            encode(0, 1, 1, node()),
		"no end of the master":     encode(1, 1, 1, node(1, 0, 1, 77)),
		"a master without a zero":  encode(1, 1, 1, node(1, 0, 1, 77, 1, 2, 0, 0, 88, 4)),
		"fewer entries":            encode(2, 1, 1, node(2, 0, 1, 77, 0, 2, 0, 0, 88, 4)),
		"more entries":             encode(1, 1, 1, node(1, 0, 1, 77, 0, 2, 0, 0, 88, 4, 2, 0, 1, 88, 4)),
		"fewer deleted":            encode(1, 1, 1, node(1, 1, 1, 77, 0, 2, 0, 0, 88, 4, 2, 0, 1, 88, 4)),
		"a wrong count":            encode(1, 1, 1, node(1, 0, 1, 77, 0, 2, 0, 0, 88, 5)),
		"a wrong count of its own": encode(1, 1, 1, node(1, 0, 1, 77, 0, 0, 0, 0, 1, 77, 88, 5)),
		"fields without end":       encode(1, 1, 1, node(1, 0, 1, 77, 0, 0, 0, 0, 1<<62, 77, 88, 4)),
		"fewer than no fields":     encode(1, 1, 1, node(1, 0, -1, 77, 0, 2, 0, 0, 88, 4)),
		"text for a number":        encode(1, 1, 1, node(1, 0, 1, 77, 0).Append([]byte("x")).AppendInt(0).AppendInt(0).AppendInt(88).AppendInt(4)),
	} {
		if _, _, err := DecodeValue(p, ReadOptions{}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
