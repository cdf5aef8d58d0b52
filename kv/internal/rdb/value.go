package rdb

import (
	"fmt"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/hashes"
	"github.com/zmsg/zmsg/kv/internal/lists"
	"github.com/zmsg/zmsg/kv/internal/sets"
	"github.com/zmsg/zmsg/kv/internal/streams"
	"github.com/zmsg/zmsg/kv/internal/table"
	"github.com/zmsg/zmsg/kv/internal/tries"
	"github.com/zmsg/zmsg/kv/internal/zsets"
)

// valueOf returns what is under an entry: a []byte or an engine.Value.
func valueOf(en *table.Entry) any {
	if s, ok := engine.StringOf(en); ok {
		return s
	}
	return en.Box().Val
}

// typeOf returns the type as which a value is written.
func (s *sink) typeOf(value any) byte {
	switch v := value.(type) {
	case []byte:
		return typeString
	case *lists.List:
		return typeListQuicklist2
	case *sets.Set:
		return either(v.Intset() != nil, typeSetIntset, typeSet)
	case *hashes.Hash:
		return either(v.Listpack() != nil, typeHashListpack, typeHash)
	case *zsets.ZSet:
		return either(v.Listpack() != nil, typeZSetListpack, typeZSet2)
	case *streams.Stream:
		return typeStream2
	case *tries.Trie:
		return typeHash
	}
	s.err = fmt.Errorf("rdb: a %T cannot be written", value)
	return typeString
}

func either(small bool, a, b byte) byte {
	if small {
		return a
	}
	return b
}

// value writes a value, in the encoding of typeOf.
func (s *sink) value(value any) {
	switch v := value.(type) {
	case []byte:
		s.text(v)
	case *lists.List:
		s.list(v)
	case *sets.Set:
		s.set(v)
	case *hashes.Hash:
		s.hash(v)
	case *zsets.ZSet:
		s.zset(v)
	case *streams.Stream:
		s.stream(v)
	case *tries.Trie:
		s.trie(v)
	}
}
