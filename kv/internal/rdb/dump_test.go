package rdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/listpack"
	"github.com/zmsg/zmsg/kv/internal/tries"
)

// payload makes a DUMP payload of what encode writes.
func payload(kind byte, encode func(s *sink)) []byte {
	s := &sink{}
	s.byte(kind)
	encode(s)
	return signed(s.buf, 9)
}

// signed appends a version and the sum.
func signed(p []byte, version uint16) []byte {
	p = binary.LittleEndian.AppendUint16(p, version)
	return binary.LittleEndian.AppendUint64(p, sum(0, p))
}

// oldPayloads are values in the encodings of old and new versions that this package does not write; Redis 7.0
// reads all but those that begin with "new".
func oldPayloads() map[string][]byte {
	pairs := []string{"a", "1", "b", "-77", "c", "70000", "d", "5000000000", "e", random(70), "f", "text"}
	scores := []string{"x", "-3", "y", "0.5", "z", "12"}
	texts := func(list []string, n int) func(*sink) {
		return func(s *sink) {
			s.length(uint64(len(list) / n))
			for _, e := range list {
				s.text([]byte(e))
			}
		}
	}
	blob := func(b []byte) func(*sink) { return func(s *sink) { s.compress = true; s.text(b) } }
	members := listpack.New()
	for _, v := range pairs {
		members = members.Append([]byte(v))
	}
	return map[string][]byte{
		"list":           payload(typeList, texts(pairs, 1)),
		"list ziplist":   payload(typeListZiplist, blob(ziplist(pairs))),
		"list quicklist": payload(typeListQuicklist, texts([]string{string(ziplist(pairs)), string(ziplist(scores))}, 1)),
		"set":            payload(typeSet, texts(pairs, 1)),
		"hash":           payload(typeHash, texts(pairs, 2)),
		"hash zipmap":    payload(typeHashZipmap, blob(zipmap(pairs))),
		"hash ziplist":   payload(typeHashZiplist, blob(ziplist(pairs))),
		"zset ziplist":   payload(typeZSetZiplist, blob(ziplist(scores))),
		"zset": payload(typeZSet, func(s *sink) {
			s.length(3)
			s.raw([]byte("\x01a\x040.25\x01b\xfe\x01c\xff"))
		}),
		"new set listpack": payload(typeSetListpack, blob(members)),
	}
}

// A real server makes of an old payload what it makes of our copy of it.
func TestOldEncodingsAreRead(t *testing.T) {
	t.Parallel()
	c := realServer(t, nil)
	for name, p := range oldPayloads() {
		str, v, err := DecodeValue(p, ReadOptions{})
		if err != nil || str != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		do(t, c, "RESTORE", "ours", 0, EncodeValue(nil, entryOf(str, v), true), "REPLACE")
		if strings.HasPrefix(name, "new") {
			if n := do(t, c, "SCARD", "ours"); n != int64(12) {
				t.Errorf("%s: %d members", name, n)
			}
			continue
		}
		do(t, c, "RESTORE", "theirs", 0, p, "REPLACE")
		if got, want := contents(t, c, "ours"), contents(t, c, "theirs"); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
		if got, want := v.Encoding(), do(t, c, "OBJECT", "ENCODING", "theirs"); got != want {
			t.Errorf("%s is a %s and should be a %s", name, got, want)
		}
	}
}

// What a real server dumps is restored, dumped, and restored there as the same.
func TestPayloadsGoBothWays(t *testing.T) {
	t.Parallel()
	c := realServer(t, nil)
	fill(t, c)
	keys, _ := do(t, c, "KEYS", "*").([]any)
	for _, key := range keys {
		str, v, err := DecodeValue([]byte(do(t, c, "DUMP", key).(string)), ReadOptions{})
		if err != nil {
			t.Fatalf("%q: %v", key, err)
		}
		do(t, c, "RESTORE", "ours", 0, EncodeValue(nil, entryOf(str, v), len(key.(string))%2 == 0), "REPLACE")
		if got, want := contents(t, c, "ours"), contents(t, c, key.(string)); got != want {
			t.Errorf("%q: got %.1000s, want %.1000s", key, got, want)
		}
		do(t, c, "DEL", "ours")
	}
}

func TestPayloadOfATrieIsAHashToRedis(t *testing.T) {
	t.Parallel()
	c := realServer(t, nil)
	trie := tries.New(0)
	trie.Put([]byte("app"), []byte("1"))
	trie.Put([]byte("apple"), trieMark)
	p := EncodeValue([]byte("before"), entryOf(nil, trie), false)[len("before"):]
	do(t, c, "RESTORE", "trie", 0, p)
	want := fmt.Sprintf("%q", []string{fmt.Sprintf("%q", []any{"app", "1"}), fmt.Sprintf("%q", []any{"apple", string(trieMark)})})
	if got := contents(t, c, "trie"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	_, v, err := DecodeValue(p, ReadOptions{})
	if back, ok := v.(*tries.Trie); !ok || back.Len() != 2 {
		t.Fatalf("%T, %v", v, err)
	}
	// A hash whose last value ends like the payload of a trie is a hash.
	_, v, err = DecodeValue(payload(typeHash, func(s *sink) {
		s.length(1)
		s.text([]byte("field"))
		s.text(trieMark)
	}), ReadOptions{})
	if err != nil || v.Type() != engine.TypeHash {
		t.Errorf("%T, %v", v, err)
	}
}

func TestBadPayloadsAreRefused(t *testing.T) {
	t.Parallel()
	good := payload(typeString, func(s *sink) { s.text([]byte("text")) })
	flipped := slices.Clone(good)
	flipped[2] ^= 1
	empty := payload(typeList, func(s *sink) { s.length(0) })
	for what, c := range map[string]struct {
		p    []byte
		want error
	}{
		"nothing":       {nil, ErrPayload},
		"too short":     {good[:9], ErrPayload},
		"a flipped bit": {flipped, ErrPayload},
		"the future":    {signed([]byte("\x00\x01a"), readable+1), ErrPayload},
		"no such type":  {signed([]byte("\x08\x01a"), 9), ErrCorrupt},
		"cut":           {signed([]byte("\x00\x05a"), 9), io.ErrUnexpectedEOF},
		"no elements":   {empty, ErrCorrupt},
		"no score": {payload(typeZSet2, func(s *sink) {
			s.length(1)
			s.text([]byte("a"))
			s.float(math.NaN())
		}), ErrCorrupt},
		"two alike": {payload(typeHashZiplist, func(s *sink) { s.text(ziplist([]string{"a", "1", "a", "2"})) }), ErrCorrupt},
		"a half":    {payload(typeHashZiplist, func(s *sink) { s.text(ziplist([]string{"a", "1", "b"})) }), ErrCorrupt},
		"no order":  {payload(typeZSetZiplist, func(s *sink) { s.text(ziplist([]string{"a", "2", "b", "1"})) }), ErrCorrupt},
	} {
		if _, _, err := DecodeValue(c.p, ReadOptions{}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if str, _, err := DecodeValue(good, ReadOptions{}); err != nil || !bytes.Equal(str, []byte("text")) {
		t.Errorf("%q, %v", str, err)
	}
}
