package tries

import "github.com/zmsg/zmsg/kv/internal/engine"

// Type implements engine.Value.
func (*Trie) Type() engine.Type { return engine.TypeTrie }

// Encoding implements engine.Value.
func (*Trie) Encoding() string { return "radix" }

// Bytes implements engine.Value: about how much memory the fields and values hold.
func (t *Trie) Bytes() int { return t.bytes }

// Stamp implements engine.Value.
func (t *Trie) Stamp() uint32 { return t.stamp }

// Clone implements engine.Value: it copies the pointer to the root, and later each node before it is
// changed.
func (t *Trie) Clone(stamp uint32) engine.Value { return t.clone(stamp) }

func (t *Trie) clone(stamp uint32) *Trie {
	c := *t
	c.stamp = stamp
	return &c
}
