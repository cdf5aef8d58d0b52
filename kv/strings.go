package kv

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unsafe"

	"github.com/zmsg/zmsg/kv/internal/resp"
)

// view returns the bytes of a string, which must not be written to: the engine copies what it keeps.
func view(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// Get returns the string under key, or ErrNotFound. O(1).
func (db *DB) Get(key string) ([]byte, error) { return db.GetAppend(nil, key) }

// GetAppend appends the string under key to dst, and so needs no allocation. It returns dst and ErrNotFound
// if there is none. O(1).
func (db *DB) GetAppend(dst []byte, key string) ([]byte, error) {
	if db.closed.Load() {
		return dst, ErrClosed
	}
	dst, found, wrongType, seen := db.engine.ReadString(db.space, view(key), dst)
	if err := db.commitTo(seen); err != nil {
		return dst, err
	}
	switch {
	case wrongType:
		return dst, ErrWrongType
	case !found:
		return dst, ErrNotFound
	}
	return dst, nil
}

// GetString returns the string under key, or ErrNotFound. O(1).
func (db *DB) GetString(key string) (string, error) {
	b, err := db.Get(key)
	return unsafe.String(unsafe.SliceData(b), len(b)), err
}

// GetInt returns the string under key as an integer. O(1).
func (db *DB) GetInt(key string) (int64, error) {
	return as(db, key, func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) })
}

// GetFloat returns the string under key as a floating point number. O(1).
func (db *DB) GetFloat(key string) (float64, error) {
	return as(db, key, func(s string) (float64, error) { return strconv.ParseFloat(s, 64) })
}

// GetBool returns the string under key as a truth value: 1, t, true and their like, or 0, f, false. O(1).
func (db *DB) GetBool(key string) (bool, error) { return as(db, key, strconv.ParseBool) }

// GetTime returns the string under key as a time in RFC 3339, as SetTime stores it. O(1).
func (db *DB) GetTime(key string) (time.Time, error) {
	return as(db, key, func(s string) (time.Time, error) { return time.Parse(time.RFC3339Nano, s) })
}

// GetJSON decodes the JSON under key into the value that into points to. O(1), and the decoding.
func (db *DB) GetJSON(key string, into any) error {
	b, err := db.Get(key)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("kv: %q: %w", key, err)
	}
	return nil
}

func as[T any](db *DB, key string, read func(string) (T, error)) (T, error) {
	s, err := db.GetString(key)
	if err != nil {
		var zero T
		return zero, err
	}
	v, err := read(s)
	if err != nil {
		return v, fmt.Errorf("kv: %q: %w", key, err)
	}
	return v, nil
}

// SetOption says how Set stores.
type SetOption struct {
	word string
	n    int64 // of words that take one
}

// KeepTTL has Set keep the deadline that the key has.
func KeepTTL() SetOption { return SetOption{word: "KEEPTTL"} }

// For has the key expire after d, at least a millisecond.
func For(d time.Duration) SetOption { return SetOption{word: "PX", n: milliseconds(d)} }

// Until has the key expire at t, to the millisecond.
func Until(t time.Time) SetOption { return SetOption{word: "PXAT", n: t.UnixMilli()} }

// Set stores a string under key, whatever was there, and removes the key's deadline unless an option says
// otherwise. It copies value. O(1).
func (db *DB) Set(key string, value []byte, options ...SetOption) error {
	_, err := db.set(key, value, "", options)
	return err
}

// SetIfAbsent is Set if the key is not there; it reports whether it stored. O(1).
func (db *DB) SetIfAbsent(key string, value []byte, options ...SetOption) (bool, error) {
	return db.set(key, value, "NX", options)
}

// SetIfPresent is Set if the key is there; it reports whether it stored. O(1).
func (db *DB) SetIfPresent(key string, value []byte, options ...SetOption) (bool, error) {
	return db.set(key, value, "XX", options)
}

var setName = []byte("SET")

func (db *DB) set(key string, value []byte, condition string, options []SetOption) (bool, error) {
	c, err := db.acquire()
	if err != nil {
		return false, err
	}
	defer db.release(c)
	c.args = append(c.args[:0], setName, view(key), value)
	if condition != "" {
		c.args = append(c.args, view(condition))
	}
	for _, o := range options {
		c.args = append(c.args, view(o.word))
		if o.word != "KEEPTTL" {
			c.args = append(c.args, strconv.AppendInt(nil, o.n, 10))
		}
	}
	c.out = db.engine.Do(c.client, c.args, c.out[:0])
	if err := db.commit(c); err != nil {
		return false, err
	}
	if c.out[0] == '+' {
		return true, nil
	}
	v, err := parse(c.out)
	return err == nil && !v.IsNull(), err
}

// SetString is Set of a string. O(1).
func (db *DB) SetString(key, value string, options ...SetOption) error {
	return db.Set(key, view(value), options...)
}

