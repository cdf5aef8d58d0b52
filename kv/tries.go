package kv

import "iter"

// TriePut stores fields in the trie under key, and returns how many are new. TRIE.PUT. O(length of the
// field) each.
func (db *DB) TriePut(key string, fields ...Pair) (int64, error) {
	return db.doInt("TRIE.PUT", key, flatten(fields))
}

// TrieGet returns a field of the trie under key, or ErrNotFound. TRIE.GET. O(length of the field).
func (db *DB) TrieGet(key, field string) ([]byte, error) { return db.doBytes("TRIE.GET", key, field) }

// TrieDelete removes fields and returns how many were there. TRIE.DEL. O(length of the field) each.
func (db *DB) TrieDelete(key string, fields ...string) (int64, error) {
	return db.doInt("TRIE.DEL", key, fields)
}

// TrieLen is the number of fields of the trie under key. TRIE.LEN. O(1).
func (db *DB) TrieLen(key string) (int64, error) { return db.doInt("TRIE.LEN", key) }

// TrieLongestPrefix returns the longest field of the trie that is a prefix of s, with its value, or
// ErrNotFound. TRIE.PREFIX. O(length of s).
func (db *DB) TrieLongestPrefix(key, s string) (Pair, error) {
	v, err := db.do("TRIE.PREFIX", key, s)
	if err != nil {
		return Pair{}, err
	}
	if v.IsNull() || len(v.Elems) != 2 {
		return Pair{}, ErrNotFound
	}
	return Pair{Key: string(v.Elems[0].Str), Value: v.Elems[1].Str}, nil
}

// triePage is how many fields TrieScan reads at once.
const triePage = 100

// TrieScan visits the fields of the trie under key that begin with prefix, in the order of their bytes,
// while the database goes on: in pages of 100, each as it is when it is read. TRIE.SCAN. O(length of the
// prefix + the number visited). An error ends it.
func (db *DB) TrieScan(key, prefix string) iter.Seq2[Pair, error] {
	return func(yield func(Pair, error) bool) {
		args := []any{key, prefix, "COUNT", triePage}
		for {
			v, err := db.do("TRIE.SCAN", args...)
			if err != nil {
				yield(Pair{}, err)
				return
			}
			for i := 0; i+1 < len(v.Elems); i += 2 {
				p := Pair{Key: string(v.Elems[i].Str), Value: v.Elems[i+1].Str}
				if !yield(p, nil) {
					return
				}
				args = []any{key, prefix, "AFTER", p.Key, "COUNT", triePage}
			}
			if len(v.Elems) < 2*triePage {
				return
			}
		}
	}
}
