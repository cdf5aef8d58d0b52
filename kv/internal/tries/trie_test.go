package tries

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// contents reads a trie through All.
func contents(tr *Trie) map[string]string {
	m := make(map[string]string)
	for f, v := range tr.All() {
		m[string(f)] = v
	}
	return m
}

// check compares a trie with its model and looks at its shape.
func check(t *rapid.T, tr *Trie, model map[string]string) {
	t.Helper()
	if tr.Len() != len(model) {
		t.Fatalf("%d fields, not %d", tr.Len(), len(model))
	}
	if got := contents(tr); !maps.Equal(got, model) {
		t.Fatalf("%q, not %q", got, model)
	}
	size := New(1).bytes - New(1).root.size()
	var shape func(n *node, root bool)
	shape = func(n *node, root bool) {
		size += n.size()
		kids := 0
		if n.kids != nil {
			kids = len(n.kids.nodes)
			if kids == 0 || kids != len(n.kids.labels) || !slices.IsSorted(n.kids.labels) {
				t.Fatalf("a branch with labels %q of %d children", n.kids.labels, kids)
			}
			for i, k := range n.kids.nodes {
				if k.prefix[0] != n.kids.labels[i] {
					t.Fatalf("label %q of %q", n.kids.labels[i], k.prefix)
				}
				shape(k, false)
			}
		}
		if !root && !n.has && kids < 2 {
			t.Fatalf("a node %q without a value has %d children", n.prefix, kids)
		}
	}
	shape(tr.root, true)
	if size != tr.bytes {
		t.Fatalf("accounts for %d bytes, holds %d", tr.bytes, size)
	}
}

// scanModel is what Scan shall return.
func scanModel(model map[string]string, prefix string, after []byte) []string {
	var want []string
	for _, f := range slices.Sorted(maps.Keys(model)) {
		if strings.HasPrefix(f, prefix) && (after == nil || f > string(after)) {
			want = append(want, f+"="+model[f])
		}
	}
	return want
}

func TestTrieAgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		field := rapid.StringOfN(rapid.SampledFrom([]rune("ab\x00ÿ")), 0, 7, -1)
		tr, model, stamp := New(1), map[string]string{}, uint32(1)
		type frozen struct {
			tr    *Trie
			model map[string]string
		}
		var old []frozen
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				f, v := field.Draw(t, "field"), rapid.StringN(0, 20, -1).Draw(t, "value")
				_, had := model[f]
				model[f] = v
				if tr.Put([]byte(f), []byte(v)) == had {
					t.Fatalf("Put(%q) says new=%v", f, had)
				}
			},
			"delete": func(t *rapid.T) {
				f := field.Draw(t, "field")
				_, had := model[f]
				delete(model, f)
				if tr.Delete([]byte(f)) != had {
					t.Fatalf("Delete(%q) says %v", f, !had)
				}
			},
			"get": func(t *rapid.T) {
				f := field.Draw(t, "field")
				want, had := model[f]
				if v, ok := tr.Get([]byte(f)); v != want || ok != had {
					t.Fatalf("Get(%q) = %q, %v", f, v, ok)
				}
			},
			"longest prefix": func(t *rapid.T) {
				s := field.Draw(t, "string")
				want := -1
				for f := range model {
					if strings.HasPrefix(s, f) {
						want = max(want, len(f))
					}
				}
				n, v, ok := tr.LongestPrefix([]byte(s))
				if ok != (want >= 0) || ok && (n != want || v != model[s[:n]]) {
					t.Fatalf("LongestPrefix(%q) = %d, %q, %v, not %d", s, n, v, ok, want)
				}
			},
			"scan": func(t *rapid.T) {
				prefix := field.Draw(t, "prefix")
				var after []byte
				if rapid.Bool().Draw(t, "bounded") {
					after = append([]byte{}, field.Draw(t, "after")...)
				}
				want := scanModel(model, prefix, after)
				limit := rapid.IntRange(1, 10).Draw(t, "limit")
				var got []string
				for f, v := range tr.Scan([]byte(prefix), after) {
					got = append(got, string(f)+"="+v)
					if len(got) == limit {
						break
					}
				}
				if !slices.Equal(got, want[:min(limit, len(want))]) {
					t.Fatalf("Scan(%q, %q) = %q, not %q", prefix, after, got, want)
				}
			},
			"clone": func(_ *rapid.T) {
				stamp++
				old = append(old, frozen{tr, maps.Clone(model)})
				tr = tr.clone(stamp)
			},
			"": func(t *rapid.T) {
				check(t, tr, model)
				for _, o := range old {
					check(t, o.tr, o.model)
				}
			},
		})
	})
}

func TestTrieShrinks(t *testing.T) {
	t.Parallel()
	tr := New(1)
	empty := tr.bytes
	for i := range 10_000 {
		tr.Put(fmt.Appendf(nil, "user:%d:name", i), bytes.Repeat([]byte{'x'}, i%50))
	}
	full := tr.bytes
	for i := range 10_000 {
		if !tr.Delete(fmt.Appendf(nil, "user:%d:name", i)) {
			t.Fatalf("field %d is lost", i)
		}
	}
	if tr.Len() != 0 || tr.bytes != empty || full < 10_000*25 {
		t.Fatalf("%d fields, %d bytes after %d", tr.Len(), tr.bytes, full)
	}
}

func BenchmarkTrie(b *testing.B) {
	const n = 1_000_000
	fields := make([][]byte, n)
	for i := range fields {
		fields[i] = fmt.Appendf(nil, "route/%d/of/%d", i*7919%n, i)
	}
	b.Run("put", func(b *testing.B) {
		tr := New(1)
		for i := range b.N {
			tr.Put(fields[i%n], fields[0])
		}
		b.ReportMetric(float64(tr.bytes)/float64(tr.Len()), "bytes/field")
	})
	tr := New(1)
	for _, f := range fields {
		tr.Put(f, f[:5])
	}
	b.Run("get", func(b *testing.B) {
		for i := range b.N {
			if _, ok := tr.Get(fields[i%n]); !ok {
				b.Fatal("lost")
			}
		}
	})
	b.Run("clone", func(b *testing.B) {
		for i := range b.N {
			tr = tr.clone(uint32(i) + 2)
			tr.Put(fields[i%n], nil)
		}
	})
}
