package kv

import (
	"iter"
	"time"
)

// NoDeadline is what Deadline returns for a key that does not expire.
var NoDeadline = time.Time{}

// Delete removes keys and returns how many were there. O(len(keys)); what large values held is freed in the
// background.
func (db *DB) Delete(keys ...string) (int64, error) { return db.doInt("DEL", keys) }

// Exists reports whether a key is there. O(1).
func (db *DB) Exists(key string) (bool, error) { return db.doBool("EXISTS", key) }

// Type is the type of a key's value: string, list, set, zset, hash, stream, trie; none if it is not there.
// O(1).
func (db *DB) Type(key string) (string, error) {
	v, err := db.do("TYPE", key)
	return string(v.Str), err
}

// Expire has a key expire after d, to the millisecond, and reports whether it is there. A d of zero or less
// removes it. O(1).
func (db *DB) Expire(key string, d time.Duration) (bool, error) { return db.doBool("PEXPIRE", key, d) }

// ExpireAt has a key expire at t, to the millisecond, and reports whether it is there. O(1).
func (db *DB) ExpireAt(key string, t time.Time) (bool, error) {
	return db.doBool("PEXPIREAT", key, t.UnixMilli())
}

// Persist takes a key's deadline away, and reports whether it had one. O(1).
func (db *DB) Persist(key string) (bool, error) { return db.doBool("PERSIST", key) }

// Deadline is when a key expires, or NoDeadline; ErrNotFound if it is not there. O(1).
func (db *DB) Deadline(key string) (time.Time, error) {
	ms, err := db.doInt("PEXPIRETIME", key)
	switch {
	case err != nil:
		return NoDeadline, err
	case ms == -2:
		return NoDeadline, ErrNotFound
	case ms == -1:
		return NoDeadline, nil
	}
	return time.UnixMilli(ms), nil
}

// TTL is how long a key still lives; a negative time means that it does not expire. ErrNotFound if it is not
// there. O(1).
func (db *DB) TTL(key string) (time.Duration, error) {
	ms, err := db.doInt("PTTL", key)
	switch {
	case err != nil:
		return 0, err
	case ms == -2:
		return 0, ErrNotFound
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// Rename gives a value another key, whatever was there. ErrNotFound if key is not there. O(1).
func (db *DB) Rename(key, to string) error {
	_, err := db.do("RENAME", key, to)
	if e, ok := err.(*Error); ok && e.Text == "ERR no such key" { //nolint:errorlint // as do has made it
		return ErrNotFound
	}
	return err
}

// Size is the number of keys. O(1).
func (db *DB) Size() (int64, error) { return db.doInt("DBSIZE") }

// Clear removes all keys. O(1); the memory is freed in the background.
func (db *DB) Clear() error {
	_, err := db.do("FLUSHDB")
	return err
}

// Keys visits the keys that match a pattern (as Redis's KEYS: *, ?, [a-z]; "*" is all), in no order, while
// the database goes on. A key that is there all the time is visited once or more; one that comes or goes,
// perhaps. O(n) for all, in small steps. An error ends it.
func (db *DB) Keys(pattern string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		cursor := "0"
		for {
			v, err := db.do("SCAN", cursor, "MATCH", pattern, "COUNT", 100)
			if err != nil {
				yield("", err)
				return
			}
			for _, key := range v.Elems[1].Elems {
				if !yield(string(key.Str), nil) {
					return
				}
			}
			if cursor = string(v.Elems[0].Str); cursor == "0" {
				return
			}
		}
	}
}