// SetInt is Set of an integer, in decimal. O(1).
func (db *DB) SetInt(key string, value int64, options ...SetOption) error {
	return db.Set(key, strconv.AppendInt(nil, value, 10), options...)
}

// SetFloat is Set of a floating point number, in its shortest form. O(1).
func (db *DB) SetFloat(key string, value float64, options ...SetOption) error {
	return db.Set(key, strconv.AppendFloat(nil, value, 'g', -1, 64), options...)
}

// SetBool is Set of a truth value: 1 or 0. O(1).
func (db *DB) SetBool(key string, value bool, options ...SetOption) error {
	if value {
		return db.SetString(key, "1", options...)
	}
	return db.SetString(key, "0", options...)
}

// SetTime is Set of a time, in RFC 3339 with nanoseconds. O(1).
func (db *DB) SetTime(key string, value time.Time, options ...SetOption) error {
	return db.Set(key, value.AppendFormat(nil, time.RFC3339Nano), options...)
}

// SetJSON is Set of a value in JSON. O(1), and the encoding.
func (db *DB) SetJSON(key string, value any, options ...SetOption) error {
	b, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("kv: %q: %w", key, err)
	}
	return db.Set(key, b, options...)
}

// CompareAndSwap stores next under key if the string there is old, and reports whether it was. The key keeps
// its deadline. A key that is not there is ErrNotFound. O(1).
func (db *DB) CompareAndSwap(key string, old, next []byte) (swapped bool, err error) {
	c, err := db.acquire()
	if err != nil {
		return false, err
	}
	defer db.release(c)
	err = db.atomically(c, func(run func(args ...[]byte) (resp.Value, error)) error {
		v, err := run([]byte("GET"), view(key))
		switch {
		case err != nil:
			return err
		case v.IsNull():
			return ErrNotFound
		case string(v.Str) != string(old):
			return nil
		}
		swapped = true
		_, err = run(setName, view(key), next, []byte("KEEPTTL"))
		return err
	})
	return swapped && err == nil, err
}

// atomically runs commands with nothing in between.
func (db *DB) atomically(c *call, f func(run func(args ...[]byte) (resp.Value, error)) error) error {
	var err error
	db.engine.DoAll(c.client, func(run func(args ...[]byte) []byte) {
		err = f(func(args ...[]byte) (resp.Value, error) { return parse(run(args...)) })
	})
	if err != nil {
		return err
	}
	return db.commit(c)
}

// GetSet stores a string under key and returns the one that was there, or ErrNotFound (it stores all the
// same). It removes the key's deadline. O(1).
func (db *DB) GetSet(key string, value []byte) ([]byte, error) {
	return db.doBytes("GETSET", key, value)
}

// GetDelete removes the string under key and returns it, or ErrNotFound. O(1).
func (db *DB) GetDelete(key string) ([]byte, error) { return db.doBytes("GETDEL", key) }

// GetMany returns the strings under keys; nil where there is none, or one of another type. O(len(keys)).
func (db *DB) GetMany(keys ...string) ([][]byte, error) { return db.doList("MGET", keys) }

// Pair is a key, or a field, with its value.
type Pair struct {
	Key   string
	Value []byte
}

// SetMany stores all strings at once. O(len(pairs)).
func (db *DB) SetMany(pairs ...Pair) error {
	_, err := db.do("MSET", flatten(pairs))
	return err
}

func flatten(pairs []Pair) [][]byte {
	flat := make([][]byte, 0, 2*len(pairs))
	for _, p := range pairs {
		flat = append(flat, view(p.Key), p.Value)
	}
	return flat
}

// Increment adds n to the integer under key, which is 0 if it is not there, and returns the sum. O(1).
func (db *DB) Increment(key string, n int64) (int64, error) { return db.doInt("INCRBY", key, n) }

// IncrementFloat adds n to the number under key, which is 0 if it is not there, and returns the sum. O(1).
func (db *DB) IncrementFloat(key string, n float64) (float64, error) {
	return db.doFloat("INCRBYFLOAT", key, n)
}

// Append appends to the string under key, and returns its length then, in bytes. O(1), amortised.
func (db *DB) Append(key string, value []byte) (int64, error) { return db.doInt("APPEND", key, value) }

// Length is the length of the string under key, in bytes; 0 if there is none. O(1).
func (db *DB) Length(key string) (int64, error) { return db.doInt("STRLEN", key) }

// GetRange returns a part of the string under key, from start to end, inclusive; negative positions count
// from the end. O(the part's length).
func (db *DB) GetRange(key string, start, end int64) ([]byte, error) {
	return db.doBytes("GETRANGE", key, start, end)
}

// SetRange overwrites a part of the string under key, from offset, with zeros before it where the string was
// shorter, and returns the length then. O(len(value)), and O(n) the first time.
func (db *DB) SetRange(key string, offset int64, value []byte) (int64, error) {
	return db.doInt("SETRANGE", key, offset, value)
}
